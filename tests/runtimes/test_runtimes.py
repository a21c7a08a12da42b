"""Whatever runs the network: one API, the same numbers, from any thread."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from lrface.errors import LrfaceError
from lrface.models.embedder import open_embedder
from lrface.recognition.encoder import FaceEncoder
from lrface.runtimes import RUNTIMES
from lrface.runtimes.onnx import OnnxNetwork
from lrface.runtimes.torch import TorchNetwork

INSTALLED = ["onnxruntime", "torch", *(["openvino"] if find_spec("openvino") else [])]


def crops(count, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.fixture
def threads_of_torch():
    """As they were, afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("runtime", INSTALLED)
@pytest.mark.parametrize(("count", "batch"), [(1, 1), (5, 2), (64, 64), (70, 64)])
def test_the_numbers_are_torchs(model, runtime, count, batch):
    wanted = open_embedder(model, runtime="torch").embed(crops(count))
    embedder = open_embedder(model, runtime=runtime)
    found = embedder.embed(crops(count), batch_size=batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    reference = open_embedder(model, runtime="torch")
    assert embedder.fingerprint == reference.fingerprint  # a gallery does not care what ran the network
    assert embedder.card == reference.card
    assert embedder.preprocessing == reference.preprocessing


@pytest.mark.parametrize("runtime", INSTALLED)
def test_order_and_company_make_no_difference(model, runtime):
    encoder = FaceEncoder(open_embedder(model, runtime=runtime), detector="none")
    faces = list(crops(9, 20))
    together = encoder.embed(faces)
    np.testing.assert_allclose(encoder.embed(faces[::-1])[::-1], together, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(faces, batch_size=2), together, atol=1e-5)
    mirrored = [np.ascontiguousarray(face[:, ::-1]) for face in faces]
    np.testing.assert_allclose(encoder.embed(mirrored), together, atol=1e-3)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_several_threads_may_share_one_embedder(model, runtime):
    embedder = open_embedder(model, runtime=runtime, threads=1)
    sets = [crops(1 + number % 5, seed=number) for number in range(40)]
    wanted = [embedder.embed(faces) for faces in sets]
    start = threading.Barrier(4)

    def work(first):
        start.wait()
        return [embedder.embed(faces) for faces in sets[first::4]]

    with ThreadPoolExecutor(4) as pool:
        for first, results in enumerate(pool.map(work, range(4))):
            for result, expected in zip(results, wanted[first::4], strict=True):
                np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_result_is_not_overwritten_by_the_next_call(model, runtime):
    network = open_embedder(model, runtime=runtime).network
    preprocessing = open_embedder(model).preprocessing
    first = network(preprocessing.batch(crops(3)))
    copy = first.copy()
    network(preprocessing.batch(crops(3, seed=1)))
    np.testing.assert_array_equal(first, copy)


def test_onnx_runtime_is_the_default_where_there_is_a_graph(model):
    assert isinstance(open_embedder(model).network, OnnxNetwork)
    assert isinstance(open_embedder(model.with_name("alone.safetensors")).network, TorchNetwork)
    assert isinstance(open_embedder(model, runtime="torch").network, TorchNetwork)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_weights_without_a_graph_run_on_torch_only(model, runtime):
    with pytest.raises(LrfaceError, match=rf"has no graph that {runtime} could run.*lrface export"):
        open_embedder(model.with_name("alone.safetensors"), runtime=runtime)


def test_state_dicts_run_on_torch_only(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"")
    with pytest.raises(LrfaceError, match="runs on torch only: for openvino"):
        open_embedder(tmp_path / "x.pt", runtime="openvino")


def test_names_that_are_no_runtime(model):
    with pytest.raises(LrfaceError, match="unknown runtime 'tensorrt': choose one of auto, onnxruntime"):
        open_embedder(model, runtime="tensorrt")


def test_openvino_that_is_not_installed(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(LrfaceError, match=r"OpenVINO is not installed: pip install 'lrface\[openvino\]'"):
        open_embedder(model, runtime="openvino")


@pytest.mark.skipif("openvino" not in INSTALLED, reason="OpenVINO is not installed")
class TestOpenVino:
    def test_other_devices(self, model):
        with pytest.raises(LrfaceError, match="on the CPU only, not on cuda"):
            open_embedder(model, device="cuda", runtime="openvino")

    def test_a_file_that_is_no_model(self, tmp_path):
        (tmp_path / "x.onnx").write_bytes(b"not a graph")
        with pytest.raises(LrfaceError, match="not an ONNX model that can be run") as caught:
            open_embedder(tmp_path / "x.onnx", runtime="openvino")
        assert "\n" not in str(caught.value)

    def test_an_input_of_another_shape(self, model):
        network = open_embedder(model, runtime="openvino").network
        with pytest.raises(LrfaceError, match=r"takes .*16.*and got float32 \[2, 3, 8, 8\]"):
            network(np.zeros((2, 3, 8, 8), np.float32))


def test_threads_of_torch_are_set(model, threads_of_torch):
    open_embedder(model, runtime="torch", threads=1)
    assert torch.get_num_threads() == 1


def test_threads_of_onnx_runtime_are_set(model):
    session = open_embedder(model, threads=1).network.session
    assert session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize("runtime", ["auto", *(name for name in INSTALLED if name != "torch")])
def test_torch_is_not_imported(model, runtime):
    """A laptop loads it in seconds, and a small board has no room for it."""
    code = (
        "import sys, numpy as np\n"
        "from lrface import FaceEncoder\n"
        "encoder = FaceEncoder.load(sys.argv[1], detector='none', runtime=sys.argv[2], threads=1)\n"
        "face = np.full((30, 30, 3), 99, np.uint8)\n"
        "assert encoder.verify(face, face).same\n"
        "heavy = {'torch', 'torchvision', 'onnx', 'lightning_fabric'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), runtime], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_list_of_runtimes_is_the_command_lines_too():
    assert RUNTIMES[0] == "auto"
    assert set(INSTALLED) <= set(RUNTIMES)

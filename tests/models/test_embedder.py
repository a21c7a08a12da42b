"""Whatever the file, the embedding is that of the network on the crops as it wants them."""

import json
import shutil
import sys
import types

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation, resize
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.runtimes.onnx import OnnxNetwork

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
SIZE, DIM = 6, 4
DECLARED = {"input_size": SIZE, "mean": 10.0, "scale": 0.5, "colour": "RGB", "layout": "NCHW"}
WEIGHTS = np.random.default_rng(0).standard_normal((SIZE * SIZE * 3, DIM)).astype(np.float32)


def write_onnx(path, layout="NCHW", record=None, batch="n", weights=WEIGHTS, spatial=False, external=False):
    """A network that flattens its input and multiplies it with ``weights``."""
    from onnx import TensorProto, helper, numpy_helper

    shape = [batch, 3, SIZE, SIZE] if layout == "NCHW" else [batch, SIZE, SIZE, 3]
    nodes = [
        helper.make_node("Flatten", ["faces"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["product" if spatial else "embedding"]),
    ]
    initializers = [numpy_helper.from_array(weights, "weights")]
    if spatial:
        nodes.append(helper.make_node("Unsqueeze", ["product", "axes"], ["embedding"]))
        initializers.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, DIM] + [1, 1] * spatial)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if record is not None:
        helper.set_model_props(model, {"lrface": record if isinstance(record, str) else json.dumps(record)})
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


def crops(count, size=SIZE):
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3), np.uint8)


def expected(images, record, weights=WEIGHTS):
    """In float64, pixel by pixel as the record says."""
    rows = []
    for image in images.astype(np.float64):
        pixels = image[:, :, ::-1] if record.get("colour") == "BGR" else image
        pixels = (pixels - record.get("mean", 127.5)) * record.get("scale", 1 / 127.5)
        rows.append((pixels.transpose(2, 0, 1) if record.get("layout") != "NHWC" else pixels).ravel())
    return np.stack(rows) @ weights.astype(np.float64)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("carried", [True, False])
def test_an_onnx_file_gets_its_faces_as_it_says_or_as_declared(tmp_path, colour, layout, carried):
    record = DECLARED | {"colour": colour, "layout": layout}
    path = write_onnx(tmp_path / "model.onnx", layout, record | {"kind": "embedder"} if carried else None)
    embedder = open_embedder(path, threads=1, declared=None if carried else record)
    images = crops(5)
    result = embedder.embed(images, batch_size=2)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected(images, record), rtol=1e-4, atol=1e-2)
    flipped = embedder.embed(list(images), flip=True)
    np.testing.assert_allclose(flipped, expected(images[:, :, ::-1], record), rtol=1e-4, atol=1e-2)


def test_crops_of_other_sizes_are_fitted(tmp_path):
    embedder = open_embedder(write_onnx(tmp_path / "model.onnx"), threads=1, declared=DECLARED)
    images = [crops(1, size)[0] for size in (112, 3, SIZE)]
    fitted = np.stack([resize(image, SIZE) for image in images])
    np.testing.assert_allclose(embedder.embed(images), expected(fitted, DECLARED), rtol=1e-4, atol=1e-2)
    degraded = DECLARED | {"degradation": {"size": SIZE, "kernel": "area", "antialias": True}}
    embedder = open_embedder(tmp_path / "model.onnx", threads=1, declared=degraded)
    fitted = np.stack([Degradation(SIZE, "area")(image) for image in images])
    np.testing.assert_allclose(embedder.embed(images), expected(fitted, DECLARED), rtol=1e-4, atol=1e-2)


def test_no_crops_are_no_embeddings(tmp_path):
    embedder = open_embedder(write_onnx(tmp_path / "model.onnx"), threads=1, declared=DECLARED)
    assert embedder.embed([]).shape[0] == 0


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_filled_up(tmp_path, batch):
    path = write_onnx(tmp_path / "model.onnx", batch=batch)
    embedder = open_embedder(path, threads=1, declared=DECLARED)
    images = crops(7)
    np.testing.assert_allclose(embedder.embed(images), expected(images, DECLARED), rtol=1e-4, atol=1e-2)


def test_an_embedding_may_come_as_a_map_of_one_pixel(tmp_path):
    path = write_onnx(tmp_path / "model.onnx", spatial=True)
    result = open_embedder(path, threads=1, declared=DECLARED).embed(crops(3))
    np.testing.assert_allclose(result, expected(crops(3), DECLARED), rtol=1e-4, atol=1e-2)


def test_an_input_of_another_shape_is_one_clear_error(tmp_path):
    path = write_onnx(tmp_path / "model.onnx", "NHWC")
    embedder = open_embedder(path, threads=1, declared=DECLARED)
    with pytest.raises(LrfaceError, match=r"takes tensor\(float\) \['n', 6, 6, 3\] and got float32 \[2, 3, 6, 6\]"):
        embedder.embed(crops(2))


@pytest.mark.parametrize(
    ("record", "declared", "message"),
    [
        (None, None, "does not say how it wants its input"),
        (None, {}, "does not say how it wants its input"),
        (None, {"mean": 0.0}, "preprocessing record that cannot be used"),
        (None, DECLARED | {"color": "BGR"}, "unknown 'color', declare input_size, mean"),
        (DECLARED, DECLARED, "says itself how it wants its input"),
        ("{", None, "not JSON"),
        ("[1]", None, "not a mapping"),
        (DECLARED | {"colour": "grey"}, None, "unknown colour 'grey'"),
    ],
)
def test_an_onnx_file_that_nobody_describes_well(tmp_path, record, declared, message):
    path = write_onnx(tmp_path / "model.onnx", record=record)
    with pytest.raises(LrfaceError, match=message) as caught:
        open_embedder(path, threads=1, declared=declared)
    assert str(path) in str(caught.value)


def test_fingerprints_change_with_the_weights_and_with_the_preprocessing(tmp_path):
    plain = write_onnx(tmp_path / "plain.onnx")
    other = write_onnx(tmp_path / "other.onnx", weights=WEIGHTS + 1)
    copied = shutil.copy(plain, tmp_path / "copy.onnx")
    records = [DECLARED, DECLARED | {"colour": "BGR"}, DECLARED | {"mean": 11.0}]
    prints = [open_embedder(plain, threads=1, declared=record).fingerprint for record in records]
    prints.append(open_embedder(other, threads=1, declared=DECLARED).fingerprint)
    assert len(set(prints)) == 4
    assert open_embedder(copied, threads=1, declared=DECLARED).fingerprint == prints[0]


def test_weights_beside_an_onnx_file_count_too(tmp_path):
    path = write_onnx(tmp_path / "model.onnx", external=True)
    assert (tmp_path / "model.onnx.data").stat().st_size >= WEIGHTS.nbytes
    before = open_embedder(path, threads=1, declared=DECLARED)
    np.testing.assert_allclose(before.embed(crops(2)), expected(crops(2), DECLARED), rtol=1e-4, atol=1e-2)
    graph = path.read_bytes()
    (tmp_path / "model.onnx.data").unlink()
    write_onnx(path, weights=WEIGHTS * 2, external=True)
    assert path.read_bytes() == graph
    assert open_embedder(path, threads=1, declared=DECLARED).fingerprint != before.fingerprint


def test_our_own_file_carries_its_preprocessing(tmp_path):
    import torch

    from lrface.models import create, save_model

    torch.manual_seed(0)
    model = create("resnet18", embedding_dim=8, width=8).eval()
    record = Preprocessing(16, degradation=Degradation(16))
    save_model(tmp_path / "student.safetensors", model, {"preprocessing": record.as_dict(), "step": 5})
    embedder = open_embedder(tmp_path / "student.safetensors")
    assert embedder.preprocessing == record
    assert embedder.card["step"] == 5
    images = crops(3, 112)
    low = np.stack([Degradation(16)(image) for image in images])
    with torch.inference_mode():
        batch = torch.from_numpy((low / 255 - 0.5) / 0.5).float().permute(0, 3, 1, 2)
        wanted = model(batch).numpy()
    np.testing.assert_allclose(embedder.embed(images), wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    save_model(tmp_path / "student.safetensors", model, {"preprocessing": record.as_dict(), "step": 5})
    assert open_embedder(tmp_path / "student.safetensors").fingerprint != embedder.fingerprint


def test_a_card_that_contradicts_its_network(tmp_path):
    from lrface.models import create, save_model

    record = Preprocessing(24, degradation=Degradation(24)).as_dict()
    save_model(tmp_path / "x.safetensors", create("resnet18", embedding_dim=8, width=8), {"preprocessing": record})
    with pytest.raises(LrfaceError, match="takes 16 pixels and its card says 24"):
        open_embedder(tmp_path / "x.safetensors")


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_an_arcface_torch_state_dict_opens_as_it_is(tmp_path, suffix):
    import torch

    from lrface.models import create

    torch.manual_seed(0)
    model = create("iresnet18", embedding_dim=8, width=8, input_size=32).eval()
    path = tmp_path / f"backbone{suffix}"
    torch.save({f"module.{key}": value for key, value in model.state_dict().items()}, path)
    embedder = open_embedder(path)
    assert embedder.preprocessing == Preprocessing(32)
    images = crops(2, 32)
    with torch.inference_mode():
        wanted = model(torch.from_numpy((images / 255 - 0.5) / 0.5).float().permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(embedder.embed(images), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.onnx", None, "no model at"),
        ("folder", "", "no model at"),
        ("model.onnx", b"not a graph", "not an ONNX model that can be run"),
        ("model.onnx", b"", "not an ONNX model that can be run"),
        ("model.safetensors", b"\x05", "not a whole safetensors file"),
        ("model.pt", b"garbage", "not a PyTorch state dict"),
        ("model.bin", b"garbage", "cannot tell what kind of model"),
    ],
)
def test_files_that_are_no_model(tmp_path, name, content, message):
    if content == "":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LrfaceError, match=message) as caught:
        open_embedder(tmp_path / name, declared=DECLARED if name.endswith("onnx") else None)
    assert str(tmp_path / name) in str(caught.value)


def test_cuda_that_is_not_there(tmp_path):
    import torch

    from lrface.models import create

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    torch.save(create("iresnet18", embedding_dim=8, width=8, input_size=16).state_dict(), tmp_path / "x.pt")
    with pytest.raises(LrfaceError, match="no CUDA device: run with --device cpu"):
        open_embedder(tmp_path / "x.pt", device="cuda")
    with pytest.raises(LrfaceError, match="cannot use CUDA: install onnxruntime-gpu"):
        open_embedder(write_onnx(tmp_path / "x.onnx"), device="cuda:0", declared=DECLARED)


class TestInsightface:
    """With a made-up insightface, which would download otherwise."""

    @pytest.fixture
    def storage(self, monkeypatch):
        storage = types.SimpleNamespace()
        monkeypatch.setitem(sys.modules, "insightface", types.ModuleType("insightface"))
        utils = types.ModuleType("insightface.utils")
        utils.storage = storage
        monkeypatch.setitem(sys.modules, "insightface.utils", utils)
        return storage

    def test_the_recognition_network_of_a_pack_is_found(self, tmp_path, storage, capsys):
        inner = tmp_path / "antelopev2" / "antelopev2"
        inner.mkdir(parents=True)
        (inner / "1k3d68.onnx").write_bytes(b"another network")
        write_onnx(inner / "glint360k_r100.onnx")
        storage.ensure_available = lambda kind, name: print("download_path:", kind) or str(tmp_path / name)
        embedder = open_embedder("insightface:antelopev2", threads=1)
        assert isinstance(embedder.network, OnnxNetwork)
        assert embedder.preprocessing == Preprocessing(112)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "download_path" in captured.err

    def test_packs_that_cannot_be_had(self, tmp_path, storage):
        def refuse(kind, name):
            raise ConnectionError("the network is down")

        storage.ensure_available = refuse
        with pytest.raises(LrfaceError, match="pack 'buffalo_l' could not be downloaded: the network is down"):
            open_embedder("insightface:buffalo_l")
        storage.ensure_available = lambda kind, name: tmp_path
        with pytest.raises(LrfaceError, match="holds no recognition network"):
            open_embedder("insightface:buffalo_l")

    def test_without_insightface(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "insightface", None)
        monkeypatch.setitem(sys.modules, "insightface.utils", None)
        with pytest.raises(LrfaceError, match="insightface is not installed: pip install"):
            open_embedder("insightface:buffalo_l")


def test_an_embedder_is_a_network_and_how_it_wants_its_faces():
    embedder = Embedder(lambda batch: batch.mean((2, 3)), Preprocessing(SIZE, 0, 1), "weights", {})
    images = crops(3)
    np.testing.assert_allclose(embedder.embed(images), images.astype(np.float64).mean((1, 2)), rtol=1e-5)


def test_a_compact_crop_embeds_as_the_crop_itself():
    """For networks with a crop of their own too, which would be cut out of it twice."""
    rng = np.random.default_rng(3)
    crop = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    for crop_kind in ("arcface", "dlib"):
        preprocessing = Preprocessing(150, crop=crop_kind)
        embedder = Embedder(lambda batch: batch.reshape(len(batch), -1), preprocessing, "0", {})
        np.testing.assert_array_equal(embedder.embed([embedder.compact(crop)]), embedder.embed([crop]))

"""No test downloads: the pack is refused, damaged, or a network of constants made here."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE
from lrface.faces.detect import create_detector
from lrface.faces.detect.insightface_backend import PACK, InsightFace


@pytest.fixture
def home(tmp_path, monkeypatch):
    pytest.importorskip("insightface", reason="insightface is not installed", exc_type=ImportError)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def refuse(monkeypatch, error):
    def download_file(*args, **kwargs):
        raise error

    monkeypatch.setattr("insightface.utils.storage.download_file", download_file)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("HTTPSConnectionPool: Max retries\nexceeded " + "x" * 2000),
        RuntimeError("Failed downloading url somewhere"),
        PermissionError(13, "Permission denied"),
        zipfile.BadZipFile("File is not a zip file"),
    ],
)
def test_a_refused_download_names_what_works_offline(home, monkeypatch, capfd, error):
    refuse(monkeypatch, error)
    with pytest.raises(LrfaceError, match=f"cannot download insightface's pack {PACK}") as raised:
        create_detector("insightface")
    message = str(raised.value)
    assert type(error).__name__ in message
    assert "--detector mtcnn" in message
    assert "--detector dlib" in message
    assert "\n" not in message
    assert len(message) < 600
    assert capfd.readouterr().out == ""


def test_what_an_interrupted_download_leaves_is_named(home):
    folder = home / ".insightface" / "models" / PACK
    folder.mkdir(parents=True)
    with pytest.raises(LrfaceError, match=r"holds no detector.*delete it and try again") as raised:
        create_detector("insightface")
    assert str(folder) in str(raised.value)


def test_a_damaged_detector_is_named(home):
    folder = home / ".insightface" / "models" / PACK
    folder.mkdir(parents=True)
    (folder / "det_10g.onnx").write_bytes(b"not a network")
    with pytest.raises(
        LrfaceError, match=r"det_10g\.onnx is not an ONNX model .*delete .*buffalo_l and try again"
    ) as raised:
        create_detector("insightface")
    assert "\n" not in str(raised.value)


def test_cuda_without_cuda(home, monkeypatch):
    write_constant_detector(home / ".insightface" / "models" / PACK / "det_10g.onnx")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(LrfaceError, match="onnxruntime-gpu"):
        create_detector("insightface", device="cuda")


def write_constant_detector(path: Path):
    """A network with the nine outputs of SCRFD for 640 x 640, which always sees one face: cell (20, 10) of stride 8."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    values = []
    for width in (1, 4, 10):
        values += [np.zeros((2 * (640 // stride) ** 2, width), np.float32) for stride in (8, 16, 32)]
    cell = 2 * (10 * 80 + 20)
    values[0][cell] = 0.9
    values[3][cell] = [2, 3, 4, 5]  # left, top, right, bottom of the cell's place, in strides
    values[6][cell] = [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]
    names = [f"out{index}" for index in range(9)]
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))
            for name, value in zip(names, values, strict=True)
        ],
        "detector",
        [helper.make_tensor_value_info("input.1", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, value.shape[1]])
            for name, value in zip(names, values, strict=True)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def test_the_packs_detector_is_run(home, capfd):
    write_constant_detector(home / ".insightface" / "models" / PACK / "det_10g.onnx")
    detector = create_detector("insightface", threads=1)
    assert detector.name == "insightface"
    (face,) = detector.detect(np.zeros((320, 160, 3), np.uint8))  # fitted into 640 x 640 by a factor of 2
    assert face.score == pytest.approx(0.9)
    assert face.box.tolist() == [72, 28, 96, 60]
    assert face.landmarks.tolist() == [[76, 36], [84, 36], [80, 40], [76, 44], [84, 44]]
    assert face.box.dtype == face.landmarks.dtype == np.float32
    assert "".join(capfd.readouterr()) == ""


class Recorder:
    """In place of insightface's model: sees faces at one size only."""

    def __init__(self, sees):
        self.sees = sees
        self.calls = []

    def detect(self, image, input_size):
        self.calls.append((image.copy(), input_size))
        found = 2 if input_size[0] == self.sees else 0
        boxes = np.array([[1, 2, 30, 40, 0.6], [5, 6, 70, 80, 0.8]])[:found]
        return boxes, np.stack([TEMPLATE, TEMPLATE + 1])[:found]


@pytest.mark.parametrize(("sees", "sizes"), [(640, [640]), (128, [640, 128]), (0, [640, 128])])
def test_a_second_search_only_where_the_first_finds_nothing(sees, sizes):
    recorder = Recorder(sees)
    faces = InsightFace(recorder).detect(np.zeros((50, 60, 3), np.uint8))
    assert [size for _, size in recorder.calls] == [(side, side) for side in sizes]
    assert [face.score for face in faces] == ([0.8, 0.6] if sees else [])
    if faces:
        assert faces[0].box.tolist() == [5, 6, 70, 80]
        assert faces[0].landmarks[0].tolist() == pytest.approx((TEMPLATE[0] + 1).tolist())


def test_the_model_is_given_bgr():
    recorder = Recorder(640)
    InsightFace(recorder).detect(np.full((50, 60, 3), (10, 20, 30), np.uint8))
    given = recorder.calls[0][0]
    assert given.flags.c_contiguous
    assert (given == [30, 20, 10]).all()


def test_strips_too_thin_to_search_hold_no_face():
    recorder = Recorder(640)
    assert InsightFace(recorder).detect(np.zeros((1, 3000, 3), np.uint8)) == []
    assert recorder.calls == []

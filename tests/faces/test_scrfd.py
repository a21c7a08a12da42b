import numpy as np
import pytest
from detectors import write_constant_detector

from lrface.errors import LrfaceError
from lrface.faces.detect import create_detector
from lrface.faces.detect.scrfd import Scrfd


class Session:
    """In place of ONNX Runtime: remembers what it is shown, and sees what it is told."""

    def __init__(self, outputs):
        self.outputs, self.shown = outputs, None

    def get_inputs(self):
        return [type("Input", (), {"name": "input.1"})]

    def run(self, names, inputs):
        self.shown = inputs["input.1"]
        return self.outputs


def outputs(height, width):
    return [
        np.zeros((2 * (height // stride) * (width // stride), size), np.float32)
        for size in (1, 4, 10)
        for stride in (8, 16, 32)
    ]


def test_decodes_edges_and_landmarks_in_strides():
    values = outputs(64, 96)
    cell = 2 * (3 * 6 + 4) + 1  # row 3, column 4, second anchor of stride 16
    values[1][cell], values[4][cell] = 0.75, [1, 2, 0.5, 1.5]
    values[7][cell] = np.arange(10) / 10
    session = Session(values)
    image = np.zeros((60, 90, 3), np.uint8)
    image[..., 0] = 255
    found = Scrfd(session).find(image[None], 0.5)[0]
    np.testing.assert_allclose(found.boxes, [[64 - 16, 48 - 32, 64 + 8, 48 + 24, 0.75]])
    expected = np.array([64, 48]) + 16 * np.arange(10).reshape(5, 2) / 10
    np.testing.assert_allclose(found.landmarks[0], expected, rtol=1e-6)
    assert session.shown.shape == (1, 3, 64, 96)
    np.testing.assert_allclose(session.shown[0, :, 0, 0], [(255 - 127.5) / 128, -127.5 / 128, -127.5 / 128])
    assert len(Scrfd(session).find(image[None], 0.8)[0].boxes) == 0


def test_two_anchors_of_one_face_are_one():
    values = outputs(64, 64)
    for anchor, score in ((0, 0.6), (1, 0.9)):
        cell = 2 * (3 * 8 + 3) + anchor
        values[0][cell], values[3][cell] = score, [2, 2, 2, 2]
    assert Scrfd(Session(values)).find(np.zeros((1, 64, 64, 3), np.uint8), 0.5)[0].boxes[:, 4].tolist() == [
        np.float32(0.9)
    ]


def test_a_file_is_opened_by_its_path(tmp_path):
    write_constant_detector(tmp_path / "mine.onnx")
    detector = create_detector(str(tmp_path / "mine.onnx"), threads=1)
    assert detector.name == "mine"
    (face,) = detector.detect(np.zeros((64, 64, 3), np.uint8))[:1]
    assert face.score == pytest.approx(0.9)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(LrfaceError, match=r"no such detector file: .*absent\.onnx"):
        create_detector(str(tmp_path / "absent.onnx"))
    (tmp_path / "text.onnx").write_bytes(b"not a network")
    with pytest.raises(LrfaceError, match=r"text\.onnx is not an ONNX model"):
        create_detector(str(tmp_path / "text.onnx"))
    write_constant_detector(tmp_path / "other.onnx", sizes=(1, 4, 8))
    with pytest.raises(LrfaceError, match=r"other\.onnx is no SCRFD detector with five landmarks"):
        create_detector(str(tmp_path / "other.onnx"))

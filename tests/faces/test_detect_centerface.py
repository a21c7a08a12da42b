import numpy as np
import pytest

from lrface.faces.detect.centerface_backend import CenterFace


class Session:
    """In place of ONNX Runtime: one heat map cell is a face."""

    def __init__(self, cells):
        self.cells, self.shown = cells, None

    def get_inputs(self):
        return [type("Input", (), {"name": "input.1"})]

    def run(self, names, inputs):
        self.shown = inputs["input.1"]
        height, width = self.shown.shape[2] // 4, self.shown.shape[3] // 4
        maps = [np.zeros((1, count, height, width), np.float32) for count in (1, 2, 2, 10)]
        for row, column, score, size in self.cells:
            maps[0][0, 0, row, column] = score
            maps[1][0, :, row, column] = np.log(np.array(size[::-1]) / 4)
            maps[2][0, :, row, column] = [0.25, -0.25]  # of y, of x
            maps[3][0, :, row, column] = np.arange(10) / 10  # y before x
        return maps


def test_decodes_centre_size_offset_and_landmarks():
    session = Session([(6, 9, 0.8, (20, 24))])
    image = np.zeros((50, 70, 3), np.uint8)
    image[..., 0] = 200
    found = CenterFace(session).find(image[None], 0.5)[0]
    x, y = 4 * (9 - 0.25 + 0.5), 4 * (6 + 0.25 + 0.5)
    np.testing.assert_allclose(found.boxes, [[x - 10, y - 12, x + 10, y + 12, 0.8]], rtol=1e-5)
    expected = [(x - 10 + 20 * (2 * i + 1) / 10, y - 12 + 24 * 2 * i / 10) for i in range(5)]
    np.testing.assert_allclose(found.landmarks[0], expected, rtol=1e-5)
    assert session.shown.shape == (1, 3, 64, 96)
    assert session.shown[0, :, 0, 0].tolist() == [200, 0, 0]  # RGB as it is
    assert session.shown[0, 0, 60, 0] == 0


def test_neighbouring_cells_are_one_face_and_weak_ones_none():
    cells = [(6, 9, 0.8, (20, 24)), (6, 10, 0.9, (20, 24)), (12, 3, 0.3, (20, 20)), (12, 18, 0.6, (12, 12))]
    found = CenterFace(Session(cells)).find(np.zeros((1, 96, 96, 3), np.uint8), 0.5)[0]
    assert found.boxes[:, 4] == pytest.approx([0.9, 0.6])


def test_a_texture_of_faces_is_bounded(monkeypatch):
    monkeypatch.setattr("lrface.faces.detect.centerface_backend._MOST", 3)
    cells = [(2 * row, 2 * column, 0.5 + 0.01 * column, (4, 4)) for row in range(8) for column in range(8)]
    found = CenterFace(Session(cells)).find(np.zeros((1, 64, 64, 3), np.uint8), 0.4)[0]
    assert found.boxes[:, 4] == pytest.approx([0.57] * 3)


def test_several_images_are_one_pass():
    session = Session([(6, 9, 0.8, (20, 24))])
    run = session.run
    session.run = lambda names, inputs: [
        np.repeat(maps, 3, axis=0) * [[[[1]]], [[[0]]], [[[1]]]] for maps in run(names, inputs)
    ]
    found = CenterFace(session).find(np.zeros((3, 64, 64, 3), np.uint8), 0.5)
    assert session.shown.shape == (3, 3, 64, 64)
    assert [len(faces.boxes) for faces in found] == [1, 0, 1]
    np.testing.assert_array_equal(found[0].boxes, found[2].boxes)

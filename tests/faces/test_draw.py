import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.draw import KNOWN, LEAST_SIDE, UNKNOWN, draw_faces
from lrface.faces.images import read_image


def places(image, colour):
    rows, columns = np.nonzero((image == colour).all(2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_small_images_are_enlarged_and_boxes_lie_where_the_faces_are(tmp_path):
    image = np.zeros((50, 100, 3), np.uint8)
    draw_faces(image, [(np.float32([10, 30, 20, 40]), "a", True)], tmp_path / "a.png")
    drawn = read_image(tmp_path / "a.png")
    assert drawn.shape[1] >= LEAST_SIDE
    factor = drawn.shape[1] // 100
    left, _, right, bottom = places(drawn, KNOWN)
    assert (left, right, bottom) == (10 * factor, 20 * factor, 40 * factor)
    assert not (drawn == UNKNOWN).all(2).any()


def test_unknown_faces_have_another_colour_and_faces_may_reach_out(tmp_path):
    image = np.zeros((1200, 1100, 3), np.uint8)
    faces = [(np.float32([-20, -30, 60, 40]), "x" * 30, False), (np.float32([1050, 1150, 1300, 1400]), "y" * 30, True)]
    draw_faces(image, faces, tmp_path / "a.png")
    drawn = read_image(tmp_path / "a.png")
    assert drawn.shape == image.shape
    assert (drawn == UNKNOWN).all(2).any()
    assert (drawn == KNOWN).all(2).any()


def test_only_png(tmp_path):
    with pytest.raises(LrfaceError, match="PNG"):
        draw_faces(np.zeros((9, 9, 3), np.uint8), [], tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())

"""Landmarks that are no upright face, photos that are turned, and photos of several faces."""

import numpy as np
import pytest

from lrface.cli import options
from lrface.faces.align import TEMPLATE, norm_crop
from lrface.faces.detect import FACE_RULES, Face, create_detector, is_upright, of_like_size
from lrface.faces.detect.base import best_first
from lrface.faces.detect.parts import Found
from lrface.faces.turn import FITTING, detect_turned, misfit

MIRRORED = TEMPLATE[[1, 0, 2, 4, 3]]


def turned(degrees):
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (TEMPLATE - 56) @ matrix.T + 56


@pytest.mark.parametrize("degrees", [-80, -45, 0, 30, 80])
def test_a_tilted_face_is_upright(degrees):
    assert is_upright(turned(degrees))
    assert is_upright(turned(degrees) * 0.01 + 5000)


@pytest.mark.parametrize(
    "points",
    [
        turned(180), turned(120), turned(-100), MIRRORED, np.zeros((5, 2)), np.full((5, 2), np.nan),
        TEMPLATE[[0, 0, 2, 3, 3]], TEMPLATE[[0, 1, 2, 0, 1]],
    ],
    ids=["head down", "beyond the side", "the other side", "mirrored", "one point", "no number", "no width", "no height"],
)  # fmt: skip
def test_what_cannot_be_an_upright_face(points):
    assert not is_upright(points)


def test_a_profile_is_a_face():
    points = TEMPLATE.copy()
    points[:2, 0] = 50, 56
    points[3:, 0] = 55, 54  # the corners of the mouth have changed places
    assert is_upright(points)


def face(score, points=TEMPLATE, side=100.0):
    return Face(np.float32([0, 0, side, side]), np.float32(points), score)


def test_detectors_leave_it_out():
    kept = best_first([face(0.5), face(0.9, turned(180)), face(0.8), face(0.99, MIRRORED)])
    assert [each.score for each in kept] == [0.8, 0.5]


def test_every_detector_does(monkeypatch):
    from lrface.faces.detect import dlib_backend, mtcnn_backend, search

    for module in (dlib_backend, mtcnn_backend, search):
        assert module.best_first is best_first

    class Network:
        def find(self, images, threshold):
            boxes = np.float32([[0, 0, 99, 99, 0.9], [100, 100, 199, 199, 0.8]])
            return [Found(boxes, np.stack([turned(180), TEMPLATE + 100]).astype(np.float32)) for _ in images]

    tuning = search.Tuning(threshold=0.5, wanted=17, best=50)
    found = search.Search("network", Network(), tuning, 60).detect(np.zeros((200, 200, 3), np.uint8))
    assert {round(each.score, 3) for each in found} == {0.8}


class Upright:
    """Finds the white square, and a face in it where the black corner of the square is at its upper left."""

    name = "upright"
    calls = 0

    def detect(self, image):
        self.calls += 1
        y, x = np.nonzero(image[:, :, 0] == 255)
        left, top, right, bottom = x.min(), y.min(), x.max(), y.max()
        if image[top, left, 1] != 7:
            return []
        points = TEMPLATE / 112 * (right - left) + [left, top]
        return [Face(np.float32([left, top, right, bottom]), np.float32(points), 0.9)]


def scene():
    image = np.random.default_rng(0).integers(0, 200, (300, 400, 3), dtype=np.uint8)
    image[40:100, 220:280] = 255
    image[40, 220, 1] = 7
    return image


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_a_turned_photo_gives_the_same_crop(quarter):
    image, finder = scene(), Upright()
    (plain,), degrees = detect_turned(finder, image)
    assert (degrees, finder.calls) == (0, 1)
    other = np.ascontiguousarray(np.rot90(image, quarter))
    (found,), degrees = detect_turned(finder, other)
    assert degrees == (-90 * quarter) % 360
    np.testing.assert_allclose(
        norm_crop(other, found.landmarks).astype(int), norm_crop(image, plain.landmarks).astype(int), atol=2
    )
    left, top, right, bottom = found.box.astype(int)
    assert (other[top : bottom + 1, left : right + 1, 0] == 255).all()
    assert (right - left, bottom - top) == (59, 59)


def test_other_turns_are_tried_once_and_only_if_asked():
    sideways, finder = np.ascontiguousarray(np.rot90(scene())), Upright()
    assert detect_turned(finder, sideways, turn=False) == ([], 0)
    assert finder.calls == 1
    assert detect_turned(finder, sideways)[1] == 270
    assert finder.calls == 5


def test_a_weak_face_is_compared_with_the_other_turns():
    class Weak(Upright):
        sure = 0.99

        def detect(self, image):
            return super().detect(image) or [face(0.7)]

    sideways = np.ascontiguousarray(np.rot90(scene()))
    faces, degrees = detect_turned(Weak(), sideways)
    assert (degrees, faces[0].score) == (270, 0.9)
    faces, degrees = detect_turned(Weak(), sideways, turn=False)
    assert (degrees, faces[0].score) == (0, 0.7)
    assert detect_turned(Weak(), scene())[1] == 0


def test_faces_of_like_size():
    main = face(0.9, side=100)
    others = [face(0.9, side=side) for side in (49, 51, 100, 300)]
    assert of_like_size([main, *others], main) == 3
    assert of_like_size([main], main) == 0


def test_the_options_name_the_rules():
    assert options.FACE_RULES == FACE_RULES


def test_mtcnn_on_a_photo_that_lies_on_its_side():
    data = pytest.importorskip("skimage.data")
    photo, finder = data.astronaut(), create_detector("mtcnn")
    upright = finder.detect(photo)[0]
    (found, *_), degrees = detect_turned(finder, np.ascontiguousarray(np.rot90(photo)))
    assert degrees == 270
    back = np.stack([511 - found.landmarks[:, 1], found.landmarks[:, 0]], axis=1)
    np.testing.assert_allclose(back, upright.landmarks, atol=3)


def test_a_face_seen_in_a_lying_photo_is_not_believed():
    """What a detector takes for an upright face there misses the template, whatever its score."""
    squashed = TEMPLATE * [1.6, 0.5]
    assert misfit(TEMPLATE) == pytest.approx(0, abs=1e-4)
    assert misfit(squashed) > FITTING
    assert misfit(np.zeros((5, 2))) == np.inf

    class Believing:
        name = "believing"

        def detect(self, image):
            wide = image.shape[1] > image.shape[0]
            return [face(0.9, squashed) if wide else face(0.85)]

    lying, upright = np.zeros((50, 90, 3), np.uint8), np.zeros((90, 50, 3), np.uint8)
    assert detect_turned(Believing(), lying)[1] == 90
    assert detect_turned(Believing(), upright)[1] == 0
    assert detect_turned(Believing(), lying, turn=False)[1] == 0

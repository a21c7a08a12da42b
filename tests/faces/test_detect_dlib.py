from importlib.util import find_spec

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.detect import create_detector
from lrface.faces.detect.dlib_backend import SMALL_SIDE, Dlib, five_points

needs_dlib = pytest.mark.skipif(find_spec("dlib") is None, reason="dlib is not installed")


def test_five_points_of_sixty_eight():
    points = np.random.default_rng(0).uniform(0, 200, (68, 2)).astype(np.float32)
    found = five_points(points)
    assert found.dtype == np.float32
    for axis in (0, 1):
        assert found[0, axis] == pytest.approx(sum(points[index, axis] for index in range(36, 42)) / 6, rel=1e-5)
        assert found[1, axis] == pytest.approx(sum(points[index, axis] for index in range(42, 48)) / 6, rel=1e-5)
    assert np.array_equal(found[2:], points[[30, 48, 54]])


class Rectangle:
    def left(self):
        return 10

    def top(self):
        return 20

    def right(self):
        return 29

    def bottom(self):
        return 59


class Shape:
    def parts(self):
        return [type("Point", (), {"x": index, "y": 2 * index if index < 48 else 200}) for index in range(68)]


class Recorder:
    """In place of dlib's detector."""

    def __init__(self):
        self.calls = []

    def run(self, image, enlargements, threshold):
        self.calls.append((image.shape, enlargements, threshold))
        return [Rectangle(), Rectangle()], [0.25, 1.5], [0, 0]


def test_small_images_are_enlarged_once():
    recorder = Recorder()
    detector = Dlib(recorder, lambda image, place: Shape())
    detector.detect(np.zeros((100, SMALL_SIDE, 3), np.uint8))
    detector.detect(np.zeros((SMALL_SIDE + 1, 100, 3), np.uint8))
    assert [call[1:] for call in recorder.calls] == [(1, 0.0), (0, 0.0)]


def test_boxes_are_half_open_and_the_best_comes_first():
    faces = Dlib(Recorder(), lambda image, place: Shape()).detect(np.zeros((100, 100, 3), np.uint8))
    assert [face.score for face in faces] == [1.5, 0.25]
    assert faces[0].box.tolist() == [10, 20, 30, 60]
    assert faces[0].landmarks.tolist() == [[38.5, 77], [44.5, 89], [30, 60], [48, 200], [54, 200]]


@needs_dlib
@pytest.mark.parametrize("installed", [False, True])
def test_missing_models_are_named(installed, tmp_path, monkeypatch):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr("lrface.faces.detect.dlib_backend.find_spec", lambda package: Spec if installed else None)
    with pytest.raises(LrfaceError, match=r"face-recognition-models.*pip install dlib-bin face-recognition-models"):
        create_detector("dlib")

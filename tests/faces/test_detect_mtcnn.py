from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch

from lrface.errors import LrfaceError
from lrface.faces.detect import create_detector
from lrface.faces.detect.mtcnn_backend import _cut, _suppress_contained

needs_weights = pytest.mark.skipif(find_spec("facenet_pytorch") is None, reason="facenet-pytorch is not installed")


@pytest.fixture(scope="module")
def pictures():
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    astronaut = data.astronaut()
    crowd = np.vstack([np.hstack([astronaut[:300], astronaut[:300, ::-1]]), np.hstack([data.coffee()[:, :512]] * 2)])
    return [astronaut, crowd, cv2.resize(astronaut, (300, 200)), astronaut[40:200, 150:300]]


@needs_weights
@pytest.mark.parametrize("index", range(4))
def test_equals_the_package(pictures, index):
    reason = "facenet_pytorch is not installed or lacks a library that only it needs"
    package = pytest.importorskip("facenet_pytorch", reason=reason, exc_type=ImportError)
    boxes, scores, landmarks = package.MTCNN(keep_all=True, select_largest=False).detect(
        np.ascontiguousarray(pictures[index]), landmarks=True
    )
    faces = create_detector("mtcnn").detect(pictures[index])
    assert len(faces) == len(boxes) > 0
    order = np.argsort(-scores.astype(float), kind="stable")
    for face, place in zip(faces, order, strict=True):
        np.testing.assert_allclose(face.box, boxes[place].astype(float), atol=0.01)
        np.testing.assert_allclose(face.landmarks, landmarks[place].astype(float), atol=0.01)
        assert face.score == pytest.approx(scores[place], abs=1e-4)


@needs_weights
def test_a_face_of_thirty_pixels(pictures):
    image = cv2.resize(pictures[0][20:220, 120:320], (64, 64), interpolation=cv2.INTER_AREA)
    (face,) = create_detector("mtcnn").detect(image)
    expected = (np.array([[204, 101], [247, 103], [225, 129], [201, 139], [246, 141]]) - [120, 20]) * 64 / 200
    assert np.abs(face.landmarks - expected).max() < 2


@needs_weights
def test_threads_are_set_when_given_and_left_alone_otherwise(monkeypatch):
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    create_detector("mtcnn")
    assert given == []
    create_detector("mtcnn", threads=1)
    assert given == [1]


def test_cuda_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LrfaceError, match="no CUDA device"):
        create_detector("mtcnn", device="cuda")


def test_a_damaged_installation_is_named(tmp_path, monkeypatch):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr("lrface.faces.detect.mtcnn_backend.find_spec", lambda package: Spec)
    with pytest.raises(LrfaceError, match=r"pnet\.pt: pip install"):
        create_detector("mtcnn")


def test_boxes_outside_the_image_are_dropped():
    pixels = torch.arange(3 * 40 * 50, dtype=torch.float32).reshape(1, 3, 40, 50)
    boxes = torch.tensor(
        [
            [1.0, 1, 50, 40, 0.9],  # all of it, as counting starts at 1
            [-90, -90, -50, -50, 0.8],
            [60, 10, 90, 30, 0.8],
            [41, 31, 90, 90, 0.7],  # the last 10 x 10 pixels
            [10, 30, 10, 10, 0.6],  # upside down
        ]
    )
    kept, cuts = _cut(pixels, boxes, 10)
    assert torch.equal(kept, boxes[[0, 3]])
    assert cuts.shape == (2, 3, 10, 10)
    assert torch.equal(cuts[1], pixels[0, :, 30:, 40:])
    kept, cuts = _cut(pixels, boxes[1:3], 10)
    assert kept.shape == (0, 5)
    assert cuts.shape == (0, 3, 10, 10)


def test_contained_boxes_are_suppressed():
    boxes = torch.tensor(
        [
            [30.0, 30, 50, 50, 0.8],  # inside the next one
            [0, 0, 100, 100, 0.9],
            [90, 90, 190, 190, 0.95],  # touches it
            [0, 0, 100, 100, 0.85],
        ]
    )
    assert _suppress_contained(boxes, 0.7).tolist() == [2, 1]
    assert _suppress_contained(boxes[:0], 0.7).tolist() == []

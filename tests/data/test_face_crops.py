"""An outcome for every face, in the order of the list, whoever reads it."""

import threading

import numpy as np
import pytest

from lrface.data import face_crops
from lrface.data.crop import RefusedError, Settings
from lrface.data.face_crops import read_face, read_faces
from lrface.data.face_list import FaceList
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, norm_crop
from lrface.faces.degrade import Degradation
from lrface.faces.detect import Face
from lrface.faces.images import encode_image, read_image

NONE = Settings(detector="none")
LANDMARKS = Settings(detector="landmarks")
POINTS = TEMPLATE + np.float32([31, 17])


class Finder:
    name = "finder"

    def __init__(self, *points):
        self.faces = [Face(np.float32([0, 0, 50 + n, 50 + n]), p, 0.9) for n, p in enumerate(points)]

    def detect(self, image):
        return self.faces


def itself(crop):
    return crop


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five photos of one drawn face each, at ``POINTS``, as files."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(5):
        picture = np.full((160, 200, 3), 90 + number, np.uint8)
        picture[17:129, 31:143] = face(number, 0, seed=1)
        (root / f"{number}.png").write_bytes(encode_image(picture, "png"))
    return root


def listed(photos, points=POINTS, numbers=range(5)):
    paths = tuple(photos / f"{number}.png" for number in numbers)
    return FaceList(paths, np.arange(len(paths)), None if points is None else np.repeat(points[None], len(paths), 0))


def flat(chunks):
    return [outcome for chunk in chunks for outcome in chunk]


def test_faces_are_cut_by_their_landmarks_and_finished(photos):
    found = flat(read_faces(listed(photos), LANDMARKS, Degradation(16), chunk=2))
    for number, outcome in enumerate(found):
        expected = Degradation(16)(norm_crop(read_image(photos / f"{number}.png"), POINTS))
        np.testing.assert_array_equal(outcome, expected)
    assert len(found) == 5


def test_images_that_are_faces_are_taken_as_they_are(photos):
    found = flat(read_faces(listed(photos, None), NONE, itself, chunk=3))
    assert [image.shape for image in found] == [(160, 200, 3)] * 5
    np.testing.assert_array_equal(found[4], read_image(photos / "4.png"))


def test_processes_read_what_a_thread_reads(photos):
    faces = FaceList.merge(listed(photos), listed(photos, numbers=[3, 9, 0]))
    alone, together = (list(read_faces(faces, LANDMARKS, Degradation(16), 2, workers)) for workers in (1, 3))
    assert [len(chunk) for chunk in together] == [2, 2, 2, 2]
    for own, other in zip(flat(alone), flat(together), strict=True):
        assert isinstance(own, str) == isinstance(other, str)
        np.testing.assert_array_equal(own, other)


def test_every_fault_has_its_reason_at_its_place(photos, tmp_path):
    (tmp_path / "torn.png").write_bytes((photos / "0.png").read_bytes()[:900])
    paths = (photos / "0.png", tmp_path / "torn.png", tmp_path / "none.png", photos / "1.png", photos / "2.png")
    points = np.repeat(POINTS[None], 5, 0)
    points[3], points[4] = np.nan, 5000
    found = flat(read_faces(FaceList(paths, np.arange(5), points), LANDMARKS, itself))
    assert found[0].shape == (112, 112, 3)
    assert "torn.png" in found[1]
    assert found[2].startswith(f"no such image: {tmp_path / 'none.png'} (looked in {tmp_path};")
    assert found[3] == f"{photos / '1.png'}: the landmarks of this face are not known"
    assert found[4] == f"{photos / '2.png'}: the landmarks do not lie in the image of 200 x 160 pixels"


def test_faces_of_one_photo_share_its_decoding(photos, monkeypatch):
    read = []
    monkeypatch.setattr(face_crops, "read_image", lambda path: read.append(path) or read_image(path))
    faces = listed(photos, numbers=[0, 0, 0, 1, 0])
    flat(read_faces(faces, LANDMARKS, itself, chunk=10))
    assert [path.name for path in read] == ["0.png", "1.png", "0.png"]


def test_an_unreadable_photo_is_unreadable_for_all_its_faces(photos, tmp_path):
    paths = (photos / "0.png", tmp_path / "none.png", tmp_path / "none.png", photos / "0.png")
    found = flat(read_faces(FaceList(paths, np.arange(4)), NONE, itself))
    assert [isinstance(outcome, str) for outcome in found] == [False, True, True, False]


def test_chunks_are_read_ahead(photos, monkeypatch):
    """The second chunk is read before it is asked for."""
    third = threading.Event()

    def read(path):
        if path.name == "1.png":
            third.set()
        return read_image(path)

    monkeypatch.setattr(face_crops, "read_image", read)
    chunks = read_faces(listed(photos), LANDMARKS, itself, chunk=1)
    next(chunks)
    assert third.wait(10)
    chunks.close()


def test_detectors(photos, monkeypatch):
    wanted = []
    monkeypatch.setattr(
        face_crops, "make_detector", lambda settings, device: wanted.append(device) or Finder(POINTS + 9, POINTS)
    )
    found = flat(read_faces(listed(photos), Settings(detector="mtcnn", face="largest"), itself, device="cuda"))
    assert wanted == ["cuda"]
    np.testing.assert_array_equal(found[2], norm_crop(read_image(photos / "2.png"), POINTS))


def test_where_no_face_is_found_the_eyes_may_be_known(photos):
    image = read_image(photos / "0.png")
    with pytest.raises(RefusedError) as refusal:
        read_face(image, None, Settings(detector="mtcnn"), Finder())
    assert refusal.value.reason == "mtcnn found no face"
    eyes = tuple(POINTS[:2].ravel().tolist())
    expected = norm_crop(image, POINTS[:2])
    np.testing.assert_array_equal(read_face(image, None, Settings(detector="mtcnn", eyes=eyes), Finder()), expected)
    np.testing.assert_array_equal(read_face(image, None, Settings(detector="eyes", eyes=eyes)), expected)


def test_what_cannot_be_read_at_all(photos):
    with pytest.raises(LrfaceError, match="0 workers"):
        list(read_faces(listed(photos), NONE, itself, workers=0))
    with pytest.raises(LrfaceError, match="has no landmarks: choose a detector"):
        list(read_faces(listed(photos, None), LANDMARKS, itself))
    assert list(read_faces(listed(photos, None, numbers=[]), NONE, itself)) == []

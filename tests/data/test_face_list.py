"""Faces in files: choosing, joining, naming the contents, and noticing what is missing."""

from pathlib import Path

import numpy as np
import pytest
from face_sets import put_images

from lrface.data.face_list import (
    DISTRACTOR,
    MARKER,
    UNKNOWN,
    FaceList,
    images_in,
    mate_note,
    read_identities,
    read_marker,
    require_images,
)
from lrface.errors import LrfaceError

POINTS = np.arange(30, dtype=np.float32).reshape(3, 5, 2)


def some(points=POINTS, ids=(4, UNKNOWN, 4)):
    return FaceList((Path("a"), Path("b"), Path("c")), np.array(ids, np.uint16 if min(ids) >= 0 else np.int64), points)


def test_labels_and_landmarks_are_of_one_type():
    faces = FaceList([Path("a")], np.array([65535], np.uint16), np.zeros((1, 5, 2)))  # type: ignore[arg-type]
    assert faces.ids.dtype == np.int64
    assert faces.landmarks.dtype == np.float32
    assert faces.paths == (Path("a"),)
    assert len(faces) == 1


@pytest.mark.parametrize(
    ("ids", "points"), [([1, 2], None), ([1, 2, 3], np.zeros((2, 5, 2))), ([1, 2, 3], np.zeros((3, 2, 2)))]
)
def test_what_does_not_go_together(ids, points):
    with pytest.raises(LrfaceError, match="3 "):
        FaceList((Path("a"), Path("b"), Path("c")), np.array(ids), points)


@pytest.mark.parametrize("which", [[2, 0], np.array([2, 0]), slice(None, None, -2)])
def test_subset(which):
    chosen = some().subset(which)
    assert chosen.paths == (Path("c"), Path("a"))
    assert chosen.ids.tolist() == [4, 4]
    assert np.array_equal(chosen.landmarks, POINTS[[2, 0]])


def test_subset_by_mask():
    faces = some(points=None)
    assert faces.subset(faces.ids == UNKNOWN).paths == (Path("b"),)
    assert faces.subset(faces.ids == 4).landmarks is None
    assert faces.people == 1


def test_merge():
    other = FaceList((Path("d"),), np.array([DISTRACTOR]))
    joined = FaceList.merge(some(), other)
    assert joined.paths[-1] == Path("d")
    assert joined.ids.tolist() == [4, -1, 4, -100]
    assert np.array_equal(joined.landmarks[:3], POINTS)
    assert np.isnan(joined.landmarks[3]).all()
    assert FaceList.merge(other, other).landmarks is None
    assert len(FaceList.merge()) == 0


def test_the_fingerprint_moves_with_the_set_and_changes_with_its_contents(tmp_path):
    def faces(root, ids=(0, 1), points=None):
        return FaceList((root / "x" / "1.jpg", root / "y" / "2.jpg"), np.array(ids), points)

    for root in ("here", "there"):
        put_images(tmp_path / root / "x", ["1.jpg"])
        put_images(tmp_path / root / "y", ["2.jpg"])
    first = faces(tmp_path / "here").fingerprint()
    assert faces(tmp_path / "there").fingerprint() == first
    assert faces(tmp_path / "here", ids=(0, 2)).fingerprint() != first
    assert faces(tmp_path / "here", points=np.zeros((2, 5, 2))).fingerprint() != first
    assert faces(tmp_path / "here").subset([1, 0]).fingerprint() != first
    (tmp_path / "here" / "x" / "1.jpg").write_bytes(b"shorter")
    assert faces(tmp_path / "here").fingerprint() != first
    (tmp_path / "here" / "x" / "1.jpg").unlink()
    with pytest.raises(LrfaceError, match=r"cannot read .*1\.jpg"):
        faces(tmp_path / "here").fingerprint()


def test_missing_images_are_counted_and_named(tmp_path):
    there = put_images(tmp_path / "set", ["1.jpg", "2.jpg"])
    require_images(there, "list.mat")
    gone = [tmp_path / "set" / "3.jpg", tmp_path / "nowhere" / "4.jpg"]
    with pytest.raises(LrfaceError, match=r"^2 of the 4 images that list\.mat lists are missing, first .*3\.jpg"):
        require_images([*there, *gone], "list.mat")


def test_listing_a_folder(tmp_path):
    put_images(tmp_path, ["b.jpg", "a.PNG", "c.JPG"])
    (tmp_path / "Thumbs.db").write_text("x")
    assert [path.name for path in images_in(tmp_path, "tinyface")] == ["a.PNG", "b.jpg", "c.JPG"]
    with pytest.raises(LrfaceError, match=r"none.*`lrface data where tinyface`"):
        images_in(tmp_path / "none", "tinyface")


def test_a_folder_per_identity(tmp_path):
    for name in ("10", "2", "empty"):
        put_images(tmp_path / name, [] if name == "empty" else ["b.jpg", "a.jpg"][: int(name[0])])
    faces = read_identities(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in faces.paths] == ["10/b.jpg", "2/a.jpg", "2/b.jpg"]
    assert faces.ids.tolist() == [0, 1, 1]
    with pytest.raises(LrfaceError, match=r"no images|no folders"):
        read_identities(tmp_path / "empty")


def test_marker(tmp_path):
    assert read_marker(tmp_path) is None
    (tmp_path / MARKER).write_text('{"seed": 5}')
    assert read_marker(tmp_path) == {"seed": 5}
    for damaged in ("[]", "{"):
        (tmp_path / MARKER).write_text(damaged)
        with pytest.raises(LrfaceError, match=MARKER):
            read_marker(tmp_path)


def test_probes_without_a_mate_are_counted():
    gallery = FaceList((Path("a"), Path("d")), np.array([4, UNKNOWN]))
    assert mate_note(some(ids=(4, UNKNOWN, 5)), gallery) == ["2 of 3 probes have no mate in the gallery"]
    assert mate_note(some(ids=(4, 4, 4)), gallery) == []

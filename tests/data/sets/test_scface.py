"""SCface's layout: file names say who, which camera and how far."""

import pytest
from face_sets import put_images

from lrface.data.face_list import MARKER
from lrface.data.sets.scface import read_scface
from lrface.errors import LrfaceError


@pytest.fixture
def root(tmp_path):
    """Subjects 1, 2 and 130; 130 has no mugshot. The infrared cameras 6 and 7 lie beside the others."""
    put_images(tmp_path / "mugshot_frontal_cropped_all", ["002_frontal.JPG", "001_frontal.jpg"])
    for distance in (1, 2, 3):
        for camera in range(1, 8):
            names = [f"{subject}_cam{camera}_{distance}.jpg" for subject in ("130", "001", "002")]
            put_images(tmp_path / f"surveillance_cameras_distance_{distance}" / f"cam_{camera}", names)
    return tmp_path


def test_the_whole_set(root):
    scface = read_scface(root)
    assert scface.mugshots.ids.tolist() == [1, 2]
    assert sorted(scface.cameras) == [1, 2, 3]
    for distance, faces in scface.cameras.items():
        assert faces.ids.tolist() == [1, 2, 130] * 5
        assert {path.stem[-1] for path in faces.paths} == {str(distance)}
        assert {path.parent.name for path in faces.paths} == {f"cam_{camera}" for camera in range(1, 6)}
    assert scface.rehearsal is None
    assert "5 of 15 distance 1 probes have no mate in the gallery" in scface.notes
    assert "2 mugshot images, the published set has 130" in scface.notes


def test_a_rehearsal_says_so(root):
    (root / MARKER).write_text('{"seed": 1}')
    assert read_scface(root).rehearsal == {"seed": 1}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("mugshot_frontal_cropped_all", "003.jpg"),
        ("surveillance_cameras_distance_1/cam_2", "001_cam3_1.jpg"),
        ("surveillance_cameras_distance_1/cam_2", "003_cam2_2.jpg"),
        ("surveillance_cameras_distance_3/cam_5", "holiday.jpg"),
    ],
)
def test_a_file_where_it_does_not_belong(root, folder, name):
    put_images(root / folder, [name])
    with pytest.raises(LrfaceError, match=f"{name} is not named like 001_"):
        read_scface(root)


def test_two_mugshots(root):
    put_images(root / "mugshot_frontal_cropped_all", ["01_frontal.jpg"])
    with pytest.raises(LrfaceError, match="has subject 1 twice"):
        read_scface(root)


def test_missing_parts(root):
    with pytest.raises(LrfaceError, match=r"no SCface at .*`lrface data where scface`"):
        read_scface(root / "none")
    (root / "surveillance_cameras_distance_2" / "cam_4").rename(root / "away")
    with pytest.raises(LrfaceError, match="cam_4"):
        read_scface(root)


def test_an_empty_gallery_and_an_empty_distance(root):
    for image in (root / "surveillance_cameras_distance_2").glob("*/*"):
        image.unlink()
    with pytest.raises(LrfaceError, match="distance_2 holds no images"):
        read_scface(root)
    for image in (root / "mugshot_frontal_cropped_all").iterdir():
        image.unlink()
    with pytest.raises(LrfaceError, match=r"the gallery of .* is empty"):
        read_scface(root)

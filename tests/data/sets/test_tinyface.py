"""TinyFace's layout, with lists of both versions of MATLAB."""

import numpy as np
import pytest
from face_sets import WRITERS, put_images, text_cells, write_v5

from lrface.data.face_list import DISTRACTOR, MARKER
from lrface.data.sets.tinyface import read_tinyface
from lrface.errors import LrfaceError


@pytest.fixture(params=WRITERS)
def root(request, tmp_path):
    """Three probes, one of them without a mate; the lists are not in the order of the names."""
    test = tmp_path / "Testing_Set"
    put_images(test / "Probe", ["9_1.jpg", "60000_1.jpg", "5_1.jpg"])
    put_images(test / "Gallery_Match", ["60000_2.jpg", "9_2.jpg"])
    put_images(test / "Gallery_Distractor", ["2.jpg", "1.jpg"])
    for person in ("b", "a"):
        put_images(tmp_path / "Training_Set" / person, ["1.jpg", "2.jpg"])
    write = WRITERS[request.param]
    ids = np.array([[9], [60000], [5]], np.uint16)
    write(test / "probe_img_ID_pairs.mat", probe_set=text_cells(["9_1.jpg", "60000_1.jpg", "5_1.jpg"]), probe_ids=ids)
    write(
        test / "gallery_match_img_ID_pairs.mat",
        gallery_set=text_cells(["60000_2.jpg", "9_2.jpg"]),
        gallery_ids=np.array([[60000], [9]], np.uint16),
    )
    return tmp_path


def test_the_whole_set(root):
    tinyface = read_tinyface(root)
    test = root / "Testing_Set"
    assert tinyface.probe.paths == tuple(test / "Probe" / name for name in ("9_1.jpg", "60000_1.jpg", "5_1.jpg"))
    assert tinyface.probe.ids.tolist() == [9, 60000, 5]
    assert tinyface.match.ids.tolist() == [60000, 9]
    assert [path.name for path in tinyface.distractors.paths] == ["1.jpg", "2.jpg"]
    assert tinyface.distractors.ids.tolist() == [DISTRACTOR] * 2
    assert tinyface.gallery.ids.tolist() == [60000, 9, DISTRACTOR, DISTRACTOR]
    assert tinyface.train.ids.tolist() == [0, 0, 1, 1]
    assert tinyface.rehearsal is None
    assert tinyface.notes[0] == "1 of 3 probes have no mate in the gallery"
    assert "2 distractor images, the published set has 153,428" in tinyface.notes


def test_a_rehearsal_says_so(root):
    (root / MARKER).write_text('{"seed": 3}')
    tinyface = read_tinyface(root)
    assert tinyface.rehearsal == {"seed": 3}
    assert tinyface.notes == ("1 of 3 probes have no mate in the gallery",)


def test_what_is_left_out_is_counted(root):
    put_images(root / "Testing_Set" / "Gallery_Match", ["unlisted.jpg"])
    for person in ("a", "b"):
        for name in ("1.jpg", "2.jpg"):
            (root / "Training_Set" / person / name).unlink()
        (root / "Training_Set" / person).rmdir()
    (root / "Training_Set").rmdir()
    tinyface = read_tinyface(root)
    assert len(tinyface.train) == 0
    assert "no Training_Set: nothing to finetune on" in tinyface.notes
    assert "1 images in Gallery_Match are not in its list and not used" in tinyface.notes


def test_a_missing_image(root):
    (root / "Testing_Set" / "Probe" / "5_1.jpg").unlink()
    with pytest.raises(
        LrfaceError, match=r"^1 of the 3 images that .*probe_img_ID_pairs\.mat lists are missing, .*5_1\.jpg"
    ):
        read_tinyface(root)


def test_an_empty_gallery(root):
    empty = {"gallery_set": np.empty((0, 1), object), "gallery_ids": np.empty((0, 1), np.uint16)}
    write_v5(root / "Testing_Set" / "gallery_match_img_ID_pairs.mat", **empty)
    with pytest.raises(LrfaceError, match=r"the gallery of .* is empty"):
        read_tinyface(root)


def test_a_negative_label(root):
    write_v5(
        root / "Testing_Set" / "probe_img_ID_pairs.mat", probe_set=text_cells(["5_1.jpg"]), probe_ids=np.array([[-100]])
    )
    with pytest.raises(LrfaceError, match="has the label -100"):
        read_tinyface(root)


@pytest.mark.parametrize("gone", ["Probe", "Gallery_Match", "Gallery_Distractor"])
def test_a_missing_folder(root, gone):
    (root / "Testing_Set" / gone).rename(root / "elsewhere")
    with pytest.raises(LrfaceError, match=gone):
        read_tinyface(root)


def test_missing_lists_and_no_set_at_all(root):
    with pytest.raises(LrfaceError, match=r"no TinyFace at .*`lrface data where tinyface`"):
        read_tinyface(root / "none")
    (root / "Testing_Set" / "probe_img_ID_pairs.mat").unlink()
    with pytest.raises(LrfaceError, match=r"cannot read .*probe_img_ID_pairs\.mat"):
        read_tinyface(root)

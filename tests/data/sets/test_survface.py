"""QMUL-SurvFace's layout: search lists, pairs, strangers."""

import numpy as np
import pytest
from face_sets import WRITERS, put_images, text_cells, write_v5

from lrface.data.face_list import MARKER, UNKNOWN
from lrface.data.sets.survface import read_survface
from lrface.errors import LrfaceError

GALLERY, MATED = ["1_cam1_1.jpg", "2_cam1_1.jpg"], ["2_cam2_2.jpg", "1_cam2_2.jpg", "1_cam2_3.jpg"]


@pytest.fixture(params=WRITERS)
def root(request, tmp_path):
    write = WRITERS[request.param]
    test, verify = tmp_path / "Face_Identification_Test_Set", tmp_path / "Face_Verification_Test_Set"
    put_images(test / "gallery", GALLERY)
    put_images(test / "mated_probe", MATED)
    put_images(test / "unmated_probe", ["distractors_1.jpg", "77_cam1_1.jpg"])
    put_images(tmp_path / "training_set" / "9", ["9_cam1_1.jpg"])
    put_images(verify / "verification_images", GALLERY + MATED)
    write(
        test / "gallery_img_ID_pairs.mat", gallery_set=text_cells(GALLERY), gallery_ids=np.array([[1], [2]], np.uint16)
    )
    write(
        test / "mated_probe_img_ID_pairs.mat",
        mated_probe_set=text_cells(MATED),
        mated_probe_ids=np.array([[2], [1], [1]], np.float64),
    )
    write_pairs(write, verify, [[GALLERY[0], MATED[1]], [GALLERY[1], MATED[0]]], [[GALLERY[0], MATED[0]], GALLERY])
    return tmp_path


def write_pairs(write, folder, positive, negative):
    for kind, pairs in (("positive", positive), ("negative", negative)):
        write(folder / f"{kind}_pairs_names.mat", **{f"{kind}_pairs_names": text_cells(pairs)})


def test_the_whole_set(root):
    survface = read_survface(root)
    assert [path.name for path in survface.gallery.paths] == GALLERY
    assert survface.gallery.ids.tolist() == [1, 2]
    assert survface.mated.ids.tolist() == [2, 1, 1]
    assert survface.unmated.ids.tolist() == [UNKNOWN] * 2
    assert survface.train.ids.tolist() == [0]
    assert survface.rehearsal is None
    assert survface.notes == (
        "2 gallery images, the published set has 60,294",
        "3 mated probe images, the published set has 60,423",
        "2 unmated probe images, the published set has 141,736",
    )


def test_pairs_alternate(root):
    pairs = read_survface(root).pairs
    assert pairs.same.tolist() == [True, False, True, False]
    listed = [(pairs.faces.paths[a].name, pairs.faces.paths[b].name) for a, b in zip(pairs.a, pairs.b, strict=True)]
    assert listed == [(GALLERY[0], MATED[1]), (GALLERY[0], MATED[0]), (GALLERY[1], MATED[0]), tuple(GALLERY)]
    assert len(pairs.faces) == 4
    assert set(pairs.faces.ids) == {UNKNOWN}


def test_uneven_lists_are_spread(root):
    verify = root / "Face_Verification_Test_Set"
    positive = [[GALLERY[0], MATED[1]]]
    negative = [[GALLERY[0], MATED[0]], GALLERY, [GALLERY[1], MATED[1]], [GALLERY[1], MATED[2]]]
    write_pairs(write_v5, verify, positive, negative)
    assert read_survface(root).pairs.same.tolist() == [False, False, True, False, False]


def test_repeated_pairs_are_counted(root):
    write_pairs(
        write_v5, root / "Face_Verification_Test_Set", [[GALLERY[0], MATED[1]], [MATED[1], GALLERY[0]]], [GALLERY]
    )
    survface = read_survface(root)
    assert len(survface.pairs.same) == 3
    assert "1 of the 3 verification pairs are repetitions and count as listed" in survface.notes


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ([GALLERY], [GALLERY[::-1]], rf"contradict each other: {GALLERY[0]} and {GALLERY[1]} are in both"),
        ([[GALLERY[0], GALLERY[0]]], [GALLERY], rf"pair {GALLERY[0]} with itself"),
        (
            [["absent.jpg", GALLERY[0]]],
            [GALLERY],
            r"^1 of the 3 images that the lists in .* are missing, .*absent\.jpg",
        ),
        (np.empty((0, 2), object), [GALLERY], r"positive_pairs_names\.mat lists no pair"),
        ([GALLERY], np.empty((0, 2), object), r"negative_pairs_names\.mat lists no pair"),
    ],
)
def test_pairs_that_cannot_be_used(root, positive, negative, message):
    write_pairs(write_v5, root / "Face_Verification_Test_Set", positive, negative)
    with pytest.raises(LrfaceError, match=message):
        read_survface(root)


def test_without_pairs_and_with_a_marker(root):
    (root / "Face_Verification_Test_Set").rename(root / "away")
    (root / MARKER).write_text('{"seed": 1}')
    survface = read_survface(root)
    assert survface.pairs is None
    assert survface.rehearsal == {"seed": 1}
    assert survface.notes == ("no Face_Verification_Test_Set: nothing to verify",)


def test_a_mated_probe_without_a_mate_is_counted(root):
    write_v5(
        root / "Face_Identification_Test_Set" / "gallery_img_ID_pairs.mat",
        gallery_set=text_cells(GALLERY[:1]),
        gallery_ids=np.array([[1]]),
    )
    notes = read_survface(root).notes
    assert "1 of 3 mated probes have no mate in the gallery" in notes
    assert "1 images in gallery are not in its list and not used" in notes


def test_an_empty_gallery_and_no_set_at_all(root):
    write_v5(
        root / "Face_Identification_Test_Set" / "gallery_img_ID_pairs.mat",
        gallery_set=np.empty((0, 1), object),
        gallery_ids=np.empty((0, 1)),
    )
    with pytest.raises(LrfaceError, match=r"the gallery of .* is empty"):
        read_survface(root)
    with pytest.raises(LrfaceError, match=r"no QMUL-SurvFace at .*`lrface data where qmul-survface`"):
        read_survface(root / "none")

"""UCCS from a given split, from the challenge's files, from a folder per identity."""

import pickle
from collections import Counter

import numpy as np
import pytest
from face_sets import put_images

from lrface.data.face_list import MARKER
from lrface.data.sets.uccs import build_split, read_uccs, write_split
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, alignment

POINTS = [f"{point}_{axis}" for point in ("REYE", "LEYE", "NOSE", "RMOUTH", "LMOUTH") for axis in "XY"]
BOX = "FILE,FACE_ID,SUBJECT_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT"


@pytest.fixture
def folder(tmp_path):
    """Three people with six images each, one with one."""
    root = tmp_path / "people"
    for name in ("ann", "bob", "cid"):
        put_images(root / name, [f"{number}.jpg" for number in range(6)])
    put_images(root / "dee", ["0.jpg"])
    return root


@pytest.fixture
def challenge(tmp_path):
    """Two people: three crops each in the gallery; photos with both of them, a stranger, and a face of the gallery."""
    root = tmp_path / "challenge"
    rows = [f"FILE,SUBJECT_ID,{','.join(POINTS)}"]
    for subject in (1, 2):
        names = [f"{subject:04d}_{number}.png" for number in range(3)]
        put_images(root / "gallery_images" / f"{subject:04d}", names)
        rows += [f"{name},{subject},{','.join(str(value) for value in range(10))}" for name in names]
    (root / "gallery.csv").write_text("\n".join(rows) + "\n")
    put_images(root / "validation_images", ["p.jpg", "q.jpg"], side=100)
    lines = [
        BOX,
        "p.jpg,11,1,10,20,30,30",
        "p.jpg,12,2,50.5,20,20,30",
        "p.jpg,13,-1,80,20,10,10",
        "q.jpg,14,2,0,0,50,40",
        "q.jpg,15,1,60,0,20,20",
    ]
    (root / "validation.csv").write_text("\n".join(lines) + "\n")
    (root / "exclude_gallery_validation.txt").write_text("15\n")
    return root


def write_csv(folder, *lines, header="path,subject_id,split"):
    path = folder / "split.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_folder_per_identity_gets_our_own_split(folder):
    uccs = read_uccs(folder, subjects=3, train=10, test=5)
    assert uccs.split == "lrface's own, seed 5"
    assert uccs.subjects == 3
    assert uccs.names == ("ann", "bob", "cid")
    assert (len(uccs.train), len(uccs.test)) == (10, 5)
    for part in (uccs.train, uccs.test):
        assert [uccs.names[label] for label in part.ids] == [path.parent.name for path in part.paths]
        assert set(part.ids) == {0, 1, 2}
        assert part.landmarks is None
    assert not set(uccs.train.paths) & set(uccs.test.paths)
    assert uccs.rehearsal is None
    assert uccs.notes == ()


def test_the_same_seed_gives_the_same_split_elsewhere(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for name in ("dee", "cid", "bob", "ann"):
        put_images(copy / name, sorted((path.name for path in (folder / name).iterdir()), reverse=True))

    def names(root, seed):
        uccs = build_split(root, 2, 6, 3, seed)
        return [[path.relative_to(root) for path in part.paths] for part in (uccs.train, uccs.test)]

    assert names(folder, 5) == names(copy, 5)
    assert len({str(names(folder, seed)) for seed in range(6)}) > 1


def test_what_falls_short_is_said(folder):
    uccs = read_uccs(folder)
    wanted = "180 people, 3,918 training and 907 test images"
    assert uccs.notes == (f"3 people, 15 training and 3 test images: what there is of {wanted}",)


def test_a_given_split_is_taken_as_it_is(folder):
    lines = ["bob/0.jpg,bob,train", "ann/1.jpg,ann,test", "ann/0.jpg,ann,train", "bob/5.jpg,bob,train"]
    path = write_csv(folder, *lines)
    for source, images in ((folder, None), (path, None), (path, folder)):
        uccs = read_uccs(source, images)
        assert uccs.split == "given (split.csv)"
        assert uccs.names == ("ann", "bob")
        assert uccs.train.paths == tuple(folder / name for name in ("bob/0.jpg", "ann/0.jpg", "bob/5.jpg"))
        assert uccs.train.ids.tolist() == [1, 0, 1]
        assert uccs.test.ids.tolist() == [0]
        assert uccs.notes == ("1 of 2 people have no test image",)


def test_a_split_that_was_written_reads_back(folder, challenge):
    for root, made in ((folder, build_split(folder, 3, 10, 5)), (challenge, build_split(challenge, 2, 6, 2))):
        assert (made.train.landmarks is None) == (root == folder)
        write_split(made, root / "split.csv", root)
        read = read_uccs(root)
        assert read.names == made.names
        for part in ("train", "test"):
            before, after = getattr(made, part), getattr(read, part)
            assert after.paths == before.paths
            assert after.ids.tolist() == before.ids.tolist()
            if before.landmarks is None:
                assert after.landmarks is None
            else:
                assert np.array_equal(after.landmarks, before.landmarks)
    with pytest.raises(LrfaceError, match="does not lie under"):
        write_split(made, root / "split.csv", root / "elsewhere")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["ann/0.jpg,ann,train", "ann/0.jpg,ann,test"], r"line 3: ann/0\.jpg .* in line 2 \(ann in train, here ann in test"),
        (["ann/0.jpg,ann,train", "ann/0.jpg,bob,train"], r"line 3: .* \(ann in train, here bob in train\)"),
        (["ann/0.jpg,ann,train", "bob/0.jpg,bob,test"], r"1 subjects have test images and no training image, first bob"),
        (["ann/0.jpg,ann,train", "bob/0.jpg,bob,valid"], r"line 3: split is 'valid': write train or test"),
        (["ann/0.jpg,ann,train", "bob/0.jpg,,test"], r"line 3: there is no subject_id"),
        (["ann/0.jpg,ann,train", "ann/9.jpg,ann,test"], r"1 of the 2 images that .*split\.csv lists are missing, .*9\.jpg"),
        (["ann/0.jpg,ann,train", "bob/0.jpg,bob,train"], r"2 people and 0 test images make no identification"),
        ([], r"split\.csv lists no image"),
    ],
)  # fmt: skip
def test_a_given_split_that_cannot_be_used(folder, lines, message):
    with pytest.raises(LrfaceError, match=r"split\.csv") as caught:
        read_uccs(write_csv(folder, *lines))
    assert caught.match(message)


def test_a_given_split_with_other_columns(folder):
    with pytest.raises(LrfaceError, match=r"lacks the column 'subject_id'"):
        read_uccs(write_csv(folder, "ann/0.jpg,ann,train", header="path,name,split"))
    with pytest.raises(LrfaceError, match=r"lacks the column 'left_eye_y'"):
        read_uccs(write_csv(folder, "ann/0.jpg,ann,train,3", header="path,subject_id,split,left_eye_x"))
    with pytest.raises(LrfaceError, match=r"no such split"):
        read_uccs(folder / "other.csv")
    with pytest.raises(LrfaceError, match=r"no UCCS at .*`lrface data where uccs`"):
        read_uccs(folder / "none")


def test_the_challenge(challenge):
    uccs = read_uccs(challenge, subjects=2, train=6, test=3)
    assert uccs.subjects == 2
    assert uccs.names == ("1", "2")
    files = Counter(path.name for part in (uccs.train, uccs.test) for path in part.paths)
    # the stranger (13) and the face that the gallery has too (15) are left out, p.jpg shows two people
    assert files == {f"{s:04d}_{n}.png": 1 for s in (1, 2) for n in range(3)} | {"p.jpg": 2, "q.jpg": 1}
    assert "1 faces of unknown people in validation.csv are not used" in uccs.notes
    assert "1 faces of validation.csv are in the gallery too and counted once" in uccs.notes


def test_the_persons_right_eye_is_on_the_images_left(challenge):
    uccs = read_uccs(challenge, subjects=2, train=6, test=3)
    for part in (uccs.train, uccs.test):
        for path, points in zip(part.paths, part.landmarks, strict=True):
            if path.suffix == ".png":
                assert points.ravel().tolist() == list(range(10))


def test_a_box_is_aligned_by_taking_the_square_around_it(challenge):
    uccs = read_uccs(challenge, subjects=2, train=6, test=3)
    boxes = {(10, 20, 30): False, (45.5, 20, 30): False, (0, -5, 50): False}
    for part in (uccs.train, uccs.test):
        for path, points in zip(part.paths, part.landmarks, strict=True):
            if path.suffix != ".jpg":
                continue
            matrix = alignment(points, 112)
            zoom = matrix[0, 0]
            assert abs(matrix[0, 1]) < 1e-5  # no rotation
            # a box from x to x + side covers the pixel centres from x - 0.5 on; the crop begins at -0.5
            corner = (-0.5 - matrix[:, 2]) / zoom + 0.5
            square = (*(round(float(value), 2) for value in corner), round(112 / zoom))
            assert square in boxes
            boxes[square] = True
    assert all(boxes.values())
    assert TEMPLATE.shape == (5, 2)


def test_the_list_of_exclusions_may_be_a_pickle_but_no_program(challenge):
    (challenge / "exclude_gallery_validation.txt").unlink()
    assert any(note.startswith("no exclude_gallery_validation list") for note in read_uccs(challenge).notes)
    pickled = challenge / "exclude_gallery_validation.pickle"
    for protocol in range(2, 6):
        pickled.write_bytes(pickle.dumps([14, 15], protocol=protocol))
        notes = read_uccs(challenge).notes
        assert "2 faces of validation.csv are in the gallery too and counted once" in notes
    pickled.write_bytes(pickle.dumps(print))
    with pytest.raises(LrfaceError, match=r"asks for builtins\.print.*exclude_gallery_validation\.txt, one a line"):
        read_uccs(challenge)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("gallery.csv", "REYE_X", "EYE_X", r"gallery\.csv lacks the column 'REYE_X'"),
        ("gallery.csv", "SUBJECT_ID", "SUBJECT", r"gallery\.csv lacks the column 'SUBJECT_ID'"),
        ("gallery.csv", "0001_1.png,1", "0001_0.png,1", r"gallery\.csv lists the FILE 0001_0\.png twice"),
        ("gallery.csv", "0001_1.png,1", "0001_9.png,1", r"1 of the 6 images that .*gallery\.csv lists are missing"),
        ("gallery.csv", "0001_1.png,1", "0001_1.png,one", r"gallery\.csv holds something that is no number"),
        ("gallery.csv", "0001_1.png,1,0", "0001_1.png,1,x", r"gallery\.csv holds something that is no number"),
        ("validation.csv", "p.jpg,12", "p.jpg,11", r"validation\.csv lists the FACE_ID 11 twice"),
        ("validation.csv", "p.jpg,12,2", "p.jpg,12,2.5", r"SUBJECT_ID holds something that is no whole number"),
        ("validation.csv", "FACE_WIDTH", "WIDTH", r"validation\.csv lacks the column 'FACE_WIDTH'"),
        ("validation.csv", "q.jpg,14", "r.jpg,14", r"images that .*validation\.csv lists are missing, .*r\.jpg"),
    ],
)
def test_damaged_lists_of_the_challenge(challenge, file, old, new, message):
    text = (challenge / file).read_text()
    assert old in text
    (challenge / file).write_text(text.replace(old, new, 1))
    with pytest.raises(LrfaceError, match=message):
        read_uccs(challenge)


def test_half_of_the_challenge(challenge):
    (challenge / "validation.csv").unlink()
    with pytest.raises(LrfaceError, match=r"validation\.csv is missing"):
        read_uccs(challenge)


def test_a_rehearsal_says_so(challenge):
    (challenge / MARKER).write_text('{"seed": 1}')
    assert read_uccs(challenge).rehearsal == {"seed": 1}

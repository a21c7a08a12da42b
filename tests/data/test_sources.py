"""The order of a source is the same everywhere, and shares of it add up."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrface.data import recordio
from lrface.data.recordio import RecordWriter, pack
from lrface.data.sources import FolderSource, RecordSource, is_record, open_source, read_landmarks, take_share
from lrface.errors import LrfaceError

EYES = "path,left_eye_x,left_eye_y,right_eye_x,right_eye_y"
POINTS = EYES + ",nose_x,nose_y,left_mouth_x,left_mouth_y,right_mouth_x,right_mouth_y"


def everything(source):
    counts = source.counts()
    return list(source.items(0, len(counts)))


@pytest.fixture
def folder(tmp_path):
    """Written in an order that is not the one to be read in."""
    for name in ("bob/2.jpg", "bob/10.PNG", "bob/notes.txt", "ann/x.jpeg", "empty/readme", "stray.jpg"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "set"


def test_a_folder_is_listed_in_the_order_of_its_names(folder):
    source = open_source(str(folder))
    assert isinstance(source, FolderSource)
    assert source.counts() == [("ann", 1), ("bob", 2), ("empty", 0)]
    items = everything(source)
    assert [(item.path, item.identity, item.label) for item in items] == [
        ("ann/x.jpeg", "ann", 0), ("bob/10.PNG", "bob", 1), ("bob/2.jpg", "bob", 1),
    ]  # fmt: skip
    assert all(item.known and item.landmarks is None for item in items)
    assert [source.load(item) for item in items] == [item.path.encode() for item in items]
    assert list(source.items(1, 2)) == items[1:]


def test_a_file_that_is_gone_is_an_error_of_that_image(folder):
    source = open_source(folder)
    item = everything(source)[0]
    (folder / item.path).unlink()
    with pytest.raises(LrfaceError, match=r"cannot read ann/x\.jpeg: No such file"):
        source.load(item)


def test_folders_that_are_no_source(tmp_path):
    with pytest.raises(LrfaceError, match="no such source"):
        open_source(tmp_path / "missing")
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(LrfaceError, match="one folder of images for each identity"):
        open_source(tmp_path)
    with pytest.raises(LrfaceError, match="no such source"):
        open_source(tmp_path / "photo.jpg")


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    source = open_source(folder)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LrfaceError, match=r"cannot list .*ann: Permission denied"):
        source.counts()


def test_names_that_are_not_utf8_are_read(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).mkdir()
    (tmp_path / name / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    source = open_source(tmp_path)
    assert take_share(source, 0, 1).images == 1
    assert source.load(everything(source)[0]) == b"x"


@pytest.mark.parametrize(("header", "row", "points"), [(EYES, "1,2,3,4", 2), (POINTS, "1,2,3,4,5,6,7,8,9,10.5", 5)])
def test_landmarks_come_with_their_images(folder, tmp_path, header, row, points):
    (tmp_path / "marks.csv").write_text(f"extra,{header}\nno,bob/2.jpg,{row}\nno,zed/1.jpg,{row}\n")
    source = open_source(folder, tmp_path / "marks.csv")
    by_path = {item.path: item for item in everything(source)}
    numbers = [float(number) for number in row.split(",")]
    assert by_path["bob/2.jpg"].landmarks == np.reshape(numbers, (points, 2)).tolist()
    assert by_path["bob/2.jpg"].known
    assert by_path["ann/x.jpeg"].landmarks is None
    assert not by_path["ann/x.jpeg"].known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such landmarks file"),
        ("", "not a CSV file"),
        ("path,left_eye_x\na,1\n", "lacks the column 'left_eye_y'"),
        (f"{EYES},nose_x\na,1,2,3,4,5\n", "lacks the column 'nose_y'"),
        (EYES.removeprefix("path,") + "\n1,2,3,4\n", "lacks the column 'path'"),
        (f"{EYES}\na,1,2,x,4\n", "not a number"),
        (f"{EYES}\na,1,2,3,4\nb,1,2,3,4\na,5,6,7,8\n", "lists a twice"),
    ],
)
def test_landmarks_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "marks.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LrfaceError, match=message) as caught:
        read_landmarks(path)
    assert str(path) in str(caught.value)


def test_a_copy_for_a_worker_loads_and_carries_no_list(folder, tmp_path):
    (tmp_path / "marks.csv").write_text(EYES + "\n" + "".join(f"bob/{i}.jpg,1,2,3,4\n" for i in range(2000)))
    source = open_source(folder, tmp_path / "marks.csv")
    copy = pickle.dumps(source)
    assert len(copy) < 500
    assert pickle.loads(copy).load(everything(source)[0]) == b"ann/x.jpeg"


def write_rec(path, labels, meta, keys=None):
    """Images ``image <key>``; labels may stand apart, which identity records cannot tell: they are left empty then."""
    with RecordWriter(path) as writer:
        keys = range(1, len(labels) + 1) if keys is None else keys
        for key, label in zip(keys, labels, strict=True):
            writer.write(key, pack(label, b"image %d" % key, key))
        if meta == "insightface":
            for key, payload in recordio.identity_records(labels):
                writer.write(key, payload)
        elif meta == "apart":
            writer.write(0, pack([len(labels) + 1, len(labels) + 1], b"", 0))
    return path


@pytest.mark.parametrize("meta", ["insightface", "apart", "none"])
def test_a_rec_is_grouped_by_its_labels(tmp_path, meta):
    labels = [7, 7, 3, 5, 5] if meta == "insightface" else [7, 3, 7, 5, 3]
    first = 0 if meta == "none" else 1
    path = write_rec(tmp_path / "train.rec", labels, meta, range(first, first + 5))
    source = open_source(path)
    assert isinstance(source, RecordSource)
    items = everything(source)
    order = np.argsort(labels, kind="stable")
    known = sorted(set(labels))
    assert [int(item.path) for item in items] == [first + int(i) for i in order]
    assert [item.identity for item in items] == [str(labels[i]) for i in order]
    assert [item.label for item in items] == [known.index(labels[i]) for i in order]
    assert source.counts() == [(str(label), labels.count(label)) for label in known]
    assert [source.load(item) for item in items] == [b"image %d" % (first + i) for i in order]
    copy = pickle.loads(pickle.dumps(source))
    assert copy.load(items[-1]) == source.load(items[-1])


def test_a_folder_with_a_rec_is_that_rec(tmp_path):
    write_rec(tmp_path / "train.rec", [0, 0, 1], "insightface")
    assert is_record(tmp_path)
    assert is_record(tmp_path / "train.rec")
    assert open_source(tmp_path).counts() == [("0", 2), ("1", 1)]
    with pytest.raises(LrfaceError, match="landmarks file cannot be applied"):
        open_source(tmp_path, tmp_path / "marks.csv")


def test_a_rec_that_is_missing_or_holds_no_identities(tmp_path):
    assert is_record(tmp_path / "missing.rec")
    with pytest.raises(LrfaceError, match=r"cannot read .*missing\.rec"):
        open_source(tmp_path / "missing.rec")
    write_rec(tmp_path / "odd.rec", [0.5], "none")
    with pytest.raises(LrfaceError, match="not a class label"):
        open_source(tmp_path / "odd.rec")


@dataclass
class Counts:
    sizes: list[int]
    root: Path = Path("somewhere")

    def counts(self):
        return [(f"person {i}", size) for i, size in enumerate(self.sizes)]


SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)


@given(SIZES, st.data())
def test_shares_cut_a_source_into_parts_of_whole_identities_none_empty(sizes, data):
    source = Counts(sizes)
    shards = data.draw(st.integers(1, int(np.count_nonzero(sizes))))
    shares = [take_share(source, shard, shards) for shard in range(shards)]
    covered = [i for share in shares for i in range(share.first, share.stop) if sizes[i]]
    assert covered == [i for i, size in enumerate(sizes) if size]
    for share in shares:
        assert share.images == sum(sizes[share.first : share.stop]) > 0
    assert len({share.listing for share in shares}) == 1


@given(st.integers(1, 12), st.integers(1, 12))
def test_shares_of_equal_identities_are_even(shards, each):
    images = [take_share(Counts([5] * (shards * each)), shard, shards).images for shard in range(shards)]
    assert images == [5 * each] * shards


def test_the_listing_tells_sources_apart():
    listings = {take_share(Counts(sizes), 0, 1).listing for sizes in ([1, 2], [2, 1], [1, 2, 1], [3])}
    assert len(listings) == 4


def test_shares_that_make_no_sense():
    with pytest.raises(LrfaceError, match="somewhere holds no images"):
        take_share(Counts([0, 0]), 0, 1)
    with pytest.raises(LrfaceError, match="2 identities of somewhere cannot be cut into 3 shards: ask for 2 or fewer"):
        take_share(Counts([3, 0, 3]), 0, 3)
    with pytest.raises(LrfaceError, match=r"20,000,000 images of somewhere is too many for one \.rec"):
        take_share(Counts([10_000_000, 10_000_000]), 0, 1)
    assert take_share(Counts([10_000_000, 10_000_000]), 1, 2).images == 10_000_000

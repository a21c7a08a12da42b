"""What the journal calls certain is on the disk, and everything else is cut off."""

import errno
import json
import os

import numpy as np
import pytest

from lrface.data import journal
from lrface.data.crop import Crop
from lrface.data.journal import ShardWriter, check_same
from lrface.data.recordio import RecordReader
from lrface.errors import LrfaceError

HEADER = {"format": 1, "settings": {"size": 112, "encoding": "jpg"}, "listing": "abc", "landmarks": None}
SIDE = 4


def made_up(label, number):
    """A crop of a few bytes, or, every third time, an image that was refused."""
    row = {"path": f"{label}/{number}.jpg", "label": label, "status": "ok"}
    if number % 3 == 2:
        return Crop(row | {"status": "unreadable"})
    rng = np.random.default_rng([label, number])
    return Crop(row, rng.bytes(5 + number), f"{number:064x}", rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))


CHUNKS = [[made_up(chunk, number) for number in range(4)] for chunk in range(5)]
STORED = [crop for chunk in CHUNKS for crop in chunk if crop.encoded]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Each chunk is certain when it has been appended."""
    monkeypatch.setattr(journal, "COMMIT_SECONDS", 0)


def fill(folder, chunks=CHUNKS):
    writer = ShardWriter(folder, SIDE, HEADER)
    for chunk in chunks:
        writer.append(chunk)
    return writer


def complete(writer):
    rows = [row for entry in writer.entries() for row in entry["rows"] if "offset" in row]
    labels = np.array([row["label"] for row in rows])
    writer.finish(labels, np.array([row["offset"] for row in rows]), 112)
    writer.close()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_shard_holds_the_crops_in_order(tmp_path):
    writer = fill(tmp_path)
    assert (writer.rows, writer.images) == (20, len(STORED))
    complete(writer)
    reader = RecordReader(tmp_path / "train.rec")
    assert reader.image_keys.tolist() == list(range(1, len(STORED) + 1))
    for key, crop in enumerate(STORED, start=1):
        assert reader.read_image_bytes(key) == (crop.row["label"], crop.encoded)
    assert len(reader.identities()) == 5
    np.testing.assert_array_equal(np.load(tmp_path / "low.npy"), [crop.low for crop in STORED])
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), [crop.row["label"] for crop in STORED])
    assert (tmp_path / "property").read_text() == "5,112,112\n"
    writer.forget()
    assert sorted(contents(tmp_path)) == ["labels.npy", "low.npy", "property", "train.idx", "train.rec"]


def test_the_index_written_at_the_end_is_that_of_a_walk_through_the_file(tmp_path):
    complete(fill(tmp_path))
    indexed = RecordReader(tmp_path / "train.rec")
    written = (tmp_path / "train.idx").read_text()
    (tmp_path / "train.idx").unlink()
    walked = RecordReader(tmp_path / "train.rec")
    np.testing.assert_array_equal(indexed.keys, walked.keys)
    assert [indexed.read(key) for key in indexed.keys] == [walked.read(key) for key in walked.keys]
    assert written.splitlines()[-1].startswith("0\t")


@pytest.mark.parametrize("lost", [1, 2, 30, 10_000])
def test_a_torn_line_and_what_it_spoke_of_are_cut_off(tmp_path, lost):
    complete(fill(tmp_path / "whole"))
    fill(tmp_path / "torn").close()
    path = tmp_path / "torn" / "journal.jsonl"
    os.truncate(path, max(path.stat().st_size - lost, 0))
    for name in ("journal.jsonl", "train.rec", "low.npy"):
        with open(tmp_path / "torn" / name, "ab") as file:
            file.write(b"what a disk may leave behind a file's end" * 100)
    writer = ShardWriter(tmp_path / "torn", SIDE, HEADER)
    assert writer.rows in (0, 4, 8, 12, 16)
    for chunk in CHUNKS[writer.rows // 4 :]:
        writer.append(chunk)
    complete(writer)
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")


def test_every_length_of_a_journal_can_be_taken_up(tmp_path):
    fill(tmp_path, CHUNKS[:2]).close()
    whole = (tmp_path / "journal.jsonl").read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for length in [*range(0, len(whole), 41), *ends]:
        (tmp_path / "journal.jsonl").write_bytes(whole[:length])
        writer = ShardWriter(tmp_path, SIDE, HEADER)
        certain = sum(length >= end for end in ends[1:])
        assert writer.rows == 4 * certain
        for chunk in CHUNKS[certain:2]:
            writer.append(chunk)
        writer.close()
        assert (tmp_path / "journal.jsonl").read_bytes() == whole


def test_a_damaged_line_ends_what_is_certain(tmp_path):
    fill(tmp_path).close()
    path = tmp_path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\0" * (len(lines[3]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    writer = ShardWriter(tmp_path, SIDE, HEADER)
    assert writer.rows == 8
    writer.close()


def test_chunks_wait_for_a_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "COMMIT_SECONDS", 1000)
    writer = fill(tmp_path)
    assert len((tmp_path / "journal.jsonl").read_bytes().splitlines()) == 1
    writer.close()
    writer = fill(tmp_path)
    assert writer.rows == 20
    writer.commit()
    writer.close()
    writer = ShardWriter(tmp_path, SIDE, HEADER)
    assert (writer.rows, writer.images) == (20, len(STORED))
    writer.close()


@pytest.mark.parametrize("name", ["train.rec", "low.npy"])
def test_data_that_the_disk_has_lost_is_an_error(tmp_path, name):
    fill(tmp_path).close()
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size - 1)
    with pytest.raises(LrfaceError, match="shorter than its journal says: begin again with --overwrite"):
        ShardWriter(tmp_path, SIDE, HEADER)


def test_two_writers_do_not_meet(tmp_path):
    first = fill(tmp_path)
    with pytest.raises(LrfaceError, match="another process is writing"):
        ShardWriter(tmp_path, SIDE, HEADER)
    first.close()
    second = ShardWriter(tmp_path, SIDE, HEADER)
    assert second.rows == 20
    second.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"size": 112, "encoding": "png"}}, "encoding 'jpg' instead of 'png'"),
        ({"listing": "xyz"}, "another list of images"),
        ({"landmarks": "123"}, "other landmarks"),
        ({"format": 2}, "another format"),
    ],
)
def test_a_shard_is_only_continued_with_what_it_was_begun_with(tmp_path, change, message):
    fill(tmp_path).close()
    before = contents(tmp_path)
    with pytest.raises(LrfaceError, match=f"was begun with {message}.*--overwrite"):
        ShardWriter(tmp_path, SIDE, HEADER | change)
    assert contents(tmp_path) == before
    ShardWriter(tmp_path, SIDE, HEADER).close()
    check_same(HEADER, HEADER | {"more": 1}, tmp_path)


def test_a_full_disk_keeps_what_is_certain(tmp_path, monkeypatch):
    fill(tmp_path, CHUNKS[:2]).close()
    writer = ShardWriter(tmp_path, SIDE, HEADER)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            writer.append(CHUNKS[2])
        writer.close()
    writer = ShardWriter(tmp_path, SIDE, HEADER)
    assert writer.rows == 8
    writer.close()


@pytest.mark.parametrize("size", [1, 16, 4096])
def test_the_array_header_keeps_its_length(size):
    lengths = {len(journal._npy_header(images, size)) for images in (0, 9, 10, 2**24, 10**12)}
    assert len(lengths) == 1


def test_entries_are_what_was_appended(tmp_path):
    writer = fill(tmp_path)
    entries = list(writer.entries())
    writer.close()
    rows = [row for entry in entries for row in entry["rows"]]
    assert [row["path"] for row in rows] == [crop.row["path"] for chunk in CHUNKS for crop in chunk]
    assert [row.get("digest") for row in rows] == [crop.digest for chunk in CHUNKS for crop in chunk]
    assert json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0]) == HEADER

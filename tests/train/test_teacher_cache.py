"""The cache is what the teacher says, and it is never another's."""

import errno
import json
import multiprocessing
import os
import shutil

import numpy as np
import pytest

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.train import teacher_cache
from lrface.train.teacher_cache import cached_embeddings

DIM = 5
WEIGHTS = np.random.default_rng(0).standard_normal((3 * 12 * 12, DIM)).astype(np.float32)


class Network:
    """Multiplies pixels with weights; raises when it has been called ``patience`` times."""

    def __init__(self, patience=1000):
        self.calls, self.patience = 0, patience

    def __call__(self, batch):
        self.calls += 1
        if self.calls > self.patience:
            raise KeyboardInterrupt
        return np.maximum(batch.reshape(len(batch), -1) @ WEIGHTS, -1)


def teacher(patience=1000, digest="weights"):
    return Embedder(Network(patience), Preprocessing(12), digest, {})


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(teacher_cache, "BATCH", 3)
    monkeypatch.setattr(teacher_cache, "COMMIT_BATCHES", 1)


@pytest.fixture
def store(tiny_store, tmp_path):
    return Store(shutil.copytree(tiny_store, tmp_path / "store"))


def direct(store, flip):
    crops = [store.crop(index) for index in range(len(store))]
    return teacher().embed(crops, flip=flip)


def state(store):
    (path,) = (store.path / "teachers").glob("*/state.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("batch", [1, 3, 10, 64])
def test_the_cache_is_the_direct_embedding_of_both_flips(store, monkeypatch, batch):
    monkeypatch.setattr(teacher_cache, "BATCH", batch)
    cached = cached_embeddings(store, teacher(), progress=False)
    assert cached.shape == (2, 10, DIM)
    assert cached.dtype == np.float32
    assert isinstance(cached, np.memmap)
    np.testing.assert_allclose(cached, [direct(store, False), direct(store, True)], rtol=1e-5, atol=1e-5)
    assert not np.allclose(cached[0], cached[1])
    assert store.path in (store.path / "teachers").parents


def test_a_finished_cache_asks_no_teacher(store):
    first = np.array(cached_embeddings(store, teacher(), progress=False))
    again = teacher(patience=0)
    np.testing.assert_array_equal(cached_embeddings(store, again, progress=False), first)
    assert again.network.calls == 0


def test_it_goes_on_where_it_was_interrupted(store):
    """Calls: one for the embedding's length, then two a batch of three images."""
    whole = np.array(cached_embeddings(store, teacher(), progress=False, folder=store.path / "whole"))
    for patience, done in ((0, None), (2, None), (4, 3), (3, 6)):
        with pytest.raises(KeyboardInterrupt):
            cached_embeddings(store, teacher(patience), progress=False)
        if done is None:
            assert not list((store.path / "teachers").glob("*/state.json"))
        else:
            assert state(store)["done"] == done
    last = teacher()
    np.testing.assert_array_equal(cached_embeddings(store, last, progress=False), whole)
    assert last.network.calls == 4
    assert state(store)["done"] == 10


def test_what_is_not_certain_is_computed_again(store, monkeypatch):
    monkeypatch.setattr(teacher_cache, "COMMIT_BATCHES", 2)
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(store, teacher(patience=7), progress=False)
    assert state(store)["done"] == 6
    (path,) = (store.path / "teachers").glob("*/embeddings.npy")
    array = np.lib.format.open_memmap(path, "r+")
    array[:, 6:] = 99
    del array
    cached = cached_embeddings(store, teacher(), progress=False)
    np.testing.assert_allclose(cached, [direct(store, False), direct(store, True)], rtol=1e-5, atol=1e-5)


def test_a_lost_array_is_computed_again_even_after_another_interruption(store):
    whole = np.array(cached_embeddings(store, teacher(), progress=False))
    (path,) = (store.path / "teachers").glob("*/embeddings.npy")
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(store, teacher(patience=2), progress=False)
    np.testing.assert_array_equal(cached_embeddings(store, teacher(), progress=False), whole)


def test_teachers_have_caches_of_their_own(store):
    cached_embeddings(store, teacher(), progress=False)
    cached_embeddings(store, teacher(digest="other"), progress=False)
    assert len(list((store.path / "teachers").iterdir())) == 2


def test_a_cache_of_another_teacher_is_refused(store, tmp_path):
    cached_embeddings(store, teacher(), progress=False, folder=tmp_path / "cache")
    with pytest.raises(LrfaceError, match=r"cache .*cache was computed with another teacher: remove that folder"):
        cached_embeddings(store, teacher(digest="other"), progress=False, folder=tmp_path / "cache")


def test_a_cache_of_other_faces_is_refused(store, face_folder, tmp_path):
    cached_embeddings(store, teacher(), progress=False, folder=tmp_path / "cache")
    prepare(face_folder, tmp_path / "other", Settings(size=96, detector="none"), progress=False)
    with pytest.raises(LrfaceError, match="computed with another store"):
        cached_embeddings(Store(tmp_path / "other"), teacher(), progress=False, folder=tmp_path / "cache")


def test_a_damaged_array_is_named(store):
    cached_embeddings(store, teacher(), progress=False)
    (path,) = (store.path / "teachers").glob("*/embeddings.npy")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LrfaceError, match=r"embeddings\.npy is damaged"):
        cached_embeddings(store, teacher(), progress=False)


def test_a_teacher_that_gives_no_numbers_is_refused(store):
    broken = Embedder(lambda batch: np.full((len(batch), DIM), np.nan, np.float32), Preprocessing(12), "x", {})
    with pytest.raises(LrfaceError, match="NaN or infinity among images 0 to 2 of"):
        cached_embeddings(store, broken, progress=False)
    assert not list((store.path / "teachers").glob("*/state.json"))


def test_a_full_disk_is_found_out_before_the_work(store, monkeypatch):
    def full(descriptor, offset, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    busy = teacher()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(LrfaceError, match=r"cannot write the teacher cache .*: No space left"):
            cached_embeddings(store, busy, progress=False)
    assert busy.network.calls == 1
    cached = cached_embeddings(store, teacher(), progress=False)
    np.testing.assert_allclose(cached[1], direct(store, True), rtol=1e-5, atol=1e-5)


def test_a_read_only_cache_that_is_complete_is_read(store, monkeypatch):
    whole = np.array(cached_embeddings(store, teacher(), progress=False))

    def refuse(path):
        raise LrfaceError(f"cannot write {path}")

    monkeypatch.setattr(teacher_cache, "locked", refuse)
    np.testing.assert_array_equal(cached_embeddings(store, teacher(), progress=False), whole)


def _compute(path, barrier, results):
    patient = teacher()
    barrier.wait()
    cached = cached_embeddings(Store(path), patient, progress=False)
    results.put((patient.network.calls, np.array(cached).tobytes()))


def test_of_runs_that_start_together_one_computes(store):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_compute, args=(store.path, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    (calls, first), (more, second) = results.get(timeout=150), results.get(timeout=150)
    for process in processes:
        process.join()
    assert first == second
    assert min(calls, more) == 0
    np.testing.assert_allclose(
        np.frombuffer(first, np.float32).reshape(2, 10, DIM)[0], direct(store, False), rtol=1e-5, atol=1e-5
    )

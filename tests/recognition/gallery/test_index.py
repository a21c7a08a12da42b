"""FAISS proposes what is near."""

import numpy as np
import pytest
from gallery_stub import embeddings

from lrface.recognition.gallery.index import APPROXIMATE, EXACT, DamagedIndex, Index


def made(kind, rows, ids):
    index = Index.exact(rows.shape[1]) if kind == EXACT else Index.approximate(rows)
    index.add(ids, rows.astype(np.float16))
    return index


def truth(rows, ids, queries, count):
    """The nearest by the embeddings as they are stored, in float64."""
    similarities = queries.astype(np.float64) @ rows.astype(np.float16).astype(np.float64).T
    return ids[np.argsort(-similarities, axis=1)[:, :count]]


@pytest.mark.parametrize("dim", [4, 30, 32, 512])
def test_exact_is_exact(dim):
    rows, queries, ids = embeddings(300, dim=dim), embeddings(9, seed=1, dim=dim), 3 * np.arange(300) + 5
    index = made(EXACT, rows, ids)
    np.testing.assert_array_equal(index.search(queries, 7), truth(rows, ids, queries, 7))
    assert index.search(queries, 1000).shape == (9, 300)


@pytest.mark.parametrize("dim", [4, 30, 32, 512])
def test_approximate_proposes_what_is_near(dim):
    rows, queries, ids = embeddings(2000, dim=dim), embeddings(20, seed=1, dim=dim), 3 * np.arange(2000) + 5
    index = made(APPROXIMATE, rows, ids)
    nearest, proposed = truth(rows, ids, queries, 1)[:, 0], index.search(queries, 500)
    found = [near in row for near, row in zip(nearest, proposed, strict=True)]
    assert np.mean(found) > 0.9  # a quarter of them would hold it by chance with 0.25
    np.testing.assert_array_equal(np.sort(index.search(queries[:1], 2000)[0]), ids)


def test_the_least_that_a_quantiser_can_learn_from():
    rows = embeddings(16)
    assert len(made(APPROXIMATE, rows, np.arange(16)).search(rows, 5)) == 16


@pytest.mark.parametrize("kind", [EXACT, APPROXIMATE])
def test_a_file_holds_the_same_and_can_be_changed(kind, tmp_path):
    rows, ids, path = embeddings(500), np.arange(500) * 2, tmp_path / "file"
    index = made(kind, rows, ids)
    index.save(path)
    for change in (False, True):
        again = Index.load(path, kind, change)
        np.testing.assert_array_equal(again.search(rows[:20], 50), index.search(rows[:20], 50))
        np.testing.assert_array_equal(again.ids(), ids)
    again.remove(ids[::2])
    again.add(np.array([9001]), rows[:1].astype(np.float16))
    assert len(again) == 251
    held = again.search(rows, 251)
    assert not np.isin(ids[::2], held).any()
    assert (held == 9001).any(axis=1).all()
    assert again.search(rows[:1], 20)[0, 0] == 9001 or kind == APPROXIMATE


@pytest.mark.parametrize("kind", [EXACT, APPROXIMATE])
def test_what_comes_after_a_removal_is_as_good_as_what_was_before(kind):
    """FAISS spoils codes that are added to a packed index after others were removed from it."""
    rows, ids = embeddings(400), np.arange(400)
    index = made(kind, rows[:310], ids[:310])
    index.search(rows[:1], 5)
    index.remove(ids[5:31])
    index.add(ids[310:], rows[310:].astype(np.float16))
    kept = np.delete(ids, np.s_[5:31])
    proposed = index.search(rows[kept], 10)
    assert all(face in row for face, row in zip(kept, proposed, strict=True))
    assert not np.isin(ids[5:31], proposed).any()


@pytest.mark.parametrize("kind", [EXACT, APPROXIMATE])
def test_codes_are_compared_with_embeddings(kind):
    rows, ids = embeddings(300).astype(np.float16), np.random.default_rng(0).permutation(300)
    index = made(kind, rows.astype(np.float32), ids)
    assert index.wrong(ids, rows).tolist() == []
    other = rows.copy()
    other[[4, 7]] = other[[7, 4]]
    assert index.wrong(ids[:9], other[:9]).tolist() == ids[[4, 7]].tolist()


@pytest.mark.parametrize("kind", [EXACT, APPROXIMATE])
def test_an_empty_index_proposes_nothing(kind):
    rows = embeddings(20)
    index = made(kind, rows, np.arange(20))
    index.remove(np.arange(20))
    for empty in (index, Index.exact(32)):
        assert len(empty) == 0
        assert empty.search(rows[:3], 5).shape == (3, 0)


def test_a_file_that_is_none(tmp_path):
    import faiss

    path = tmp_path / "file"
    with pytest.raises(DamagedIndex, match="file"):
        Index.load(path, EXACT)
    for content in (b"", b"not an index", bytes(4096)):
        path.write_bytes(content)
        with pytest.raises(DamagedIndex, match="file"):
            Index.load(path, EXACT)
    faiss.write_index(faiss.IndexFlatIP(4), str(path))
    with pytest.raises(DamagedIndex, match="another kind"):
        Index.load(path, EXACT)


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    import errno
    import os

    from lrface.errors import LrfaceError

    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LrfaceError, match="No space left"):
        made(EXACT, embeddings(20), np.arange(20)).save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]

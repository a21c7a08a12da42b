"""Shards are read as one set, or not at all."""

import io
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from lrface.data import store as module
from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import ManifestWriter, Store, read_shard, shard_folder
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation


def run(source, out, settings=None, **options):
    return prepare(source, out, settings or Settings(detector="none"), progress=False, **options)


@pytest.fixture(scope="module")
def sharded(face_folder, tmp_path_factory):
    """The store of ``tiny_store`` in three shards."""
    out = tmp_path_factory.mktemp("sharded")
    for shard in range(3):
        run(face_folder, out, shard=shard, shards=3)
    return out


@pytest.fixture
def copy(sharded, tmp_path):
    """One that may be damaged."""
    return shutil.copytree(sharded, tmp_path / "copy")


@pytest.fixture(params=["one shard", "three shards"])
def store(request, tiny_store, sharded):
    return Store(tiny_store if request.param == "one shard" else sharded)


def test_facts_of_a_store(store, face_folder):
    assert len(store) == 10
    assert store.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 3, 3]
    assert store.identities == 4
    assert store.size == 112
    assert store.degradation == Degradation(16)
    assert store.settings == Settings(detector="none").as_dict()


def test_crops_and_low_pixels_belong_together(store, face_folder):
    files = [file for identity in sorted(face_folder.iterdir()) for file in sorted(identity.iterdir())]
    assert [store.encoded(i) for i in range(10)] == [file.read_bytes() for file in files]
    np.testing.assert_array_equal(store.low(), [store.degradation(store.crop(i)) for i in range(10)])


@pytest.mark.parametrize(
    "indices", [[9, 0, 4, 4, 8], np.array([7, 3], np.uint8), [], slice(2, 9, 3), slice(None, None, -1), range(3, 6)]
)
def test_low_pixels_of_some_images(store, indices):
    whole = store.low()
    wanted = np.arange(10)[indices if isinstance(indices, slice) else np.array(indices, np.int64)]
    low = store.low(indices)
    assert low.dtype == np.uint8
    assert low.shape == (len(wanted), 16, 16, 3)
    np.testing.assert_array_equal(low, whole[wanted])
    assert low.flags.writeable


@pytest.mark.parametrize("index", [-1, 10])
def test_there_is_no_other_image(store, index):
    with pytest.raises(IndexError, match="images 0 to 9"):
        store.low([0, index])
    with pytest.raises(IndexError, match="images 0 to 9"):
        store.crop(index)


def test_low_pixels_need_no_index_of_the_crops(copy):
    low = Store(copy).low()
    for folder in copy.iterdir():
        (folder / "train.idx").write_text("not read")
    np.testing.assert_array_equal(Store(copy).low(), low)
    with pytest.raises(LrfaceError, match="not all key<TAB>offset"):
        Store(copy).crop(0)


def test_fingerprints_name_the_contents(face_folder, tiny_store, sharded, tmp_path):
    assert Store(tiny_store).fingerprint == Store(tiny_store).fingerprint
    assert Store(sharded).fingerprint == Store(sharded).fingerprint
    source = shutil.copytree(face_folder, tmp_path / "source")
    shutil.copy(source / "adam" / "1.jpg", source / "adam" / "0.jpg")
    run(source, tmp_path / "store")
    assert Store(tmp_path / "store").fingerprint != Store(tiny_store).fingerprint


def test_labels_have_no_gaps_where_an_identity_has_no_usable_image(face_folder, tmp_path):
    source = shutil.copytree(face_folder, tmp_path / "source")
    for file in (source / "berta").iterdir():
        file.write_bytes(b"damaged")
    run(source, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert np.load(store.folders[0] / "labels.npy").tolist() == [0, 0, 0, 0, 2, 3, 3]
    assert store.labels.tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert store.identities == 3


def test_no_store(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(LrfaceError, match="no store at"):
            Store(path)


def test_a_missing_shard_is_named(copy):
    shutil.rmtree(shard_folder(copy, 1, 3))
    with pytest.raises(LrfaceError, match=r"shard 1 of 3 is missing or unfinished \(1 in all\).*--shard 1/3"):
        Store(copy)
    (shard_folder(copy, 0, 3) / "shard.json").unlink()
    with pytest.raises(LrfaceError, match=r"shard 0 of 3 is missing or unfinished \(2 in all\)"):
        Store(copy)


def test_stores_of_different_counts_do_not_mix(copy, tiny_store):
    shutil.copytree(shard_folder(tiny_store, 0, 1), shard_folder(copy, 0, 1))
    with pytest.raises(LrfaceError, match="mixes stores of 1 and 3 shards"):
        Store(copy)


def test_other_things_in_the_folder_do_not_matter(copy):
    (copy / "teachers").mkdir()
    (copy / "shard-notes.txt").write_text("")
    shutil.copytree(shard_folder(copy, 0, 3), copy / "shard-00000-of-00003.backup")
    assert len(Store(copy)) == 10


def test_shards_of_other_settings_or_sources_do_not_mix(face_folder, copy, tmp_path):
    run(face_folder, copy, Settings(detector="none", quality=90), shard=1, shards=3, overwrite=True)
    with pytest.raises(LrfaceError, match="prepared from different settings: prepare one of them again"):
        Store(copy)
    source = shutil.copytree(face_folder, tmp_path / "source")
    shutil.rmtree(source / "doris")
    run(source, copy, shard=1, shards=3, overwrite=True)
    with pytest.raises(LrfaceError, match="prepared from different lists of images"):
        Store(copy)
    run(face_folder, copy, shard=1, shards=3, overwrite=True)
    assert len(Store(copy)) == 10


def test_shards_of_other_landmarks_do_not_mix(copy):
    path = shard_folder(copy, 2, 3) / "shard.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"landmarks": "0" * 64}))
    with pytest.raises(LrfaceError, match="prepared from different landmarks"):
        Store(copy)


def test_another_format_is_refused(copy):
    path = shard_folder(copy, 0, 3) / "shard.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(LrfaceError, match="store format 99, this version reads 1"):
        read_shard(path.parent)
    with pytest.raises(LrfaceError, match="store format 99"):
        Store(copy)


@pytest.mark.parametrize("name", ["low.npy", "labels.npy"])
def test_damaged_arrays_are_named(copy, name):
    path = shard_folder(copy, 1, 3) / name
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(LrfaceError, match=rf"{name} is missing or damaged .*--overwrite"):
            Store(copy)
    np.save(path, np.load(io.BytesIO(whole))[1:])
    with pytest.raises(LrfaceError, match=rf"{name} has \d rows for \d images"):
        Store(copy)
    path.unlink()
    with pytest.raises(LrfaceError, match=rf"{name} is missing or damaged"):
        Store(copy)


def test_a_truncated_rec_is_an_error_when_it_is_read(copy):
    path = shard_folder(copy, 0, 3) / "train.rec"
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(LrfaceError, match="truncated"):
        Store(copy).crop(0)


def test_a_manifest_is_written_in_groups(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(module, "ROW_GROUP", 10)
    row = {"identity": "a", "label": 3, "landmarks": [1.5, 2.0], "score": None, "status": "ok", "reason": None}
    with open(tmp_path / "manifest.parquet", "wb") as file, ManifestWriter(file) as manifest:
        for chunk in range(9):
            manifest.write([row | {"path": f"a/{chunk}{i}.jpg", "offset": i} for i in range(3)])
    table = pd.read_parquet(tmp_path / "manifest.parquet")
    assert table["path"].tolist() == [f"a/{chunk}{i}.jpg" for chunk in range(9) for i in range(3)]
    assert list(table.columns) == ["path", "identity", "label", "landmarks", "score", "status", "reason"]
    assert table["landmarks"][26].tolist() == [1.5, 2.0]
    assert pq.ParquetFile(tmp_path / "manifest.parquet").num_row_groups == 3


def test_a_missing_store_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LRFACE_DATA", raising=False)
    with pytest.raises(LrfaceError, match=rf"looked in {tmp_path}; .*LRFACE_DATA, which is not set.*lrface prepare"):
        Store("celeba_store")
    monkeypatch.setenv("LRFACE_DATA", "/data")
    with pytest.raises(LrfaceError, match="LRFACE_DATA, which is /data"):
        Store("/data/celeba_store")

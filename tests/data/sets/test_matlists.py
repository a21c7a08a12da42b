"""MATLAB's lists of both versions give the same arrays; whatever is wrong with one is one line."""

import sys

import numpy as np
import pytest
from face_sets import WRITERS, text_cells, write_v5, write_v73

from lrface.data.sets.matlists import cells, read_id_list, read_mat, read_pair_list, write_mat
from lrface.errors import LrfaceError

NAMES = ["7_1.jpg", "Zoë_2.jpg", "60000_1.jpg"]


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """``write(**variables)`` -> a file of either version."""

    def run(**variables):
        WRITERS[request.param](tmp_path / "list.mat", **variables)
        return tmp_path / "list.mat"

    return run


def test_both_versions_have_scipys_form(write):
    mat = read_mat(write(probe_set=text_cells(NAMES), probe_ids=np.array([[7], [8], [60000]], np.uint16)))
    assert set(mat) == {"probe_set", "probe_ids"}
    assert mat["probe_set"].shape == (3, 1)
    assert [mat["probe_set"][i, 0][0] for i in range(3)] == NAMES
    assert mat["probe_ids"].dtype == np.uint16
    assert mat["probe_ids"].shape == (3, 1)


@pytest.mark.parametrize("shape", [(3, 1), (1, 3)])
@pytest.mark.parametrize("kind", [np.uint16, np.float64, np.int32])
def test_labels_are_int64_at_once(write, shape, kind):
    names, ids = read_id_list(
        write(s=text_cells(NAMES).reshape(shape), i=np.array([7, 8, 60000]).astype(kind).reshape(shape)), "s", "i"
    )
    assert names == NAMES
    assert ids.dtype == np.int64
    assert (ids - 100).tolist() == [-93, -92, 59900]


def test_pairs(write):
    assert read_pair_list(write(pairs=text_cells([["a.jpg", "b.jpg"], ["c.jpg", "a.jpg"]])), "pairs") == [
        ("a.jpg", "b.jpg"),
        ("c.jpg", "a.jpg"),
    ]


@pytest.mark.parametrize(
    ("names", "ids", "message"),
    [
        (NAMES, [1, 2], r"s has 3 names and i 2 labels"),
        (["a.jpg", "a.jpg", "b.jpg"], [1, 1, 2], r"lists a\.jpg twice: "),
        (["a.jpg", "a.jpg", "b.jpg"], [1, 9, 2], r"lists a\.jpg twice, as 1 and as 9"),
        (["a.jpg", "../b.jpg"], [1, 2], r"entry 2 of s is no file name: '\.\./b\.jpg'"),
        (["a.jpg", "  "], [1, 2], r"entry 2 of s is no file name"),
        (["a.jpg", "b.jpg"], [1.0, 2.5], r"i holds labels that are no whole numbers"),
        (["a.jpg", "b.jpg"], [1.0, np.nan], r"i holds labels that are no whole numbers"),
    ],
)
def test_damaged_lists(write, names, ids, message):
    with pytest.raises(LrfaceError, match=r"list\.mat") as caught:
        read_id_list(write(s=text_cells(names), i=np.array(ids)[:, None]), "s", "i")
    assert caught.match(message)


def test_another_list(write):
    path = write(gallery_set=text_cells(NAMES))
    with pytest.raises(LrfaceError, match=r"list\.mat has no variable 'probe_set', only gallery_set"):
        read_id_list(path, "probe_set", "probe_ids")
    with pytest.raises(LrfaceError, match=r"gallery_set has the shape \[3, 1\], pairs are \[n, 2\]"):
        read_pair_list(path, "gallery_set")
    with pytest.raises(LrfaceError, match="no whole numbers"):
        read_id_list(path, "gallery_set", "gallery_set")


def test_no_list_at_all(tmp_path):
    with pytest.raises(LrfaceError, match=r"cannot read .*none\.mat"):
        read_mat(tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("path,id\n" * 100)
    with pytest.raises(LrfaceError, match=r"text\.mat is not a \.mat file"):
        read_mat(tmp_path / "text.mat")
    for version, write in WRITERS.items():
        write(tmp_path / version, s=text_cells(NAMES * 50))
        whole = (tmp_path / version).read_bytes()
        (tmp_path / "cut.mat").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(LrfaceError, match=r"cut\.mat is not a \.mat file"):
            read_mat(tmp_path / "cut.mat")


def test_empty_cells(tmp_path):
    import h5py

    write_v5(tmp_path / "empty.mat", s=np.empty((0, 1), object), i=np.empty((0, 1), np.uint16))
    assert read_id_list(tmp_path / "empty.mat", "s", "i").names == []
    with h5py.File(tmp_path / "empty73.mat", "w", userblock_size=512) as file:
        for key, kind in (("s", "cell"), ("i", "uint16")):
            file.create_dataset(key, data=np.array([0, 1], np.uint64)).attrs["MATLAB_class"] = np.bytes_(kind)
            file[key].attrs["MATLAB_empty"] = np.uint8(1)
    mat = read_mat(tmp_path / "empty73.mat")
    assert mat["s"].shape == (0, 1)
    assert mat["s"].dtype == object


def test_version_7_3_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    write_v73(tmp_path / "list.mat", s=text_cells(NAMES))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(LrfaceError, match=r"version 7\.3: pip install"):
        read_mat(tmp_path / "list.mat")


def test_what_is_written_reads_back_and_is_always_the_same(tmp_path):
    ids = np.array([[1], [2], [60000]], np.uint16)
    for name in ("a.mat", "b.mat"):
        write_mat(tmp_path / name, {"s": cells(NAMES), "i": ids, "p": cells([["a", "b"], ["c", "d"]])})
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()
    assert b"Created on" not in (tmp_path / "a.mat").read_bytes()
    names, labels = read_id_list(tmp_path / "a.mat", "s", "i")
    assert names == NAMES
    assert labels.tolist() == [1, 2, 60000]
    assert read_pair_list(tmp_path / "a.mat", "p") == [("a", "b"), ("c", "d")]

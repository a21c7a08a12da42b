"""Index files are made from the database, and again when they are lost."""

import os
import shutil
from itertools import pairwise

import numpy as np
import pytest
from gallery_stub import embeddings, fill, image

from lrface.errors import LrfaceError
from lrface.recognition.gallery import base, builder, cache

FAR = 0.001


def files(folder):
    return sorted(file.name for file in folder.glob("*index-*"))


def record(gallery):
    return gallery._store.read_base()


def finds(gallery, names, rows, every=17):
    """Whether each face is found under its name, and the files agree with the database."""
    wrong = [
        name
        for name, row in list(zip(names, rows, strict=True))[::every]
        if gallery.search_embedding(row, far=FAR).name != name
    ]
    return not wrong and gallery.check() == []


def test_few_faces_need_no_file(make, folder):
    gallery = make()
    names, rows = fill(gallery, 300)
    assert files(folder) == []
    assert gallery.info()["index"] is None
    assert finds(gallery, names, rows)


def test_an_exact_file_saves_the_reading_of_many(make, folder, monkeypatch, told):
    monkeypatch.setattr(base, "TAIL", 50)
    gallery = make()
    names, rows = fill(gallery, 60)
    first = files(folder)
    assert len(first) == 1
    more, others = fill(gallery, 40, seed=1)
    assert files(folder) == first  # those are read from the database
    assert gallery.info()["index"] == {"kind": "exact", "faces": 60, "bytes": record(gallery)["bytes"], "recall": None}
    names, rows = names + more, np.concatenate([rows, others])
    assert finds(gallery, names, rows)
    assert finds(make(), names, rows)
    fill(gallery, 40, seed=2)
    assert gallery.info()["index"]["faces"] == 140
    assert len(files(folder)) == 1
    assert files(folder) != first
    assert told == []


def test_beyond_the_limit_the_index_is_approximate_and_its_recall_told(make, told):
    gallery = make(exact_limit=200)
    names, rows = fill(gallery, 200)
    assert gallery.search_embedding(rows[0]).method == "exact"
    more, others = fill(gallery, 1, seed=1)
    answer = gallery.search_embedding(rows[0])
    assert answer.method == "approximate"
    recall = gallery.info()["index"]["recall"]
    assert recall["faces"] == 201
    assert 0.9 < recall["first"] <= 1
    assert told[0].startswith("building the approximate index")
    assert f"of {recall['queries']} queries it finds the nearest face for {100 * recall['first']:.1f} %" in told[1]
    assert len(told) == 2
    assert finds(gallery, names + more, np.concatenate([rows, others]))


def test_an_approximate_index_grows_and_is_measured_again(make, folder):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 400)
    seen = [(files(folder), record(gallery)["recall"]["faces"])]
    for seed in range(1, 5):
        more, others = fill(gallery, 90, seed)
        names, rows = names + more, np.concatenate([rows, others])
        seen.append((files(folder), record(gallery)["recall"]["faces"]))
        assert finds(gallery, names, rows)
    assert [len(names) for names, _ in seen] == [1] * 5
    assert [measured for _, measured in seen] == [400, 400, 400, 400, 760]  # more than half as many came to it
    assert [one[0] == two[0] for one, two in pairwise(seen)] == [True, False, True, False]


def test_it_becomes_exact_again_when_a_fifth_is_gone(make):
    gallery = make(exact_limit=100)
    names, _ = fill(gallery, 120)
    kinds = []
    for name in sorted(set(names))[:12]:
        gallery.remove(name)
        kinds.append(record(gallery)["kind"])
    assert kinds == ["approximate"] * 9 + ["exact"] * 3  # 80 faces after the tenth
    assert gallery.check() == []


@pytest.mark.parametrize("kind", ["exact", "approximate"])
def test_a_file_holds_nobody_who_was_removed(make, kind, monkeypatch):
    monkeypatch.setattr(base, "TAIL", 50)
    gallery = make(exact_limit=100 if kind == "approximate" else None)
    names, rows = fill(gallery, 200)
    gallery.remove("0-0")
    assert record(gallery)["kind"] == kind
    assert record(gallery)["faces"] == 196
    assert finds(gallery, names[4:], rows[4:])
    assert gallery.search_embedding(rows[0], far=FAR).name != "0-0"


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def overwrite(path):
    path.write_bytes(b"not an index")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, flip, overwrite, remove])
@pytest.mark.parametrize("kind", ["exact", "approximate"])
def test_a_damaged_file_is_made_again(make, folder, told, damage, kind, monkeypatch):
    monkeypatch.setattr(base, "TAIL", 50)
    gallery = make(exact_limit=100 if kind == "approximate" else None)
    names, rows = fill(gallery, 150)
    gallery.close()
    told.clear()
    old = files(folder)
    damage(folder / old[0])
    again = make()
    assert len(again.check()) == 1
    assert old[0] in again.check()[0]
    assert finds(again, names, rows)
    assert old[0] in told[0]
    assert "made again from the database" in told[0]
    assert len(files(folder)) == 1
    assert files(folder) != old
    told.clear()
    assert finds(make(), names, rows)
    assert told == []


def test_a_damaged_file_does_not_hinder_adding_and_removing(make, folder):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 150)
    flip(folder / files(folder)[0])
    more, others = fill(gallery, 150, seed=1)
    flip(folder / files(folder)[0])
    gallery.remove("0-0")
    assert finds(gallery, (names + more)[4:], np.concatenate([rows, others])[4:])


def test_a_file_that_cannot_be_made_again_is_an_error(make, folder, monkeypatch):
    gallery = make(exact_limit=100)
    fill(gallery, 150)
    monkeypatch.setattr(builder.Builder, "repair", lambda self, error: None)
    overwrite(folder / files(folder)[0])
    with pytest.raises(LrfaceError, match="damaged time and again"):
        make().search(image(1))


def test_a_copied_gallery_is_taken_as_it_is(make, folder, told, tmp_path):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 150)
    gallery.close()
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder, copy_function=shutil.copyfile)  # other times, same contents
    told.clear()
    assert finds(make(), names, rows)
    assert told == []


def test_an_older_database_does_not_trust_a_newer_index(make, folder, tmp_path):
    """A backup of the database alone was put back, and ids that the index knows are given to others."""
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 120)
    gallery.close()
    shutil.copy(folder / "gallery.sqlite", tmp_path / "backup")
    gallery = make()
    fill(gallery, 300, seed=1)
    gallery.close()
    shutil.copy(tmp_path / "backup", folder / "gallery.sqlite")
    gallery = make()
    more, others = fill(gallery, 60, seed=2)
    assert gallery.info()["faces"] == 180
    assert finds(gallery, names + more, np.concatenate([rows, others]))


def test_what_killed_builders_left_is_swept_away(make, folder):
    gallery = make(exact_limit=100)
    for name in ("index-0123.faiss", ".index-0123.faiss.abc"):
        (folder / name).write_bytes(b"half")
    fill(gallery, 150)
    assert files(folder) == [record(gallery)["file"]]


def test_a_builder_at_work_keeps_no_writer_waiting(make, folder):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 90)
    with open(folder / builder.LOCK, "ab") as other:
        assert builder.try_lock(other)
        more, others = fill(gallery, 60, seed=1)
        assert files(folder) == []
        assert finds(gallery, names + more, np.concatenate([rows, others]))  # a reader does not wait either
    gallery.add("anna", [image(1)])
    assert gallery.info()["index"]["faces"] == 151


def test_a_reader_builds_what_a_killed_writer_did_not(make, monkeypatch):
    gallery = make(exact_limit=100)
    with monkeypatch.context() as killed:
        killed.setattr(builder.Builder, "maintain", lambda self: None)
        names, rows = fill(gallery, 500)
    assert record(gallery) is None
    answer = gallery.search_embedding(rows[0])
    assert (answer.name, answer.method) == ("0-0", "approximate")
    assert record(gallery)["faces"] == 500
    assert finds(gallery, names, rows)


def test_one_that_was_opened_before_goes_on_with_the_new_file(make, folder):
    one = make(exact_limit=100)
    names, rows = fill(one, 150)
    two = make()
    assert two.search_embedding(rows[0]).name == "0-0"
    fill(one, 300, seed=1)
    assert two.search_embedding(rows[0]).faces == 450
    assert two._snapshots.index._record["file"] == files(folder)[0]
    one.remove("0-1")
    assert finds(two, names[8:], rows[8:])


def test_check_compares_the_whole_file(make, folder):
    gallery = make(exact_limit=100)
    fill(gallery, 150)
    path = folder / files(folder)[0]
    state = os.stat(path)
    flip(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a failing disk does it
    assert len(gallery.check()) == 1
    gallery._store.handle.execute("DELETE FROM faces WHERE id = 7")
    gallery._store.handle.execute("UPDATE meta SET value = value - 1 WHERE key = 'faces'")
    flip(path)
    assert gallery.check() == [f"{path.name} holds 1 faces that were removed"]
    gallery._store.handle.execute(
        "UPDATE faces SET embedding = (SELECT embedding FROM faces WHERE id = 9) WHERE id = 8"
    )
    assert f"{path.name} has 1 faces wrong" in gallery.check()


def test_a_search_is_right_whatever_the_index_proposes(make, monkeypatch):
    """The database decides: proposals that are gone, or that belong to others, name nobody wrongly."""
    gallery = make()
    _, rows = fill(gallery, 40)
    monkeypatch.setattr(cache.Cache, "nearest", lambda self, query, count: (np.array([3, 4, 4000]), True))
    for row in rows[:12]:
        (match,) = gallery.search_embedding(row, far=FAR).matches
        assert match.name == "0-0"
        template = rows[:4].sum(axis=0) / np.linalg.norm(rows[:4].sum(axis=0))
        expected = (max(float(row @ other) for other in rows[:4]) + float(row @ template)) / 2
        assert match.similarity == pytest.approx(expected, abs=1e-3)
        assert match.same == (match.similarity > 0.6)


def test_embeddings_stay_as_they_were_through_every_file(make, folder, monkeypatch):
    monkeypatch.setattr(base, "TAIL", 50)
    gallery = make()
    fill(gallery, 100)
    import faiss

    index = faiss.read_index(str(folder / files(folder)[0]))
    codes = faiss.vector_to_array(faiss.downcast_index(index.index).codes).tobytes()
    assert codes == embeddings(100).astype(np.float16).tobytes()

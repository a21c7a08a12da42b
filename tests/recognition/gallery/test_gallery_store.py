"""The database: one truth, whole or not at all."""

import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from gallery_stub import DIM, embeddings

from lrface.errors import LrfaceError
from lrface.recognition.gallery import database
from lrface.recognition.gallery.protocol import NameTakenError, NewFace
from lrface.recognition.gallery.store import Store

MODEL = ("f" * 64, "stub", DIM)


@pytest.fixture
def store(folder):
    opened = Store(folder, lambda: MODEL)
    yield opened
    opened.close()


def faces(count, seed=0):
    return [NewFace(row, bytes([seed, number]), f"{number}.jpg") for number, row in enumerate(embeddings(count, seed))]


def enrol(store, name, count, seed=0):
    return store.insert([(name, face) for face in faces(count, seed)])


def counted(store):
    with store.reading():
        totals = store.totals()
    return totals.people, totals.faces, totals.removed


def test_what_is_enrolled_is_there_for_the_next_one(store, folder):
    assert enrol(store, "anna", 3) == 3
    assert enrol(store, "anna", 4) == 1
    assert enrol(store, "bert", 2) == 2
    other = Store(folder)
    assert [(person.name, person.faces) for person in other.people()] == [("anna", 4), ("bert", 2)]
    assert counted(other) == counted(store) == (2, 6, 0)
    with other.reading():
        ids, rows = next(other.embeddings(0, 99))
    assert (np.diff(ids) > 0).all()
    np.testing.assert_array_equal(rows[3:], np.concatenate([embeddings(4)[3:], embeddings(2)]).astype(np.float16))
    other.close()


def test_a_block_that_fails_changes_nothing(store):
    enrol(store, "anna", 2)
    wrong = NewFace(np.zeros(DIM - 1, np.float32), b"x", "wrong")
    with pytest.raises(sqlite3.IntegrityError):
        store.insert([("bert", faces(1)[0]), ("carl", wrong)])
    assert counted(store) == (1, 2, 0)
    assert [person.name for person in store.people()] == ["anna"]
    assert enrol(store, "bert", 1) == 1


def test_no_id_is_given_twice(store):
    enrol(store, "anna", 3)
    assert store.remove("anna") == 3
    assert store.remove("anna") is None
    enrol(store, "bert", 1)
    with store.reading():
        assert store.ids(99).tolist() == [4]
        assert store.totals().removed == 3


def test_a_reader_sees_one_state(store, folder):
    enrol(store, "anna", 1)
    other = Store(folder)
    with other.reading():
        assert other.totals().faces == 1
        enrol(store, "bert", 5)
        assert other.totals().faces == 1
        assert len(other.ids(99)) == 1
    assert counted(other)[1] == 6
    other.close()


def test_check_finds_what_does_not_agree(store, folder):
    enrol(store, "anna", 3)
    assert store.check() == []
    for statement, fault in (
        ("UPDATE meta SET value = 7 WHERE key = 'faces'", "recorded"),
        (f"UPDATE faces SET embedding = zeroblob({2 * DIM}) WHERE id = 2", "face 2: its embedding is damaged"),
        ("UPDATE faces SET person = 99 WHERE id = 3", "faces of nobody"),
    ):
        store.handle.execute("PRAGMA foreign_keys = OFF")
        store.handle.execute("SAVEPOINT before")
        store.handle.execute(statement)
        store.handle.execute("COMMIT")
        assert any(fault in line for line in store.check()), fault
    enrol(store, "bert", 1)


def test_a_writer_waits_for_another_and_says_if_it_waits_in_vain(store, folder, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    other = Store(folder)
    with store.writing(), pytest.raises(LrfaceError, match=r"another process has kept .*gallery.sqlite"):
        enrol(other, "anna", 1)
    assert enrol(other, "anna", 1) == 1
    other.close()


def test_files_that_are_no_gallery(folder):
    folder.mkdir()
    path = folder / "gallery.sqlite"
    path.write_text("This is no database, only a text. " * 100)
    for model in (None, lambda: MODEL):
        with pytest.raises(LrfaceError, match=r"gallery.sqlite is damaged \(file is not a database\): put back"):
            Store(folder, model)
    path.unlink()
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE other (x)")
    foreign.close()
    for model in (None, lambda: MODEL):
        with pytest.raises(LrfaceError, match="not the database of a gallery"):
            Store(folder, model)


def test_a_newer_format_is_refused(store, folder):
    store.handle.execute("PRAGMA user_version = 2")
    with pytest.raises(LrfaceError, match="has format 2, and this lrface knows 1: update"):
        Store(folder)


def test_a_damaged_database_is_named(store, folder):
    enrol(store, "anna", 200)
    store.close()
    path = folder / "gallery.sqlite"
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
    with pytest.raises(LrfaceError, match=r"gallery.sqlite is damaged .*malformed.*recover"):
        Store(folder).people()
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(LrfaceError, match=r"gallery.sqlite is damaged"):
        Store(folder).people()


def test_a_database_whose_maker_died(folder):
    folder.mkdir()
    handle = sqlite3.connect(folder / "gallery.sqlite")
    handle.execute("PRAGMA journal_mode = WAL")
    handle.close()
    with pytest.raises(LrfaceError, match="no gallery at"):
        Store(folder)
    store = Store(folder, lambda: MODEL)
    assert enrol(store, "anna", 1) == 1
    store.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LrfaceError, match="cannot write"):
        Store(tmp_path / "file" / "gallery", lambda: MODEL)


def test_a_child_of_the_process_opens_its_own(store, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(LrfaceError, match="child of the process"):
        enrol(store, "anna", 1)


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        ("UPDATE people SET name = x'ff00'", "a name that is no text"),
        ("DELETE FROM meta WHERE key = 'dim'", "dim is missing"),
        ("UPDATE meta SET value = 'many' WHERE key = 'faces'", "faces is missing"),
        ("UPDATE faces SET embedding = x'00'", "an embedding of another length"),
        ("UPDATE faces SET resolution = x'00'", "a resolution that is no number"),
        ("UPDATE faces SET person = 99", "a face of nobody"),
        ("UPDATE faces SET source = x'ff'", "a name that is no text"),
        ("INSERT INTO base VALUES (1, '{')", "the record of the index is no JSON"),
        ("INSERT INTO base VALUES (1, '[1]')", "the record of the index is not whole"),
    ],
)
def test_contents_that_no_gallery_has_are_damage(store, folder, statement, damage):
    enrol(store, "anna", 3)
    for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
        store.handle.execute(f"PRAGMA {pragma}")
    store.handle.execute(statement)
    with pytest.raises(LrfaceError, match=rf"gallery.sqlite is damaged \({damage}.*\): put back a copy"):
        read_all(folder)


def read_all(folder):
    with closing(Store(folder)) as store:
        store.people()
        with store.reading():
            store.read_base()
            list(store.embeddings(0, 99))
            store.fetch(np.arange(9))
            store.describe(1)


def test_errors_that_quote_what_is_no_text_are_damage(store):
    with pytest.raises(LrfaceError, match=r"is damaged \(text that is none\)"), store.explained():
        b"\xff".decode()


def test_a_face_that_is_no_number_hides_nobody(folder):
    from gallery_stub import encoder, fill

    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder, encoder()) as gallery:
        _, rows = fill(gallery, 20)
        broken = np.full(DIM, np.nan, "<f2").tobytes()
        gallery._store.handle.execute("UPDATE faces SET embedding = ? WHERE id = 3", (broken,))
        with Gallery.open(folder, encoder()) as other:
            answer = other.search_embedding(rows[12], threshold=0.6)
            assert (answer.name, len(other.check())) == ("0-3", 1)
            assert all(np.isfinite(match.similarity) for match in answer.matches)


def state(store):
    return {person.name: person.faces for person in store.people()}


@pytest.mark.parametrize("typed", ["Zo\u00eb Smith", "zoe\u0308  SMITH", " Zoë Smith  "])
def test_one_person_however_the_name_is_typed(store, typed):
    enrol(store, "Zo\u00eb Smith", 2)
    assert enrol(store, typed, 3, seed=1) == 3
    assert state(store) == {"Zo\u00eb Smith": 5}
    assert (store.find(typed), len(store.digests(typed))) == ("Zo\u00eb Smith", 5)
    assert store.remove(typed) == 5
    assert store.find(typed) is None


def test_who_has_an_image(store):
    enrol(store, "bert", 2)
    enrol(store, "anna", 1)
    first, second = (face.digest for face in faces(2))
    assert store.owners([first, second, b"none"]) == {first: ["anna", "bert"], second: ["bert"]}


def test_a_person_gets_another_name(store):
    enrol(store, "anna", 3)
    assert store.rename("ANNA", "Anna") == 3
    assert store.rename("anna", "Dora") == 3
    assert store.rename("anna", "Eve") is None
    assert (state(store), counted(store)) == ({"Dora": 3}, (1, 3, 0))


def test_two_people_become_one(store):
    enrol(store, "anna", 3)
    enrol(store, "bert", 2)
    enrol(store, "bert", 2, seed=1)
    with pytest.raises(NameTakenError, match="somebody called anna already"):
        store.rename("bert", "Anna")
    assert state(store) == {"anna": 3, "bert": 4}
    assert store.rename("bert", "Anna", merge=True) == 4
    assert (state(store), counted(store)) == ({"anna": 5}, (1, 5, 2))  # two images counted once
    assert store.check() == []


def test_a_photo_goes(store):
    enrol(store, "anna", 3)
    enrol(store, "bert", 3)
    digest = faces(2)[1].digest
    assert store.remove_photo("anna", "elsewhere.jpg", digest) == 1
    assert store.remove_photo("anna", "elsewhere.jpg", digest) == 0
    assert store.remove_photo("anna", "0.jpg", None) == 1
    assert (state(store), counted(store)) == ({"anna": 1, "bert": 3}, (2, 4, 2))
    assert store.remove_photo("anna", "2.jpg", b"changed since") == 1
    assert store.remove_photo("anna", "2.jpg", None) is None
    assert (state(store), counted(store)) == ({"bert": 3}, (1, 3, 3))


def test_all_faces_of_some_people(store):
    enrol(store, "anna", 2)
    enrol(store, "bert", 1)
    enrol(store, "anna", 1, seed=1)
    with store.reading():
        assert [(face.id, face.person) for face in store.of_people([1])] == [(1, 1), (2, 1), (4, 1)]
        assert len(store.of_people([1, 2])) == 4


def test_a_gallery_of_an_older_version_is_brought_up(store, folder):
    enrol(store, "Anna", 2)
    enrol(store, "bert", 1)
    for statement in ("DROP INDEX people_key", "DROP INDEX faces_digest", "ALTER TABLE people DROP COLUMN key"):
        store.handle.execute(statement)
    store.handle.execute("INSERT INTO people (name) VALUES ('anna')")
    store.handle.execute("UPDATE faces SET person = 3 WHERE id = 2")
    store.handle.execute("UPDATE meta SET value = 3 WHERE key = 'people'")
    with closing(Store(folder)) as newer:
        assert (newer.find("Anna"), newer.find("anna"), newer.find("ANNA")) == ("Anna", "anna", "Anna")
        assert enrol(newer, "BERT", 2) == 1
        assert newer.rename("anna", "Anna", merge=True) == 1
        assert state(newer) == {"Anna": 2, "bert": 2}
        assert newer.check() == []
        newer.handle.execute("INSERT INTO people (name) VALUES ('Carl')")  # as an older version does
    with closing(Store(folder)) as again:
        assert again.find("carl") == "Carl"

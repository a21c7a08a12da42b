"""The SQLite file of a gallery: damage, locks and older versions. What holds for every store is in test_gallery_store.py."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from gallery_stub import DIM, MODEL
from test_gallery_store import enrol, state

from lrface.errors import LrfaceError
from lrface.recognition.gallery import database
from lrface.recognition.gallery.store import Store


@pytest.fixture
def store(folder):
    opened = Store(folder, lambda: MODEL)
    yield opened
    opened.close()


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
            store.describe([1])


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

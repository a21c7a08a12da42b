"""The people and faces of a gallery, in every kind of store: one truth, whole or not at all."""

import os

import numpy as np
import pytest
from gallery_stub import DIM, embeddings

from lrface.errors import LrfaceError
from lrface.recognition.gallery.protocol import NameTakenError, NewFace
from lrface.recognition.gallery.stores import open_store


def faces(count, seed=0):
    return [NewFace(row, bytes([seed, number]), f"{number}.jpg") for number, row in enumerate(embeddings(count, seed))]


def enrol(store, name, count, seed=0):
    return store.insert([(name, face) for face in faces(count, seed)])


def counted(store):
    with store.reading():
        totals = store.totals()
    return totals.people, totals.faces, totals.removed


def test_what_is_enrolled_is_there_for_the_next_one(store, place):
    assert enrol(store, "anna", 3) == 3
    assert enrol(store, "anna", 4) == 1
    assert enrol(store, "bert", 2) == 2
    other = open_store(place)
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
    with pytest.raises(Exception, match=r"constraint|dimensions"):
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


def test_a_reader_sees_one_state(store, place):
    enrol(store, "anna", 1)
    other = open_store(place)
    with other.reading():
        assert other.totals().faces == 1
        enrol(store, "bert", 5)
        assert other.totals().faces == 1
        assert len(other.ids(99)) == 1
    assert counted(other)[1] == 6
    other.close()


def test_a_child_of_the_process_opens_its_own(store, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(LrfaceError, match="child of the process"):
        enrol(store, "anna", 1)


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

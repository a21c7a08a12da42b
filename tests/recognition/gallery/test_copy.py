"""Galleries copied between stores: everybody with everything, compared, and whole or not to be opened."""

import signal
from contextlib import closing
from itertools import product

import pytest
from gallery_stub import DIM, embeddings, encoder, fill, image
from test_kill import start

from lrface.errors import LrfaceError
from lrface.recognition.gallery import Gallery, copy
from lrface.recognition.gallery.copy import copy_gallery
from lrface.recognition.gallery.protocol import NewFace
from lrface.recognition.gallery.stores import open_store

KINDS = ("sqlite", "postgres")


@pytest.fixture
def places(request, tmp_path):
    """``places(kind, ...)``: where galleries of these kinds may be."""
    numbers = iter(range(99))

    def make(*kinds):
        return [
            request.getfixturevalue("postgres").address()
            if kind == "postgres"
            else tmp_path / f"gallery{next(numbers)}"
            for kind in kinds
        ]

    return make


def records(place):
    with closing(open_store(place)) as store, store.reading():
        return {
            (name, face.digest): (face.embedding.tobytes(), face.source, face.added, face.resolution, face.member)
            for part in store.records(store.totals().last)
            for name, face in part
        }


def filled(place, count=300, limit=100):
    with Gallery.open(place, encoder(), exact_limit=limit) as gallery:
        gallery.add("Zoë", [image(1), image(1, 1)])
        gallery.insert(
            [("dora", NewFace(embeddings(1, 7)[0], b"d", "x.png", 7.25, 0.5, "small", "2020-02-03T04:05:06+00:00"))]
        )
        return fill(gallery, count)


@pytest.mark.parametrize(("source", "target"), product(KINDS, KINDS))
def test_everything_is_there_and_said(places, source, target):
    old, new = places(source, target)
    names, rows = filled(old)
    copied = copy_gallery(old, new, progress=False)
    assert (copied.people, copied.faces, copied.model_name) == (77, 303, "stub-16px")
    assert records(old) == records(new)
    total = sum(float(row.astype("<f2").astype("f8").sum()) for row in rows)
    assert abs(copied.total - total) < 3 * DIM
    with Gallery.open(new, encoder()) as gallery:
        assert gallery.check() == []
        assert gallery.search_embedding(rows[40]).name == names[40]
        assert gallery.search_embedding(rows[40]).method == "approximate"
        gallery.add("eve", [image(9)])
    again = places(source)[0]
    assert copy_gallery(old, again, progress=False).digest == copied.digest


def test_where_nothing_may_be_copied_to(places, tmp_path):
    old, other, strange = places(*["sqlite"] * 3)
    filled(old, 20)
    with pytest.raises(LrfaceError, match="cannot be copied to itself"):
        copy_gallery(old, old)
    with pytest.raises(LrfaceError, match="no gallery at"):
        copy_gallery(tmp_path / "nothing", other)
    filled(other, 8)
    with pytest.raises(LrfaceError, match="has people of its own"):
        copy_gallery(old, other)
    with Gallery.open(strange, encoder("other")):
        pass
    with pytest.raises(LrfaceError, match="is a gallery of another model, other-16px"):
        copy_gallery(old, strange)
    assert len(records(old)) == 23


def test_two_people_of_one_name_are_not_made_one(places):
    old, new = places("sqlite", "sqlite")
    filled(old, 8)
    with closing(open_store(old)) as store:
        store.handle.execute("UPDATE people SET name = 'ANNA' WHERE name = '0-0'")
        store.handle.execute("UPDATE people SET name = 'anna' WHERE name = '0-1'")
    with pytest.raises(LrfaceError, match="two people whose names are the same but for case or blanks, ANNA and anna"):
        copy_gallery(old, new)


@pytest.mark.parametrize(("source", "target"), [KINDS, KINDS[::-1]])
def test_a_copy_that_was_killed_goes_on_and_is_not_opened_before(places, source, target, monkeypatch):
    old, new = places(source, target)
    filled(old)
    monkeypatch.setattr(copy, "PART", 50)
    script = (
        "from lrface.recognition.gallery import copy; from lrface.recognition.gallery.store import Store\n"
        "from lrface.recognition.gallery.postgres.store import PostgresStore\ncopy.PART = 50\n"
        "for each in (Store, PostgresStore): each.insert = later(each.insert, 4)\n"
        f"copy.copy_gallery({str(old)!r}, {str(new)!r}, progress=False)\n"
    )
    with start(places("sqlite")[0], script) as process:
        assert process.wait(timeout=240) == -signal.SIGKILL
    assert len(records(new)) == 150
    with pytest.raises(LrfaceError, match=r"is a copy of .* that is not whole: run `lrface gallery copy "):
        Gallery.open(new, encoder())
    with pytest.raises(LrfaceError, match="not whole"):
        copy_gallery(new, places("sqlite")[0])
    assert copy_gallery(old, new, progress=False).faces == 303
    assert records(old) == records(new)
    with Gallery.open(new, encoder()) as gallery:
        assert gallery.check() == []


def test_a_source_that_changed_since_the_copy_was_begun(places, monkeypatch):
    old, new = places("sqlite", "sqlite")
    filled(old, 40)
    with monkeypatch.context() as patched:
        patched.setattr(copy, "_compare", stop)
        with pytest.raises(LrfaceError, match="stop"):
            copy_gallery(old, new, progress=False)
    with Gallery.open(old) as gallery:
        gallery.remove("0-2")
    with pytest.raises(LrfaceError, match=r"is not what .* holds \(12 people and 43 faces, and 11 and 39\)"):
        copy_gallery(old, new, progress=False)
    with pytest.raises(LrfaceError, match="not whole"):
        Gallery.open(new, encoder())


def stop(*arguments):
    raise LrfaceError("stop")


def test_a_face_that_differs_in_anything_is_seen(places):
    (old,) = places("sqlite")
    filled(old, 40)
    for change in ("source = 'y'", "added = 'then'", "resolution = 3", "embedding = zeroblob(64)", "person = 3"):
        (new,) = places("sqlite")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(copy, "_compare", meddle(change, copy._compare))
            with pytest.raises(LrfaceError, match="is not what"):
                copy_gallery(old, new, progress=False)


def meddle(change, compare):
    """A comparison of what is there after something was changed behind the copy's back."""

    def compared(old, new, there, here):
        new.handle.execute(f"UPDATE faces SET {change} WHERE id = 9")
        found = copy._Tally()
        with new.reading():
            for part in new.records(99):
                found.see(part)
            compare(old, new, there, (new.totals(), found))

    return compared

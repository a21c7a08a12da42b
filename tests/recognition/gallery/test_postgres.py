"""Galleries in PostgreSQL: damage, writers at once, the index, and lost connections. How they are reached is in
test_postgres_reached.py, what holds for every store in test_gallery_store.py and test_gallery.py."""

import json
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from gallery_stub import embeddings, encoder, fill, image
from test_gallery_store import counted, enrol

from lrface.errors import LrfaceError
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.protocol import NewFace
from lrface.recognition.gallery.stores import open_store


@pytest.fixture
def place(postgres):
    return postgres.address()


@pytest.fixture
def folder(place):
    """For ``make``."""
    return place


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE {}.counts SET faces = faces + 4 WHERE slot = 0", "recorded"),
        ("UPDATE {}.faces SET embedding = embedding + embedding WHERE id = 2", "face 2: its embedding is damaged"),
        ("DELETE FROM {}.people", "faces of nobody"),
    ],
)
def test_check_finds_what_does_not_agree(store, postgres, statement, fault, schema):
    enrol(store, "anna", 3)
    assert store.check() == []
    postgres.run(f"ALTER TABLE {schema}.faces DROP CONSTRAINT faces_person_fkey", statement.format(schema))
    assert any(fault in line for line in store.check())


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        ("DELETE FROM {}.meta WHERE key = 'dim'", "dim is missing"),
        ("DELETE FROM {}.counts", "the counts are missing"),
        ("DROP TABLE {}.faces", "does not exist"),
    ],
)
def test_contents_that_no_gallery_has_are_damage(store, postgres, statement, damage, schema):
    enrol(store, "anna", 3)
    postgres.run(statement.format(schema))
    for _ in range(2):  # the connection can still be used
        with pytest.raises(LrfaceError, match=rf"is damaged \(.*{damage}.*\): put back a backup, or drop the schema"):
            read(store)


def read(store):
    with store.reading():
        store.totals()


def test_a_face_of_nobody_is_damage(store):
    with pytest.raises(LrfaceError, match="a face of nobody"), store.reading():
        store.describe([5])


def test_two_writers_who_share_people_do_not_lose_any(place, store):
    """In opposite orders, so that their locks would meet."""
    names = [f"p{number}" for number in range(30)]
    problems = []

    def work(seed, order):
        try:
            with closing(open_store(place)) as own:
                for number in range(5):
                    rows = embeddings(len(names), seed=[seed, number])
                    own.insert(
                        [
                            (name, NewFace(row, bytes([seed, number]), "x"))
                            for name, row in zip(order, rows, strict=True)
                        ]
                    )
                    own.rename(order[0], order[0].upper())
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(seed, names[:: 1 - 2 * (seed % 2)])) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert counted(store) == (30, 600, 0)
    assert store.check() == []


def test_who_was_removed_is_in_no_row_and_no_index(make, postgres, schema):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 200)
    assert gallery.info()["index"]["kind"] == "approximate"
    gallery.remove("0-3")
    dead = f"SELECT n_dead_tup FROM pg_stat_all_tables WHERE schemaname = '{schema}' AND relname = 'faces'"
    assert postgres.run(dead) == [(0,)]
    gallery.rename("0-4", "Anna")
    assert postgres.run(dead.replace("'faces'", "'people'")) == [(0,)]
    assert gallery.search_embedding(rows[12]).name != "0-3"
    assert gallery.info()["index"]["faces"] == len(names) - 4


def test_the_index_goes_where_too_few_are_left_and_comes_again(make, told):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 120)
    assert (gallery.search_embedding(rows[0]).method, len(told)) == ("approximate", 2)
    for name in sorted(set(names))[:11]:
        gallery.remove(name)
    answer = gallery.search_embedding(rows[-1])
    assert (answer.method, answer.faces) == ("exact", 76)
    assert gallery.info()["index"] is None
    fill(gallery, 60, seed=1)
    assert gallery.search_embedding(rows[-1]).method == "approximate"
    assert gallery.check() == []


def test_a_raised_limit_makes_the_next_search_exact(make):
    _, rows = fill(make(exact_limit=100), 120)
    assert make().search_embedding(rows[0]).method == "approximate"
    assert make(exact_limit=10**6).search_embedding(rows[0]).method == "exact"


def test_an_index_that_is_not_whole_is_built_again(make, postgres, schema):
    gallery = make(exact_limit=100)
    _, rows = fill(gallery, 150)
    postgres.run(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{schema}.faces_embedding'::regclass")
    assert gallery.check() == ["the index faces_embedding is missing or not whole"]
    assert gallery.search_embedding(rows[0]).name == "0-0"  # the server compares with all
    fill(gallery, 200, seed=1)  # more than half as many came to it
    assert gallery.check() == []
    assert gallery.info()["index"]["recall"]["faces"] == 350


def test_a_lost_connection_is_made_again(make, postgres):
    gallery = make()
    gallery.add("anna", [image(1)])
    other = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lrface'"
    postgres.run(other)
    assert gallery.search(image(1)).name == "anna"
    postgres.run(other)
    assert gallery.add("bert", [image(2)]).added == 1

    def cut_off():
        with gallery._store.reading():
            postgres.run(other)
            gallery._store.fetch(np.arange(3))

    with pytest.raises(LrfaceError, match=r"connection to postgresql://\S+ was lost .*: what was said"):
        cut_off()
    assert [person.name for person in gallery.people()] == ["anna", "bert"]


def test_the_answers_are_those_of_a_folder(postgres, tmp_path):
    rows = embeddings(300)
    names = [f"{number // 5}" for number in range(300)]
    answers = []
    for place in (tmp_path / "gallery", postgres.address()):
        with Gallery.open(place, encoder()) as gallery:
            gallery.add_embeddings(names, rows, [str(number) for number in range(300)])
            answers.append([gallery.search_embedding(query, far=0.1).as_dict() for query in embeddings(20, seed=4)])
    assert json.dumps(answers[0]) == json.dumps(answers[1])


def test_the_embedded_store_imports_no_psycopg():
    script = (
        "import sys; from lrface.recognition.gallery import Gallery; from lrface.recognition.gallery.copy import copy_gallery; "
        "from lrface.recognition.gallery.store import Store; assert not {'psycopg', 'pgvector'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

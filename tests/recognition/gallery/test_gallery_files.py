"""Galleries in folders: what is only so where the index is a file. What holds for every store is in test_gallery.py."""

import threading

import numpy as np
import pytest
from gallery_stub import encoder, fill, image

from lrface.errors import LrfaceError
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.builder import Builder
from lrface.recognition.gallery.index import load_faiss


def test_removed_faces_leave_every_file(make, folder):
    gallery = make(exact_limit=100)
    _, rows = fill(gallery, 600)
    stored = rows.astype(np.float16)[8:12]
    before = (folder / "gallery.sqlite").read_bytes() + (folder / "gallery.sqlite-wal").read_bytes()
    assert all(row.tobytes() in before for row in stored)
    gallery.remove("0-2")
    after = b"".join(file.read_bytes() for file in folder.iterdir())
    assert not any(row.tobytes() in after for row in stored)


def test_threads_search_and_add_while_an_index_is_built(make, monkeypatch):
    gallery = make(exact_limit=100)
    fill(gallery, 90)
    begun, done, commit = threading.Event(), threading.Event(), Builder._commit

    def slow(*arguments):
        begun.set()
        assert done.wait(60)
        commit(*arguments)

    monkeypatch.setattr(Builder, "_commit", slow)
    thread = threading.Thread(target=fill, args=(gallery, 60, 1))
    thread.start()
    assert begun.wait(60)
    assert gallery.add("anna", [image(1)]).added == 1
    answer = gallery.search(image(1))
    assert (answer.name, answer.method, answer.faces) == ("anna", "exact", 151)
    done.set()
    thread.join()
    assert gallery.search(image(1)).method == "approximate"
    assert gallery.search(image(1)).name == "anna"


def test_without_a_gallery(folder):
    for options in ({}, {"encoder": encoder(), "create": False}):
        with pytest.raises(LrfaceError, match=r"no gallery at .*gallery add NAME"):
            Gallery.open(folder, **options)
    assert not folder.exists()


def test_faiss_is_missing(make, monkeypatch):
    gallery = make()
    gallery.add("anna", [image(1)])
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(LrfaceError, match=r"lrface\[faiss-cpu\].*lrface\[faiss-gpu\].*never both"):
        load_faiss()
    with pytest.raises(LrfaceError, match="needs FAISS"):
        make().search(image(1))
    assert gallery.people()[0].faces == 1
    assert gallery.remove("anna") == 1

"""Several processes use a gallery at once, in every kind of store."""

import sqlite3
from pathlib import Path

import pytest
from gallery_stub import embeddings, encoder, image
from test_kill import start

from lrface.recognition.gallery import Gallery

ADD = """
name = {name!r}
for number in range(12):
    rows = embeddings(10, seed=[ord(name), number])
    assert gallery.add_embeddings([f'{{name}}{{number}}'] * 10, rows, [f'{{i}}' for i in range(10)]) == 10
    assert gallery.search_embedding(rows[3]).matches[0].name == f'{{name}}{{number}}'
    gallery.add('both', [image(1, number)])
    if number % 4 == 3:
        gallery.remove(f'{{name}}{{number - 1}}')
"""


@pytest.mark.parametrize("made", [False, True])
def test_nothing_is_lost_when_three_add(place, made):
    if made:
        Gallery.open(place, encoder()).close()
    names = "abc"
    processes = [start(place, ADD.format(name=name)) for name in names]
    for process in processes:
        assert process.wait(timeout=240) == 0
    with Gallery.open(place, encoder()) as gallery:
        expected = {f"{name}{number}": 10 for name in names for number in range(12) if number not in (2, 6, 10)}
        assert {person.name: person.faces for person in gallery.people()} == expected | {"both": 12}
        assert gallery.check() == []
        for name in names:
            for number in range(12):
                for row in embeddings(10, seed=[ord(name), number])[::5]:
                    best = gallery.search_embedding(row).matches[0]
                    assert (best.name == f"{name}{number}") == (f"{name}{number}" in expected)
        assert gallery.search(image(1)).name == "both"
        assert gallery.info()["index"]["kind"] == "approximate"
    if isinstance(place, Path):
        assert len(list(place.glob("*index-*"))) == 1
        with sqlite3.connect(place / "gallery.sqlite") as handle:
            assert handle.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        handle.close()

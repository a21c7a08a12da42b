"""``kill -9`` of a process, or of the PostgreSQL server, at any moment: what was said to be enrolled is there, nothing is
there by halves, and the index agrees.

``LRFACE_KILLS=100`` kills more often at moments drawn by chance.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gallery_stub import embeddings, encoder, fill, image

from lrface.recognition.gallery import Gallery

KILLS = int(os.environ.get("LRFACE_KILLS", "4"))
CHANCE = random.Random(5)

SCRIPT = """
import os, pathlib, signal, sys
from gallery_stub import embeddings, encoder, image
from lrface.recognition.gallery import Gallery, base, builder, index, store

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def later(function, calls):
    # The function, and death at its call number ``calls``.
    left = [calls]
    def counted(*arguments, **options):
        left[0] -= 1
        return die() if left[0] <= 0 else function(*arguments, **options)
    return counted

gallery = Gallery.open(sys.argv[1], encoder(), exact_limit=100)
"""

ADD = "gallery.add('new', [image(1000, number) for number in range(3)] * 2 + [image(1001)])"
BUILD = "gallery.add_embeddings([f'9-{n // 4}' for n in range(120)], embeddings(120, 9), list(map(str, range(120))))"
REMOVE = "gallery.remove('0-0')"
RENAME = "gallery.rename('0-0', 'other')"
MERGE = "gallery.rename('0-0', '0-1', merge=True)"
PHOTO = "gallery.remove_photo('0-0', '0/0')"
COMMIT = "gallery._store.handle.set_trace_callback(lambda sql: sql == 'COMMIT' and die())"

#: What is left of the person 0-0 and of others.
LEFT = {REMOVE: {"0-0": 0}, RENAME: {"0-0": 0, "other": 4}, MERGE: {"0-0": 0, "0-1": 8}, PHOTO: {"0-0": 3}}

#: What each act changes: people, and how many faces they then have.
CHANGED = LEFT | {ADD: {"new": 4}, BUILD: {f"9-{number}": 4 for number in range(30)}}

#: Moment -> what is prepared, what is done, and whether it counts although the process died.
MOMENTS = {
    "while faces are embedded": ("gallery._encoder.embed_crops = die", ADD, False),
    "after the first row": ("store.Store._person = later(store.Store._person, 2)", ADD, False),
    "before the commit": (COMMIT, ADD, False),
    "after the commit": ("base.due = die", ADD, True),
    "before the index is written": ("index.Index.save = die", BUILD, True),
    "while the index is written": ("os.fsync = die", BUILD, True),
    "before the index gets its name": ("pathlib.Path.replace = die", BUILD, True),
    "before the index is recorded": ("store.Store.write_base = die", BUILD, True),
    "before the old index goes": ("pathlib.Path.unlink = die", BUILD, True),
    "before a removal is committed": (COMMIT, REMOVE, False),
    "after a removal, before the index": ("builder.Builder.purge = die", REMOVE, True),
    "while the index is purged": ("os.fsync = die", REMOVE, True),
    "before the purged index is recorded": ("store.Store.write_base = die", REMOVE, True),
    "before the log is emptied": ("store.Store.forget = die", REMOVE, True),
    "before a new name is committed": (COMMIT, RENAME, False),
    "after a new name": ("builder.Builder.purge = die", RENAME, True),
    "while two people are merged": ("store.Store._delete = die", MERGE, False),
    "before a merger is committed": (COMMIT, MERGE, False),
    "after a merger": ("builder.Builder.purge = die", MERGE, True),
    "while a photo is removed": ("store.Store._count = later(store.Store._count, 2)", PHOTO, False),
    "before a photo's removal is committed": (COMMIT, PHOTO, False),
    "after a photo's removal, before the index": ("builder.Builder.purge = die", PHOTO, True),
}  # fmt: skip


#: The same for a gallery in PostgreSQL.
POSTGRES_MOMENTS = {
    "after the people, before the faces": ("PostgresStore._people = later(PostgresStore._people, 1)", ADD, False),
    "before the counts and the commit": ("PostgresStore._count = die", ADD, False),
    "after the commit": ("postgres.Builder.due = die", ADD, True),
    "before the index is built": ("postgres.Builder._build = die", BUILD, True),
    "after the index, before its record": ("postgres.Builder._measure = die", BUILD, True),
    "while a person is removed": ("PostgresStore._count = die", REMOVE, False),
    "after a removal, before the vacuum": ("postgres.Builder.purge = die", REMOVE, True),
    "while two people are merged": ("PostgresStore._delete = die", MERGE, False),
}

PREPARE = """
from lrface.recognition.gallery.postgres import index as postgres
from lrface.recognition.gallery.postgres.store import PostgresStore
"""

ENROL = """
for number in range(len(gallery.people()), 10 ** 6):
    rows = embeddings(5, seed=[7, number])
    assert gallery.add_embeddings([f'p{number}'] * 5, rows, list('abcde')) == 5
    print(number, flush=True)
"""


def start(folder, script, **options):
    """The script in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT + script, str(folder)], env=environment, **options)


def state(gallery):
    return {person.name: person.faces for person in gallery.people()}


def killed(place, faces, moment, counts, act):
    """In a gallery of so many faces, do ``act`` in a process that dies at this moment, and again in one that lives."""
    with Gallery.open(place, encoder(), exact_limit=100) as gallery:
        _, rows = fill(gallery, faces)
        before = state(gallery)
    with start(place, f"{moment}\n{act}\n") as process:
        assert process.wait(timeout=240) == -signal.SIGKILL
    after = {name: count for name, count in (before | CHANGED[act]).items() if count}
    with Gallery.open(place, encoder()) as gallery:
        assert state(gallery) == (after if counts else before)
        gallery.search(image(5))
        assert gallery.check() == []
        with start(place, act) as process:  # the same again, alive
            assert process.wait(timeout=240) == (1 if act in LEFT and counts else 0)
        assert state(gallery) == after
        gallery.add("last", [image(2000)])  # any writer cleans up
        assert gallery.search(image(2000)).name == "last"
        for number, row in list(enumerate(rows))[8::7]:
            name = f"0-{number // 4}"
            found = gallery.search_embedding(row, threshold=0.6).name
            assert found == (name if name in after else None), (name, found)
        assert gallery.check() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed(moment, folder):
    prepare, act, counts = MOMENTS[moment]
    killed(folder, 140, prepare, counts, act)
    assert len(list(folder.glob("*index-*"))) == 1


@pytest.mark.parametrize("moment", POSTGRES_MOMENTS)
def test_a_client_of_postgres_is_killed(moment, postgres):
    prepare, act, counts = POSTGRES_MOMENTS[moment]
    killed(postgres.address(), 90, PREPARE + prepare, counts, act)  # so few that BUILD makes the first graph


def enrol_until(place, kill):
    """A process adds people, and says so after each, until ``kill`` of it: the numbers that it said, status and error."""
    with start(place, ENROL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(8)]
        time.sleep(CHANCE.uniform(0, 0.3))
        kill(process)
        said = [int(line) for line in [*lines, *process.stdout.read().splitlines()] if line.strip()]
        return said, process.wait(timeout=240), process.stderr.read()


def complete(place, acknowledged):
    """Whether all that was acknowledged is there, and whole."""
    # An approximate index may miss a face, so the search is exact.
    with Gallery.open(place, encoder(), exact_limit=10**6) as gallery:
        there = state(gallery)
        assert len(there) in (acknowledged + 1, acknowledged + 2)  # the last one may not have been said
        assert set(there.values()) == {5}
        assert gallery.check() == []
        for number in {0, acknowledged // 2, acknowledged}:
            for row in embeddings(5, seed=[7, number]):
                # Not always the first: a person's template counts too, and the faces are drawn at random.
                assert f"p{number}" in {match.name for match in gallery.search_embedding(row).matches}


def test_killed_by_chance(folder):
    acknowledged = -1
    for _ in range(KILLS):
        said, status, _ = enrol_until(folder, lambda process: process.kill())
        assert status == -signal.SIGKILL
        acknowledged = max(acknowledged, *said)
        with Gallery.open(folder) as gallery:
            assert gallery.check() == []
        copy = folder.with_name(f"copy after {acknowledged}")
        shutil.copytree(folder, copy)
        complete(copy, acknowledged)
    assert acknowledged > 20


def test_clients_and_the_server_of_postgres_are_killed_by_chance(postgres):
    place, acknowledged = postgres.address(), -1
    for each in range(KILLS):
        of_server = each % 2
        said, status, told = enrol_until(
            place, lambda process, server=of_server: postgres.kill() if server else process.kill()
        )
        acknowledged = max(acknowledged, *said)
        if of_server:
            assert status == 1
            assert "LrfaceError: the connection to postgresql://" in told or "LrfaceError: cannot reach" in told
            postgres.start()
        else:
            assert status == -signal.SIGKILL
        complete(place, acknowledged)
    assert acknowledged > 20

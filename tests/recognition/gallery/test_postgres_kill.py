"""``kill -9`` of a client or of the server at any moment: what was said to be enrolled is there, and nothing by halves.

``LRFACE_KILLS=100`` kills more often at moments drawn by chance.
"""

import os
import random
import signal
import subprocess
import time

import pytest
from gallery_stub import embeddings, encoder, fill, image
from test_kill import start, state

from lrface.recognition.gallery import Gallery

PREPARE = """
from lrface.recognition.gallery.postgres import index
from lrface.recognition.gallery.postgres.store import PostgresStore
"""
ADD = "gallery.add('new', [image(1000, number) for number in range(3)] + [image(1001)])"
BUILD = "gallery.add_embeddings([f'9-{n // 4}' for n in range(120)], embeddings(120, 9), list(map(str, range(120))))"
REMOVE = "gallery.remove('0-0')"
MERGE = "gallery.rename('0-0', '0-1', merge=True)"

#: Moment -> what is prepared, what is done, and whether it counts although the process died.
MOMENTS = {
    "after the people, before the faces": ("PostgresStore._people = later(PostgresStore._people, 1)", ADD, False),
    "before the counts and the commit": ("PostgresStore._count = die", ADD, False),
    "after the commit": ("index.Builder.due = die", ADD, True),
    "before the index is built": ("index.Builder._build = die", BUILD, True),
    "after the index, before its record": ("index.Builder._measure = die", BUILD, True),
    "while a person is removed": ("PostgresStore._count = die", REMOVE, False),
    "after a removal, before the vacuum": ("index.Builder.purge = die", REMOVE, True),
    "while two people are merged": ("PostgresStore._delete = die", MERGE, False),
}

#: What is left of the people 0-0 and 0-1.
LEFT = {REMOVE: {"0-0": 0}, MERGE: {"0-0": 0, "0-1": 8}}

#: What each act changes: people, and how many faces they then have.
CHANGED = LEFT | {ADD: {"new": 4}, BUILD: {f"9-{number}": 4 for number in range(30)}}

ENROL = """
for number in range(len(gallery.people()), 10 ** 6):
    rows = embeddings(5, seed=[7, number])
    assert gallery.add_embeddings([f'p{number}'] * 5, rows, list('abcde')) == 5
    print(number, flush=True)
"""


@pytest.fixture
def place(postgres):
    return postgres.address()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_is_killed(moment, place):
    prepare, act, counts = MOMENTS[moment]
    with Gallery.open(place, encoder(), exact_limit=100) as gallery:
        _, rows = fill(gallery, 90)
        before = state(gallery)
    with start(place, f"{PREPARE}\n{prepare}\n{act}\n") as process:
        assert process.wait(timeout=240) == -signal.SIGKILL
    after = {name: count for name, count in (before | CHANGED[act]).items() if count}
    with Gallery.open(place, encoder()) as gallery:
        assert state(gallery) == (after if counts else before)
        assert gallery.search_embedding(rows[20], threshold=0.6).name == "0-5"
        if not counts:
            with start(place, act) as process:  # the same again, alive
                assert process.wait(timeout=240) == 0
        gallery.add("last", [image(2000)])  # any writer finishes the index
        assert state(gallery) == after | {"last": 1}
        assert gallery.search(image(2000)).name == "last"
        assert gallery.info()["index"] is None or gallery.info()["faces"] > 100
        assert gallery.check() == []


def follow(process, lines):
    """The numbers that a process said, until it ends."""
    return [int(line) for line in [*lines, *process.stdout.read().splitlines()] if line.strip()]


def test_clients_and_the_server_are_killed_by_chance(place, postgres):
    """A process adds people, and says so after each; it or the server is killed, and started again."""
    chance = random.Random(5)
    acknowledged = -1
    with Gallery.open(place, encoder(), exact_limit=100):
        pass
    for each in range(int(os.environ.get("LRFACE_KILLS", "4"))):
        with start(place, ENROL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(8)]
            time.sleep(chance.uniform(0, 0.3))
            if each % 2:
                postgres.kill()
            else:
                process.kill()
            said = follow(process, lines)
            told = process.stderr.read()
            process.wait(timeout=240)
        if each % 2:
            assert process.returncode == 1
            assert "LrfaceError: the connection to postgresql://" in told or "LrfaceError: cannot reach" in told
            postgres.start()
        acknowledged = max(acknowledged, *said)
        with Gallery.open(place, encoder()) as gallery:
            there = state(gallery)
            assert len(there) in (acknowledged + 1, acknowledged + 2)  # the last one may not have been said
            assert set(there.values()) == {5}
            assert gallery.check() == []
            for number in {0, acknowledged // 2, acknowledged}:
                for row in embeddings(5, seed=[7, number]):
                    assert gallery.search_embedding(row).matches[0].name == f"p{number}"
    assert acknowledged > 20

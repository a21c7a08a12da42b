"""Which faces may be nearest, as pgvector finds them: by comparing with all, or in a graph (HNSW) beyond the limit.

The graph is part of the database, which keeps it up to date in the same transactions. It is built beside the writers
(``CREATE INDEX CONCURRENTLY``), and its recall is measured then and again when the gallery has grown by half.
https://github.com/pgvector/pgvector#hnsw
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.gallery import base, recall
from lrface.recognition.gallery.address import Address
from lrface.recognition.gallery.index import APPROXIMATE, EXACT, TRAINING
from lrface.recognition.gallery.postgres.vectors import as_vector
from lrface.recognition.gallery.protocol import GalleryStore, Totals

#: How many faces are proposed at first; their people may be fewer than are asked for.
_FIRST = 64

#: pgvector looks at no more candidates in its graph (``hnsw.ef_search``).
_MOST = 1000

#: How many candidates may be looked at; the least that suffices is chosen.
DEPTHS = (100, 200, 400, _MOST)

#: How many candidates the builder looks at for each face. pgvector's own 64 builds in 0.4 of the time, but then the nearest
#: of 20,000 made-up faces is missed by 4 % of the searches that look at 1,000 candidates, and so by 2 %.
CONSTRUCTION = 200

#: Bytes of the graph's own for each face, about: two neighbours for each of ``m`` = 16, and what belongs to them.
_GRAPH = 512

#: The server may take so much memory at most while it builds the graph.
_MEMORY = 4 << 30

NAME = "faces_embedding"


class TableStore(GalleryStore, Protocol):
    """A store in PostgreSQL; see :class:`lrface.recognition.gallery.postgres.database.Database`."""

    address: Address
    schema: str
    psycopg: Any
    handle: Any

    def again(self) -> "TableStore":
        """Another connection to the same gallery, for another thread."""

    def run(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement."""

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""

    def write_base(self, record: dict[str, Any] | None) -> None:
        """Say what was measured of the index."""


class Reader:
    """What proposes faces of one gallery to the searches of one process.

    Args:
        store: the database.
    """

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self._depth: int | None = None
        self._faces = 0

    @property
    def kind(self) -> str:
        """How it searches."""
        return EXACT if self._depth is None else APPROXIMATE

    def refresh(self) -> None:
        """Take over what was written since the last time. Within ``store.reading()``."""
        record = self._store.read_base()
        self._depth = None if record is None else int(record["recall"]["depth"])
        self._faces = self._store.totals().faces

    def nearest(self, query: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """The faces that seem nearest, in no order, and whether these are all.

        Args:
            query: float32 ``[dim]``.
            count: how many to propose at least; 0: some.
        """
        most = max(count, _FIRST)
        approximate = self._depth is not None and most <= min(_MOST, self._faces)
        ids = propose(self._store, query, most, max(most, self._depth or 0) if approximate else None)
        return ids, most >= self._faces


def propose(store: TableStore, query: np.ndarray, count: int, depth: int | None) -> np.ndarray:
    """The ids of the ``count`` nearest faces, best first: int64. Within ``reading()``.

    Args:
        store: of the gallery.
        query: float32 ``[dim]``.
        count: how many; of an approximate search perhaps fewer come.
        depth: how many candidates of the graph to look at; None: compare with all.
    """
    if depth is not None:
        store.handle.execute(f"SET LOCAL hnsw.ef_search = {depth}; SET LOCAL enable_seqscan = off")
    # A sum is not what the graph is sorted by: the server then compares with all.
    order = "(embedding <#> %s) + 0" if depth is None else "embedding <#> %s"
    found = store.rows(f"SELECT id FROM faces ORDER BY {order} LIMIT %s", (as_vector(query), count))
    return np.fromiter((row[0] for row in found), np.int64, len(found))


class Builder:
    """What makes the graph of one gallery.

    Args:
        store: of the gallery; a builder opens it again.
        notify: told what takes its time, and the recall.
    """

    def __init__(self, store: TableStore, notify: Callable[[str], None]) -> None:
        self._store, self._notify = store, notify

    def due(self) -> bool:
        """Whether ``maintain`` has something to do. Within ``store.reading()``."""
        return _due(self._store.read_base(), self._store.totals())

    def maintain(self) -> None:
        """Bring the graph up to date, unless another process or thread is at it."""
        with closing(self._store.again()) as store, _turn(store, wait=False) as mine:
            if mine:
                self._bring_up(store)

    def purge(self) -> None:
        """Take what was deleted out of the tables and out of the graph; and the graph away where it is no longer needed.

        Rows that a transaction elsewhere still sees stay until the server's own vacuum.
        """
        with closing(self._store.again()) as store, _turn(store, wait=True):
            self._bring_up(store)
            store.run("VACUUM (INDEX_CLEANUP ON) faces, people")

    def repair(self, error: Exception) -> None:
        """Nothing: the server keeps its index, and a reader needs none."""

    def check(self) -> list[str]:
        """Whether the graph is as it is recorded; return what is wrong, one line each."""
        with closing(self._store.again()) as store, store.reading():
            record, valid = store.read_base(), _valid(store)
        return [f"the index {NAME} is missing or not whole"] if record is not None and not valid else []

    def _bring_up(self, store: TableStore) -> None:
        with store.reading():
            record, totals = store.read_base(), store.totals()
        if not _due(record, totals):
            return
        if base.kind(record, totals) == EXACT:
            store.write_base(None)
            store.run(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
            return
        if not _valid(store):
            self._build(store, totals)
        self._measure(store)

    def _build(self, store: TableStore, totals: Totals) -> None:
        """Build the graph; writers go on meanwhile."""
        errors = store.psycopg.errors
        self._notify("building the approximate index in the database; this can take some minutes ...")
        memory = min(_MEMORY, 2 * totals.faces * (2 * store.meta["dim"] + _GRAPH) + (64 << 20))
        store.rows("SELECT set_config('maintenance_work_mem', %s, false)", (f"{memory >> 10}kB",))
        build = (
            f"CREATE INDEX CONCURRENTLY {NAME} ON faces USING hnsw (embedding halfvec_ip_ops) "
            f"WITH (ef_construction = {CONSTRUCTION})"
        )
        store.run(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")  # half of one, whose builder died
        try:
            store.run(build)
        except LrfaceError as error:
            if not isinstance(error.__cause__, errors.DiskFull | errors.OutOfMemory):
                raise  # else there is no shared memory for several workers, as in a small container
            store.run(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
            store.rows("SELECT set_config('max_parallel_maintenance_workers', '0', false)")
            store.run(build)

    def _measure(self, store: TableStore) -> None:
        """Measure the recall, and let the graph count."""
        with store.reading():
            totals = store.totals()
            ids = store.ids(totals.last)
            chosen = np.random.default_rng(5).choice(ids, min(TRAINING, len(ids)), replace=False)
            probes = recall.queries(store.sample(chosen))
            truth = recall.Nearest(probes)
            for part in store.embeddings(0, totals.last):
                truth.see(*part)
            measured = recall.measure(_search(store), len(ids), probes, truth.ids, DEPTHS)
            size = store.rows(f"SELECT pg_relation_size('{NAME}'::regclass)")[0][0]
        record = {
            "kind": APPROXIMATE,
            "faces": len(ids),
            "last": totals.last,
            "bytes": size,
            "recall": asdict(measured),
        }
        store.write_base(record)
        self._notify(measured.told)


def _search(store: TableStore) -> Callable[[np.ndarray, int], np.ndarray]:
    """The search whose recall is measured: the ids that seem nearest, int64 ``[n, 64]``; -1 where there are fewer."""

    def search(probes: np.ndarray, depth: int) -> np.ndarray:
        found = np.full((len(probes), _FIRST), -1, np.int64)
        for row, probe in zip(found, probes, strict=True):
            ids = propose(store, probe, _FIRST, depth)
            row[: len(ids)] = ids
        return found

    return search


def _due(record: dict[str, Any] | None, totals: Totals) -> bool:
    if record is None or base.kind(record, totals) == EXACT:
        return (record is None) != (base.kind(record, totals) == EXACT)
    return base.outgrown(record, totals)


def _valid(store: TableStore) -> bool:
    """Whether there is a graph, whole."""
    found = store.rows(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (f"{store.schema}.{NAME}",)
    )
    return bool(found and found[0][0])


@contextmanager
def _turn(store: TableStore, wait: bool) -> Iterator[bool]:
    """A block in which nobody else builds; without ``wait`` it may be given False.

    Whoever waits asks again and again: a statement that waited would keep a snapshot, for which the builder waits.
    """
    key = (f"lrface index {store.address.schema}",)
    while not (mine := store.rows("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)[0][0]) and wait:
        time.sleep(0.2)
    try:
        yield mine
    finally:
        if mine:
            store.rows("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)

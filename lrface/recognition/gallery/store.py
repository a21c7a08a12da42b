"""The people and faces of a gallery in one SQLite file. All other files of the folder can be made from it again."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lrface.recognition.gallery.builder import Builder
from lrface.recognition.gallery.cache import Cache
from lrface.recognition.gallery.database import BUSY_SECONDS, DATABASE, Database, as_text
from lrface.recognition.gallery.names import name_key
from lrface.recognition.gallery.protocol import EXACT_LIMIT, Face, NameTakenError, NewFace, Person, Totals, as_rows
from lrface.recognition.gallery.stored import CHUNK, StoredFaces
from lrface.recognition.gallery.times import now

#: Keys of an index file's record, see :mod:`lrface.recognition.gallery.base`.
_RECORD = {"file", "kind", "faces", "last", "removed", "bytes", "mtime_ns", "sha256", "recall"}


class Store(Database, StoredFaces):
    """The people and faces of a gallery. See :class:`Database` for opening it, and
    :class:`~lrface.recognition.gallery.protocol.GalleryStore` for the methods."""

    def again(self) -> "Store":
        """Open another connection to the same gallery, for another thread."""
        return Store(self.folder)

    def index_reader(self) -> Cache:
        """The reader of the index files, for searches."""
        return Cache(self)

    def index_builder(self, notify: Callable[[str], None]) -> Builder:
        """The builder of the index files; ``notify`` is called with a line about slow steps."""
        return Builder(self, notify)

    def size(self) -> int:
        """Bytes of all files of the folder."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())

    def totals(self) -> Totals:
        """The counts, which every transaction updates, because counting a million rows takes long."""
        meta = self.read_meta()
        last = self.handle.execute("SELECT coalesce(max(id), 0) FROM faces").fetchone()[0]
        return Totals(meta["people"], meta["faces"], meta["removed"], last, meta.get("exact_limit", EXACT_LIMIT))

    def insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        """Enrol faces, each with the checked name of its person, in one transaction. Faces that exist already are skipped.

        Returns:
            Number of new faces.
        """
        added, today = 0, now()
        with self.writing():
            for name, face in faces:
                person, fresh = self._person(name)
                row = {
                    "person": person,
                    "digest": face.digest,
                    "source": face.source,
                    "added": face.added or today,
                    "resolution": face.resolution,
                    "recognisability": face.recognisability,
                    "embedding": face.embedding.astype("<f2").tobytes(),
                }
                if "member" in self.columns:  # galleries of older versions use only one model
                    row["member"] = face.member
                added += self.handle.execute(
                    f"INSERT INTO faces ({', '.join(row)}) VALUES ({', '.join(f':{key}' for key in row)}) "
                    "ON CONFLICT (person, digest) DO NOTHING", row,
                ).rowcount  # fmt: skip
                self._count("people", fresh)
            self._count("faces", added)
        return added

    def _person(self, name: str) -> tuple[int, int]:
        """The id of a person, and 1 if the person was created now, else 0."""
        known = self._named(name)
        if known:
            return known[0], 0
        made = self.handle.execute("INSERT INTO people (name, key) VALUES (?, ?)", (name, name_key(name))).lastrowid
        assert made is not None
        return made, 1

    def _named(self, name: str) -> tuple[int, str] | None:
        """The id of the person with this name, and the stored spelling."""
        query = "SELECT id, name FROM people WHERE key = ? ORDER BY name = ? DESC, id LIMIT 1"
        row = self.handle.execute(query, (name_key(name), name)).fetchone()
        return None if row is None else (row[0], as_text(row[1]))

    def find(self, name: str) -> str | None:
        """The stored spelling of a person's name; None if there is no such person."""
        with self.explained():
            known = self._named(name)
        return known and known[1]

    def _count(self, key: str, more: int) -> None:
        if more:
            self.handle.execute("UPDATE meta SET value = value + ? WHERE key = ?", (more, key))

    def rename(self, name: str, new: str, merge: bool = False) -> int | None:
        """Rename a person, or merge two people; returns the person's number of faces, or None if there is no such person."""
        with self.writing():
            old, other = self._named(name), self._named(new)
            if old is None:
                return None
            faces: int = self.handle.execute("SELECT count(*) FROM faces WHERE person = ?", old[:1]).fetchone()[0]
            if other is None or other[0] == old[0]:
                self.handle.execute("UPDATE people SET name = ?, key = ? WHERE id = ?", (new, name_key(new), old[0]))
                return faces
            if not merge:
                raise NameTakenError(
                    f"there is somebody called {other[1]} already: merge the two, or choose another name"
                )
            self.handle.execute("UPDATE OR IGNORE faces SET person = ? WHERE person = ?", (other[0], old[0]))
            self._delete(old[0], "person = ?", (old[0],))  # the images that both had
        return faces

    def remove(self, name: str) -> int | None:
        """Remove a person; returns the number of removed faces, or None if there is no such person."""
        with self.writing():
            person = self._named(name)
            return None if person is None else self._delete(person[0], "person = ?", person[:1])

    def remove_photo(self, name: str, source: str, digest: bytes | None) -> int | None:
        """Remove a person's faces from an image; returns their number, or None if there is no such person."""
        with self.writing():
            person = self._named(name)
            if person is None:
                return None
            gone = self._delete(person[0], "person = ? AND digest = ?", (person[0], digest)) if digest else 0
            return gone or self._delete(person[0], "person = ? AND source = ?", (person[0], source))

    def _delete(self, person: int, which: str, values: tuple[Any, ...]) -> int:
        """Delete faces of a person, and the person with the last one; returns the number of deleted faces."""
        gone = self.handle.execute(f"DELETE FROM faces WHERE {which}", values).rowcount
        left = self.handle.execute("SELECT 1 FROM faces WHERE person = ? LIMIT 1", (person,)).fetchone()
        if left is None:
            self.handle.execute("DELETE FROM people WHERE id = ?", (person,))
            self._count("people", -1)
        self._count("faces", -gone)
        self._count("removed", gone)
        return gone

    def forget(self) -> None:
        """Erase deleted content from the write-ahead log too, unless another process keeps reading it."""
        with self.explained():
            self.handle.execute("PRAGMA busy_timeout = 2000")
            self.handle.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.handle.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS:.0f}")

    def people(self) -> list[Person]:
        """All people, by name."""
        query = "SELECT name, count(*) FROM people JOIN faces ON person = people.id GROUP BY people.id ORDER BY name"
        with self.explained():
            return [Person(as_text(name), faces) for name, faces in self.handle.execute(query)]

    def members(self) -> dict[str, int]:
        """The number of faces that each model embedded, by its name; empty if the gallery does not record it."""
        if "member" not in self.columns:
            return {}
        query = "SELECT member, count(*) FROM faces WHERE member IS NOT NULL GROUP BY member ORDER BY member"
        with self.explained():
            return {as_text(name): count for name, count in self.handle.execute(query)}

    def digests(self, name: str) -> set[bytes]:
        """Digests of a person's images."""
        with self.explained():
            person = self._named(name)
            query = "SELECT digest FROM faces WHERE person = ?"
            return {row[0] for row in self.handle.execute(query, person[:1])} if person else set()

    def owners(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """Image digest -> names of the people with this image. Images that are not enrolled are left out."""
        found: dict[bytes, list[str]] = {}
        query = "SELECT name FROM faces JOIN people ON person = people.id WHERE digest = ? ORDER BY name"
        with self.explained():
            for digest in digests:
                if names := [as_text(row[0]) for row in self.handle.execute(query, (digest,))]:
                    found[digest] = names
        return found

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

    def records(self, last: int) -> Iterator[list[tuple[str, NewFace]]]:
        """All faces up to ``last``, each with the name of its person, in parts, by ascending id."""
        member = "member" if "member" in self.columns else "NULL"
        query = (
            f"SELECT name, digest, source, resolution, recognisability, {member}, added, embedding FROM faces "
            "JOIN people ON person = people.id WHERE faces.id <= ? ORDER BY faces.id"
        )
        cursor = self.handle.execute(query, (last,))
        while rows := cursor.fetchmany(CHUNK):
            embeddings = as_rows([row[-1] for row in rows], self.meta["dim"]).astype(np.float32)
            yield [
                (as_text(name), NewFace(embedding, *facts))
                for (name, *facts, _), embedding in zip(rows, embeddings, strict=True)
            ]

    def _faces(self, column: str, values: list[int]) -> list[Face]:
        query = (
            "SELECT id, person, resolution, embedding, recognisability FROM faces "
            f"WHERE {column} IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        faces = [Face(*row) for row in self.handle.execute(query, (json.dumps(values),))]
        if not all(isinstance(face.resolution, float | None) for face in faces):
            raise sqlite3.DatabaseError("a resolution that is no number")
        return faces

    def sample(self, ids: np.ndarray) -> np.ndarray:
        """The embeddings of some faces, float16 ``[n, dim]``, by ascending id."""
        parts = [
            as_rows([face.embedding for face in self.fetch(part)], self.meta["dim"]) for part in _parts(np.sort(ids))
        ]
        return np.concatenate(parts)

    def describe(self, faces: Sequence[int]) -> list[tuple[str, str]]:
        """For each face id, the name of its person and the source of its image."""
        query = "SELECT name, source FROM faces JOIN people ON person = people.id WHERE faces.id = ?"
        found = [self.handle.execute(query, (face,)).fetchone() for face in faces]
        if None in found:
            raise sqlite3.DatabaseError("a face of nobody")
        return [(as_text(name), as_text(source)) for name, source in found]

    def read_base(self) -> dict[str, Any] | None:
        """The record of the current index file, if there is one."""
        row = self.handle.execute("SELECT record FROM base").fetchone()
        try:
            record = json.loads(row[0]) if row else None
        except (ValueError, TypeError) as error:
            raise sqlite3.DatabaseError("the record of the index is no JSON") from error
        if row and not (isinstance(record, dict) and record.keys() >= _RECORD):
            raise sqlite3.DatabaseError("the record of the index is not whole")
        return record

    def write_base(self, record: dict[str, Any] | None) -> None:
        """Record a new current index file, or None for none."""
        with self.writing():
            self.handle.execute("DELETE FROM base")
            if record is not None:
                self.handle.execute("INSERT INTO base VALUES (1, ?)", (json.dumps(record),))

    def check(self) -> list[str]:
        """Check the whole database; returns the faults, one line each."""
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
            faults += self.damaged(totals.last)
        return faults

    def _arrays(self, rows: Sequence[tuple[int, bytes]]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return ids, as_rows([row[1] for row in rows], self.meta["dim"])


def _parts(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]

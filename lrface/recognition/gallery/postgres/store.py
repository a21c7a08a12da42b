"""A gallery in PostgreSQL: people and faces in tables, embeddings as pgvector's half-precision vectors."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lrface.recognition.gallery.names import name_key
from lrface.recognition.gallery.postgres.database import Database
from lrface.recognition.gallery.postgres.index import Builder, Reader
from lrface.recognition.gallery.postgres.vectors import as_blob, as_vector
from lrface.recognition.gallery.protocol import (
    EXACT_LIMIT,
    Damage,
    Face,
    NameTakenError,
    NewFace,
    Person,
    Totals,
    as_rows,
)
from lrface.recognition.gallery.stored import CHUNK, StoredFaces
from lrface.recognition.gallery.times import now

#: Number of rows of the table of counts.
_SLOTS = 16

_INSERT = (
    "INSERT INTO faces (person, digest, source, added, resolution, recognisability, member, embedding) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %b) ON CONFLICT (person, digest) DO NOTHING"
)

#: The names are sorted, so that two writers lock the people they share in the same order. The update locks existing people.
_PEOPLE = (
    "INSERT INTO people (name, key) SELECT * FROM unnest(%s::text[], %s::text[]) "
    "ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING key, id, xmax = 0"
)


class PostgresStore(Database, StoredFaces):
    """The people and faces of a gallery; see :class:`Database` for how it is opened, and
    :class:`~lrface.recognition.gallery.protocol.GalleryStore` for what the methods promise."""

    def again(self) -> "PostgresStore":
        """Open another connection to the same gallery, for another thread."""
        return PostgresStore(self.address)

    def index_reader(self) -> Reader:
        """The reader of the index, for searches."""
        return Reader(self)

    def index_builder(self, notify: Callable[[str], None]) -> Builder:
        """The builder of the index; ``notify`` is called with a line about slow steps."""
        return Builder(self, notify)

    def size(self) -> int:
        """Bytes of the tables and their indices."""
        query = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind = 'r' "
        return int(self.rows(query + "AND relnamespace = %s::regnamespace", (self.schema,))[0][0])

    def totals(self) -> Totals:
        """The counts of the snapshot, which the transactions keep: counting a million rows takes its time."""
        meta = self.read_meta()
        return Totals(
            meta["people"], meta["faces"], meta["removed"], self.state()["last"], meta.get("exact_limit", EXACT_LIMIT)
        )

    def insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        """Enrol faces, each with the checked name of its person, in one transaction; one that is there stays.

        Returns:
            How many are new.
        """
        return self.change(lambda: self._insert(faces)) if faces else 0

    def _insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        people, made = self._people([name for name, _ in faces])
        today = now()
        rows = [
            (
                people[name_key(name)], face.digest, face.source, face.added or today, face.resolution,
                face.recognisability, face.member, as_vector(face.embedding),
            )
            for name, face in faces
        ]  # fmt: skip
        with self.handle.cursor() as cursor:
            cursor.executemany(_INSERT, rows)
            added = int(cursor.rowcount)
        self._count(people=made, faces=added)
        return added

    def _people(self, names: Sequence[str]) -> tuple[dict[str, int], int]:
        """Key of the name -> id of each person, locked until the transaction ends, and the number of new people."""
        wanted: dict[str, str] = {}
        for name in names:
            wanted.setdefault(name_key(name), name)
        keys = sorted(wanted)
        found = self.rows(_PEOPLE, ([wanted[key] for key in keys], keys))
        return {key: person for key, person, _ in found}, sum(fresh for _, _, fresh in found)

    def _named(self, name: str) -> tuple[int, str] | None:
        """The id of the person who is called so, and the spelling that is kept."""
        found = self.rows("SELECT id, name FROM people WHERE key = %s", (name_key(name),))
        return (found[0][0], found[0][1]) if found else None

    def _locked(self, *names: str) -> dict[str, tuple[int, str]]:
        """Key of the name -> id and spelling of the people who exist, locked until the transaction ends."""
        query = "SELECT key, id, name FROM people WHERE key = ANY(%s) ORDER BY key FOR UPDATE"
        return {key: (person, name) for key, person, name in self.rows(query, ([name_key(name) for name in names],))}

    def find(self, name: str) -> str | None:
        """How the person of this name is spelt; None if nobody is called so."""
        known = self._named(name)
        return known and known[1]

    def _count(self, people: int = 0, faces: int = 0, removed: int = 0) -> None:
        """Add to the counts. Call it last: the row is locked until the transaction ends."""
        if people or faces or removed:
            self.run(
                "UPDATE counts SET people = people + %s, faces = faces + %s, removed = removed + %s WHERE slot = %s",
                (people, faces, removed, self.handle.info.backend_pid % _SLOTS),
            )  # fmt: skip

    def rename(self, name: str, new: str, merge: bool = False) -> int | None:
        """Call a person otherwise, or merge two people; return how many faces the person had, None if there is nobody."""
        return self.change(lambda: self._rename(name, new, merge))

    def _rename(self, name: str, new: str, merge: bool) -> int | None:
        known = self._locked(name, new)
        old, other = known.get(name_key(name)), known.get(name_key(new))
        if old is None:
            return None
        faces = int(self.rows("SELECT count(*) FROM faces WHERE person = %s", old[:1])[0][0])
        if other is None or other[0] == old[0]:
            self.run("UPDATE people SET name = %s, key = %s WHERE id = %s", (new, name_key(new), old[0]))
            return faces
        if not merge:
            raise NameTakenError(f"there is somebody called {other[1]} already: merge the two, or choose another name")
        self.run(
            "UPDATE faces SET person = %s WHERE person = %s "
            "AND digest NOT IN (SELECT digest FROM faces WHERE person = %s)", (other[0], old[0], other[0]),
        )  # fmt: skip
        self._delete(old[0], "person = %s", (old[0],))  # the images that both had
        return faces

    def remove(self, name: str) -> int | None:
        """Remove a person; return how many faces went, or None if nobody is called so."""

        def work() -> int | None:
            person = self._locked(name).get(name_key(name))
            return None if person is None else self._delete(person[0], "person = %s", person[:1])

        return self.change(work)

    def remove_photo(self, name: str, source: str, digest: bytes | None) -> int | None:
        """Remove the faces of a person that came from an image; return how many, or None if nobody is called so."""

        def work() -> int | None:
            known = self._locked(name).get(name_key(name))
            if known is None:
                return None
            person = known[0]
            gone = self._delete(person, "person = %s AND digest = %s", (person, digest)) if digest else 0
            return gone or self._delete(person, "person = %s AND source = %s", (person, source))

        return self.change(work)

    def _delete(self, person: int, which: str, values: tuple[Any, ...]) -> int:
        """Delete faces of a person, and the person with the last face; return the number of faces."""
        gone = int(self.run(f"DELETE FROM faces WHERE {which}", values).rowcount)
        left = self.rows("SELECT 1 FROM faces WHERE person = %s LIMIT 1", (person,))
        if not left:
            self.run("DELETE FROM people WHERE id = %s", (person,))
        self._count(people=0 if left else -1, faces=-gone, removed=gone)
        return gone

    def people(self) -> list[Person]:
        """Everybody, by name."""
        query = 'SELECT name, count(*) FROM people JOIN faces ON person = people.id GROUP BY people.id ORDER BY name COLLATE "C"'
        return [Person(*row) for row in self.rows(query)]

    def members(self) -> dict[str, int]:
        """How many faces each model embedded, by its name; empty where the gallery does not say."""
        query = "SELECT member, count(*) FROM faces WHERE member IS NOT NULL GROUP BY member ORDER BY member"
        return dict(self.rows(query))

    def digests(self, name: str) -> set[bytes]:
        """The images that a person has."""
        query = "SELECT digest FROM faces JOIN people ON person = people.id WHERE key = %s"
        return {row[0] for row in self.rows(query, (name_key(name),))}

    def owners(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """Image -> the names of the people who have it, for those of the images that somebody has."""
        found: dict[bytes, list[str]] = {}
        query = 'SELECT digest, name FROM faces JOIN people ON person = people.id WHERE digest = ANY(%s) ORDER BY name COLLATE "C"'
        for digest, name in self.rows(query, (list(digests),)):
            found.setdefault(digest, []).append(name)
        return found

    def ids(self, last: int) -> np.ndarray:
        """The ids of all faces up to ``last``: int64, ascending."""
        rows = self.rows("SELECT id FROM faces WHERE id <= %s ORDER BY id", (last,))
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def embeddings(self, after: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids, int64 ``[n]``, and embeddings, float16 ``[n, dim]``, of the faces ``after < id <= last``, in parts."""
        query = "SELECT id, embedding FROM faces WHERE id > %s AND id <= %s ORDER BY id"
        for rows in self._parts(query, (after, last)):
            yield np.fromiter((row[0] for row in rows), np.int64, len(rows)), self._matrix(row[1] for row in rows)

    def records(self, last: int) -> Iterator[list[tuple[str, NewFace]]]:
        """All faces up to ``last``, each with the name of its person, in parts, by ascending id."""
        query = (
            "SELECT name, embedding, digest, source, resolution, recognisability, member, added FROM faces "
            "JOIN people ON person = people.id WHERE faces.id <= %s ORDER BY faces.id"
        )
        for rows in self._parts(query, (last,)):
            yield [
                (name, NewFace(np.array(embedding.to_numpy(), np.float32), *facts)) for name, embedding, *facts in rows
            ]

    def _parts(self, query: str, values: tuple[Any, ...]) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, in parts, through a server-side cursor."""
        with self.handle.cursor("parts", binary=True) as cursor:
            cursor.execute(query, values)
            while rows := cursor.fetchmany(CHUNK):
                yield rows

    def _matrix(self, vectors: Iterator[Any]) -> np.ndarray:
        return as_rows([as_blob(vector) for vector in vectors], self.meta["dim"])

    def _faces(self, column: str, values: list[int]) -> list[Face]:
        query = (
            f"SELECT id, person, resolution, embedding, recognisability FROM faces WHERE {column} = ANY(%s) ORDER BY id"
        )
        rows = self.rows(query, (values,))
        return [Face(face, person, size, as_blob(vector), use) for face, person, size, vector, use in rows]

    def sample(self, ids: np.ndarray) -> np.ndarray:
        """The embeddings of some faces, float16 ``[n, dim]``, by ascending id."""
        return self._matrix(
            row[0] for row in self.rows("SELECT embedding FROM faces WHERE id = ANY(%s) ORDER BY id", (ids.tolist(),))
        )

    def describe(self, faces: Sequence[int]) -> list[tuple[str, str]]:
        """For each face the name of its person, and the source of its image."""
        query = "SELECT faces.id, name, source FROM faces JOIN people ON person = people.id WHERE faces.id = ANY(%s)"
        found = {face: (name, source) for face, name, source in self.rows(query, (list(faces),))}
        if not found.keys() >= set(faces):
            raise Damage("a face of nobody")
        return [found[face] for face in faces]

    def read_base(self) -> dict[str, Any] | None:
        """The record of the approximate index, or None. The index always contains all faces."""
        state = self.state()
        record: dict[str, Any] | None = state["record"]
        return record and record | {"faces": int(state["faces"])}

    def write_base(self, record: dict[str, Any] | None) -> None:
        """Record a new index, or None for none, in one transaction."""
        from psycopg.types.json import Jsonb

        def work() -> None:
            self.run("DELETE FROM base")
            if record is not None:
                self.run("INSERT INTO base VALUES (1, %s)", (Jsonb(record),))

        self.change(work)

    def check(self) -> list[str]:
        """Check the whole database; return a line for each error."""
        faults = []
        with self.reading():
            totals = self.totals()
            counted = {table: self.rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("people", "faces")}
            if counted != {"people": totals.people, "faces": totals.faces}:
                faults.append(f"{self.place}: {counted} counted, {totals} recorded")
            if self.rows("SELECT 1 FROM faces LEFT JOIN people ON person = people.id WHERE people.id IS NULL LIMIT 1"):
                faults.append(f"{self.place}: faces of nobody")
            faults += self.damaged(totals.last)
        return faults

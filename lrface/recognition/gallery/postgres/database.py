"""The tables of a gallery in PostgreSQL: how they are made and migrated, and what the gallery says of itself."""

import re
from collections.abc import Callable
from importlib import resources
from typing import Any

from lrface.errors import LrfaceError
from lrface.recognition.gallery.address import Address
from lrface.recognition.gallery.postgres.connection import Connection
from lrface.recognition.gallery.protocol import Damage
from lrface.recognition.gallery.times import now

#: The first version of pgvector that goes on with the search of a graph when there are too few candidates.
PGVECTOR = (0, 8)

#: The meta entries of every gallery.
_META = {"model": str, "model_name": str, "created": str, "dim": int}


class Database(Connection):
    """The tables of a gallery; see :class:`~lrface.recognition.gallery.postgres.connection.Connection`.

    Args:
        address: of the gallery.
        model: called to create a missing gallery: returns fingerprint and name of the model, and the length of its
            embeddings. None: a missing gallery is an error.

    Attributes:
        meta: the gallery's entries when it was opened.

    Raises:
        LrfaceError: the server cannot be reached or has no pgvector, or there is no gallery and none is to be made.
    """

    def __init__(self, address: Address, model: Callable[[], tuple[str, str, int]] | None = None) -> None:
        super().__init__(address)
        try:
            self._migrate(model)
            self.prepare()
            self.meta = self.read_meta()
        except BaseException:
            self.close()
            raise

    def _migrate(self, model: Callable[[], tuple[str, str, int]] | None) -> None:
        """Create or migrate the tables in one transaction, under a lock."""
        files = migrations()
        done = self._applied()
        if max(done, default=0) > max(files):
            raise LrfaceError(
                f"the gallery {self.place} has schema {max(done)}, and this lrface knows {max(files)}: update lrface"
            )
        if not done and model is None:
            raise LrfaceError(f"no gallery at {self.place}: `lrface gallery add NAME PHOTO...` makes one")
        self._check_extension(make=not done)
        if done >= set(files):
            return
        known = None if done or model is None else model()
        with self.explained(), self.handle.transaction():
            self.handle.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"lrface {self.address.schema}",)
            )
            done = self._applied()  # another process may have done it meanwhile
            if not done and known is not None:
                query = (
                    "SELECT 1 FROM pg_namespace WHERE nspname = %s"  # an administrator may have made it for this user
                )
                if self.handle.execute(query, (self.address.schema,)).fetchone() is None:
                    self.handle.execute(f"CREATE SCHEMA {self.schema}")
                self.handle.execute(
                    f"CREATE TABLE {self._table} (number integer PRIMARY KEY, name text, applied timestamptz)"
                )
            self._apply({number: files[number] for number in sorted(set(files) - done)}, None if done else known)

    def _apply(self, files: dict[int, tuple[str, str]], model: tuple[str, str, int] | None) -> None:
        """Run migrations, and write the meta entries of a new gallery."""
        place = self.handle.execute(
            "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
        )
        self.handle.execute(f"SET LOCAL search_path = {self.schema}, {place.fetchone()[0]}")
        dim = model[2] if model else self.rows("SELECT value FROM meta WHERE key = 'dim'")[0][0]
        for number, (name, sql) in files.items():
            self.handle.execute(sql.format(dim=int(dim)))
            self.handle.execute(f"INSERT INTO {self._table} VALUES (%s, %s, now())", (number, name))
        if model:
            meta = {"model": model[0], "model_name": model[1], "dim": model[2], "created": now()}
            for key, value in meta.items():
                self._put(key, value)

    @property
    def _table(self) -> str:
        """The table of the migrations that were applied."""
        return f"{self.schema}.lrface_migrations"

    def _applied(self) -> set[int]:
        with self.explained():
            # The catalogue itself: within a transaction, to_regclass does not see what others have created meanwhile.
            query = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'lrface_migrations'"
            if self.handle.execute(query, (self.address.schema,)).fetchone() is None:
                return set()
            return {row[0] for row in self.handle.execute(f"SELECT number FROM {self._table}")}

    def _check_extension(self, make: bool) -> None:
        """Raise LrfaceError unless the database has pgvector, or could create the extension."""
        errors = self.psycopg.errors
        query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        with self.explained():
            row = self.handle.execute(query).fetchone()
            try:
                if row is None and make:
                    self.handle.execute("CREATE EXTENSION IF NOT EXISTS vector")
                    row = self.handle.execute(query).fetchone()
            except (errors.UniqueViolation, errors.DuplicateObject):  # another process made it at the same moment
                row = self.handle.execute(query).fetchone()
            except errors.InsufficientPrivilege:
                raise LrfaceError(
                    f"the database of {self.place} lacks pgvector, and this user may not add it: have an administrator run "
                    "CREATE EXTENSION vector in it"
                ) from None
            except (errors.FeatureNotSupported, errors.UndefinedFile):
                row = None
        if row is None:
            raise LrfaceError(
                f"the server of {self.place} lacks pgvector: install it there (Debian: postgresql-NN-pgvector; "
                "Docker: pgvector/pgvector)"
            )
        version = tuple(int(part) for part in re.findall(r"\d+", row[0])[:2])
        if version < PGVECTOR:
            raise LrfaceError(
                f"{self.place} has pgvector {row[0]}, which is too old: install {PGVECTOR[0]}."
                f"{PGVECTOR[1]} or later, then run ALTER EXTENSION vector UPDATE in the database"
            )

    def read_meta(self) -> dict[str, Any]:
        """The gallery's entries and counts."""
        with self.explained():
            state = self.state()
            meta = dict(state["meta"] or {})
            for key, kind in _META.items():
                if not isinstance(meta.get(key), kind):
                    raise Damage(f"{key} is missing")
            if state["faces"] is None:
                raise Damage("the counts are missing")
        return meta | {key: state[key] for key in ("people", "faces", "removed")}

    def write_meta(self, key: str, value: Any) -> None:
        """Change one of the meta entries; None deletes it."""
        self.change(lambda: self._put(key, value))
        self.meta[key] = value

    def _put(self, key: str, value: Any) -> None:
        from psycopg.types.json import Jsonb

        if value is None:
            self.handle.execute("DELETE FROM meta WHERE key = %s", (key,))
            return
        query = "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self.handle.execute(query, (key, Jsonb(value)))


def migrations() -> dict[int, tuple[str, str]]:
    """Number -> name and text of the SQL files, ascending."""
    files = {}
    for file in resources.files(__package__).iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            files[int(match[1])] = (match[2], file.read_text(encoding="utf-8"))
    return dict(sorted(files.items()))

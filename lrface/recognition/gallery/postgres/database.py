"""The database of a gallery in PostgreSQL: how it is reached, made and migrated, and what its errors mean."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, TypeVar

from lrface.errors import LrfaceError
from lrface.recognition.gallery.address import Address
from lrface.recognition.gallery.protocol import Damage
from lrface.recognition.gallery.times import now

#: The first pgvector that knows half-precision vectors; 0.8 counts dead rows out of an index scan's limit.
PGVECTOR = (0, 7)

#: How long a connection may take, unless the address says otherwise.
CONNECT_SECONDS = 10

#: So often a change is tried again that another one got in the way of.
_TRIES = 5

#: What every gallery says of itself.
_META = {"model": str, "model_name": str, "created": str, "dim": int}

#: All that is asked in every transaction, in one query: a search should not wait for the network more often than it must.
_STATE = """
SELECT (SELECT jsonb_object_agg(key, value) FROM meta) AS meta, (SELECT record FROM base) AS record,
    (SELECT coalesce(max(id), 0) FROM faces) AS last,
    sum(people)::bigint AS people, sum(faces)::bigint AS faces, sum(removed)::bigint AS removed FROM counts
"""

_Result = TypeVar("_Result")


def load_psycopg() -> Any:
    """The psycopg module.

    Raises:
        LrfaceError: it, or pgvector's, is not installed.
    """
    try:
        import pgvector.psycopg  # noqa: F401
        import psycopg
    except ImportError as error:
        raise LrfaceError(
            f"a gallery in PostgreSQL needs more packages ({error}): pip install 'lrface[postgres]'"
        ) from error
    return psycopg


class Database:
    """The tables of a gallery; threads take turns by a lock of their own.

    Args:
        address: where.
        model: called if there is no gallery, to make one: fingerprint and name of the model, size of its embeddings.

    Attributes:
        place: the address, without a password.
        schema: of the tables, quoted.
        handle: psycopg's connection; another one after a loss.
        meta: what the gallery said of itself when it was opened.

    Raises:
        LrfaceError: the server cannot be reached, has no pgvector, or there is no gallery and none is to be made.
    """

    def __init__(self, address: Address, model: Callable[[], tuple[str, str, int]] | None = None) -> None:
        self.address, self.place, self.schema = address, address.shown, f'"{address.schema}"'
        self.psycopg = load_psycopg()
        self._pid = os.getpid()
        self._state: dict[str, Any] | None = None
        self.connect()
        try:
            self._migrate(model)
            self._prepare()
            self.meta = self.read_meta()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self.handle.close()

    def connect(self) -> None:
        """Open the connection, again after a loss."""
        options = {"application_name": "lrface", "connect_timeout": CONNECT_SECONDS}
        given = {key: value for key, value in options.items() if f"{key}=" not in self.address.uri}
        try:
            self.handle = self.psycopg.connect(self.address.uri, autocommit=True, **given)
        except self.psycopg.ProgrammingError:  # libpq's words may repeat parts of the address
            raise LrfaceError(
                f"libpq cannot read the address of the gallery {self.place}: its parameters are those of "
                "https://www.postgresql.org/docs/current/libpq-connect.html, and schema=NAME"
            ) from None
        except self.psycopg.OperationalError as error:
            raise LrfaceError(f"cannot reach PostgreSQL at {self.place}: {_line(error)}{_hint(error)}") from None

    def _prepare(self) -> None:
        """Make the connection fit for the gallery's tables."""
        from pgvector.psycopg import register_vector

        with self.explained():
            row = self.handle.execute(
                "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
            )
            place = row.fetchone()[0]
            self.handle.execute(f"SET search_path = {self.schema}, {place}")
            # A plan that knows neither the query nor the limit does not use the index.
            self.handle.execute("SET plan_cache_mode = force_custom_plan")
            register_vector(self.handle)

    def _migrate(self, model: Callable[[], tuple[str, str, int]] | None) -> None:
        """Make the tables, or bring them up, in one transaction. Two processes do not come here at once."""
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
            done = self._applied()  # another process may have been faster
            if not done and known is not None:
                self.handle.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
                self.handle.execute(
                    f"CREATE TABLE {self._table} (number integer PRIMARY KEY, name text, applied timestamptz)"
                )
            self._apply({number: files[number] for number in sorted(set(files) - done)}, None if done else known)

    def _apply(self, files: dict[int, tuple[str, str]], model: tuple[str, str, int] | None) -> None:
        """Run migrations, and say of a new gallery which model it is of."""
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
        """Where it is kept which migrations the tables have seen."""
        return f"{self.schema}.lrface_migrations"

    def _applied(self) -> set[int]:
        with self.explained():
            if self.handle.execute("SELECT to_regclass(%s)", (self._table,)).fetchone()[0] is None:
                return set()
            return {row[0] for row in self.handle.execute(f"SELECT number FROM {self._table}")}

    def _check_extension(self, make: bool) -> None:
        """Raise LrfaceError unless pgvector is there, or could be made."""
        errors = self.psycopg.errors
        query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        with self.explained():
            row = self.handle.execute(query).fetchone()
            try:
                if row is None and make:
                    self.handle.execute("CREATE EXTENSION IF NOT EXISTS vector")
                    row = self.handle.execute(query).fetchone()
            except errors.UniqueViolation:  # another process made it at the same moment
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
                f"{self.place} has pgvector {row[0]}, which knows no half-precision vectors: install {PGVECTOR[0]}."
                f"{PGVECTOR[1]} or later, then run ALTER EXTENSION vector UPDATE in the database"
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A block that sees one state of the gallery, whatever others write."""
        with self._transaction(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_STATE}") as cursor:
            cursor.nextset()
            try:
                self._state = _named(cursor)
                yield
            finally:
                self._state = None

    def state(self) -> dict[str, Any]:
        """What the gallery says of itself and of its index, and its counts: of the block of ``reading()``, or now."""
        return self._state or _named(self.run(_STATE))

    def change(self, work: Callable[[], _Result]) -> _Result:
        """Run ``work`` in one transaction, and again where another one got in its way."""
        errors = self.psycopg.errors
        for last in range(_TRIES):
            try:
                with self.explained(), self._transaction("BEGIN"):
                    return work()
            except LrfaceError as error:
                clash = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)
                if last == _TRIES - 1 or not isinstance(error.__cause__, clash):
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Any]:
        if os.getpid() != self._pid:
            raise LrfaceError("a gallery cannot be used by the child of the process that opened it: open it there")
        with self.explained():
            cursor = self._execute(begin, None)
            try:
                yield cursor
                self.handle.execute("COMMIT")
            except BaseException:
                if not self.handle.closed:
                    self.handle.execute("ROLLBACK")
                raise

    def run(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement, in a transaction of its own or in the one that is open; return psycopg's cursor."""
        with self.explained():
            return self._execute(query, values)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds, in a transaction of its own or in the one that is open."""
        with self.explained():
            return list(self._execute(query, values).fetchall())

    def _execute(self, query: str, values: Sequence[Any] | None = ()) -> Any:
        """Run a statement; where the connection was lost before, on a new one."""
        idle = self.handle.closed or self.handle.info.transaction_status == self.psycopg.pq.TransactionStatus.IDLE
        try:
            return self.handle.execute(query, values, binary=values is not None)
        except self.psycopg.OperationalError:
            if not idle or not self.handle.closed:
                raise
        self.connect()
        self._prepare()
        return self.handle.execute(query, values, binary=values is not None)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn PostgreSQL's errors that a user can mend into ours."""
        errors = self.psycopg.errors
        try:
            yield
        except Damage as error:
            raise LrfaceError(self._damage(str(error))) from error
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.DataCorrupted, errors.IndexCorrupted) as error:
            raise LrfaceError(self._damage(_line(error))) from error
        except errors.DuplicateTable as error:
            raise LrfaceError(
                f"the schema of {self.place} holds other tables ({_line(error)}): name another one, ?schema=NAME"
            ) from error
        except errors.InsufficientPrivilege as error:
            raise LrfaceError(f"this user may not do that at {self.place}: {_line(error)}") from error
        except (self.psycopg.DataError, errors.CheckViolation, errors.NotNullViolation):
            raise  # of what is written
        except self.psycopg.Error as error:
            if self.handle.closed or isinstance(error, errors.AdminShutdown):
                reason = (
                    f"the connection to {self.place} was lost ({_line(error)}): what was said to be enrolled is kept; "
                    "try again"
                )
            else:
                reason = f"cannot use {self.place}: {_line(error)}"
            raise LrfaceError(reason) from error

    def _damage(self, text: str) -> str:
        return (
            f"the gallery {self.place} is damaged ({text}): put back a backup, or drop the schema {self.address.schema} and "
            "enrol the people again"
        )

    def read_meta(self) -> dict[str, Any]:
        """What the gallery says of itself."""
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
        """Change one of ``read_meta``; None takes it away."""
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
    """Number -> name and text of the SQL files that make the tables, ascending."""
    files = {}
    for file in resources.files(__package__).iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            files[int(match[1])] = (match[2], file.read_text(encoding="utf-8"))
    return dict(sorted(files.items()))


def _named(cursor: Any) -> dict[str, Any]:
    """The one row of a cursor, by the names of its columns."""
    return dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))


def _line(error: Exception) -> str:
    """What PostgreSQL says, in one line."""
    return " ".join(str(error).split("\nLINE ")[0].split()).rstrip(".")


def _hint(error: Exception) -> str:
    """What may be done about a connection that was refused, where that is clear."""
    text = str(error)
    if "password" in text:
        return "; the password belongs into PGPASSWORD or ~/.pgpass, or into the address, percent-encoded"
    if "database" in text and "does not exist" in text:
        return "; `createdb NAME` makes it"
    if "refused" in text or "No such file" in text:
        return "; is the server running?"
    return ""

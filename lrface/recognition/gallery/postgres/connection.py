"""The connection of a gallery to PostgreSQL: how it is opened, transactions, and what errors mean."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from lrface.errors import LrfaceError
from lrface.recognition.gallery.address import Address
from lrface.recognition.gallery.protocol import Damage

#: How long opening a connection may take, in seconds, unless the address says otherwise.
CONNECT_SECONDS = 10

#: Number of attempts of a change that conflicts with another one.
_TRIES = 5

#: All that every transaction asks, in one query: a search should wait for the network as rarely as possible.
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


class Connection:
    """A connection to the tables of a gallery, for one process; its threads take turns by a lock of their own.

    Args:
        address: of the gallery.

    Attributes:
        place: the address, without a password.
        schema: of the tables, quoted.
        handle: psycopg's connection. After a loss it is replaced by a new one.

    Raises:
        LrfaceError: the server cannot be reached.
    """

    def __init__(self, address: Address) -> None:
        self.address, self.place, self.schema = address, address.shown, f'"{address.schema}"'
        self.psycopg = load_psycopg()
        self._pid = os.getpid()
        self._state: dict[str, Any] | None = None
        self.connect()

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
        encoding = self.handle.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            self.handle.close()
            raise LrfaceError(
                f"the database of {self.place} is {encoding}, which cannot hold every name: make it with UTF8"
            )

    def prepare(self) -> None:
        """Set the search path and the types of the connection."""
        from pgvector.psycopg import register_vector

        with self.explained():
            row = self.handle.execute(
                "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
            )
            place = row.fetchone()[0]
            # A generic plan, which knows neither query nor limit, does not use the index. The server notices within a minute
            # that this machine has gone, and releases its locks.
            self.handle.execute(
                f"SET search_path = {self.schema}, {place}; SET plan_cache_mode = force_custom_plan; "
                "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
            )
            register_vector(self.handle)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A block that sees one state of the gallery, regardless of other writers."""
        with self._transaction(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_STATE}") as cursor:
            cursor.nextset()
            try:
                self._state = _named(cursor)
                yield
            finally:
                self._state = None

    def state(self) -> dict[str, Any]:
        """The meta entries, the record of the index and the counts: of the ``reading()`` block, or the present ones."""
        return self._state or _named(self.run(_STATE))

    def change(self, work: Callable[[], _Result]) -> _Result:
        """Run ``work`` in one transaction; repeat it if it conflicts with another one."""
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
            try:
                yield self._execute(begin, None)
                self.handle.execute("COMMIT")
            except BaseException:
                if not self.handle.closed:
                    self.handle.execute("ROLLBACK")
                raise

    def run(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement in the open transaction or in its own; return psycopg's cursor."""
        with self.explained():
            return self._execute(query, values)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, run in the open transaction or in its own."""
        with self.explained():
            return list(self._execute(query, values).fetchall())

    def _execute(self, query: str, values: Sequence[Any] | None = ()) -> Any:
        """Run a statement; if the connection was lost before, on a new one."""
        idle = self.handle.closed or self.handle.info.transaction_status == self.psycopg.pq.TransactionStatus.IDLE
        try:
            return self.handle.execute(query, values, binary=values is not None)
        except self.psycopg.OperationalError:
            if not idle or not self.handle.closed:
                raise
        self.connect()
        self.prepare()
        return self.handle.execute(query, values, binary=values is not None)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn PostgreSQL's errors that a user can solve into LrfaceErrors."""
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
            raise  # a programming error
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


def _named(cursor: Any) -> dict[str, Any]:
    """The single row of a cursor, by the names of its columns."""
    return dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))


def _line(error: Exception) -> str:
    """PostgreSQL's message in one line, without its question whether the server is running."""
    return " ".join(re.split(r"\nLINE |\n\tIs the server", str(error))[0].split()).rstrip(".")


def _hint(error: Exception) -> str:
    """What the user can do about a refused connection, if that is clear."""
    text = str(error)
    if "password" in text:
        return "; the password belongs into PGPASSWORD or ~/.pgpass, or into the address, percent-encoded"
    if "database" in text and "does not exist" in text:
        return "; `createdb NAME` makes it"
    if "refused" in text or "No such file" in text:
        return "; is the server running?"
    return ""

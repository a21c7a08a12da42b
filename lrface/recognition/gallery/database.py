"""The SQLite file of a gallery: creating, opening and locking it, and translating its errors."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import locked, require_path
from lrface.recognition.gallery.names import name_key
from lrface.recognition.gallery.protocol import Damage
from lrface.recognition.gallery.times import now

DATABASE = "gallery.sqlite"
LOCK = "gallery.lock"

#: "lrfg": distinguishes a gallery from other SQLite files.
APPLICATION_ID = 0x6C726667
FORMAT = 1

#: How long a writer waits for another one. A writer locks the database only for milliseconds, because faces are embedded before.
BUSY_SECONDS = 60.0

#: Page size in bytes. Three embeddings of 512 float16 and their other columns fill a page well.
_PAGE = 8192

#: Required entries of every gallery's meta table.
_META = {"model": str, "model_name": str, "created": str, "dim": int, "people": int, "faces": int, "removed": int}

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, key TEXT);
CREATE TABLE faces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL REFERENCES people (id),
    digest BLOB NOT NULL,
    source TEXT NOT NULL,
    added TEXT NOT NULL,
    resolution REAL,
    recognisability REAL,
    member TEXT,
    embedding BLOB NOT NULL CHECK (length(embedding) = {size}),
    UNIQUE (person, digest)
);
CREATE TABLE base (id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL);
"""

#: Indices for finding people by name key, and faces by image.
KEYS = (
    "CREATE INDEX IF NOT EXISTS people_key ON people (key)",
    "CREATE INDEX IF NOT EXISTS faces_digest ON faces (digest)",
)


class Database:
    """The database of a gallery, for one process. Its threads must use their own lock.

    Args:
        folder: of the gallery.
        model: called to create a missing gallery: returns fingerprint and name of the model, and the length of its
            embeddings. None: a missing gallery is an error.

    Attributes:
        handle: SQLite's connection.
        meta: the meta entries when the gallery was opened.
        columns: of the table of faces; galleries of older versions have no ``member``.

    Raises:
        LrfaceError: there is no gallery and ``model`` is None, it is damaged, or it cannot be read or written.
    """

    def __init__(self, folder: str | Path, model: Callable[[], tuple[str, str, int]] | None = None) -> None:
        self.folder = Path(require_path(folder))
        self.place = str(self.folder)
        self.path = self.folder / DATABASE
        self._pid = os.getpid()
        self._nothing = f"no gallery at {self.folder}: `lrface gallery add NAME PHOTO...` makes one"
        if model is None and not self.path.is_file():
            raise LrfaceError(self._nothing)
        if model is None:
            self._open()
        else:
            with locked(self.folder / LOCK):
                self._open()
                self._create(model)
        try:
            self._check()
            self._migrate()
            self.meta = self.read_meta()
            self.columns = self._columns("faces")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self.handle.close()

    def _open(self) -> None:
        with self.explained():
            self.handle = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            for pragma in (f"page_size = {_PAGE}", "foreign_keys = ON", "secure_delete = ON", "cache_size = -16000"):
                self.handle.execute(f"PRAGMA {pragma}")

    def _create(self, model: Callable[[], tuple[str, str, int]]) -> None:
        """Create the tables unless they exist. A file lock keeps other processes out."""
        with self.explained():
            if self.handle.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return
            self.handle.execute("PRAGMA journal_mode = WAL")
        fingerprint, name, dim = model()
        meta = {"model": fingerprint, "model_name": name, "dim": dim, "people": 0, "faces": 0, "removed": 0}
        with self.writing():
            for statement in (*_SCHEMA.format(size=2 * dim).split(";\n"), *KEYS):
                self.handle.execute(statement)
            self.handle.executemany("INSERT INTO meta VALUES (?, ?)", [*meta.items(), ("created", now())])
            self.handle.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.handle.execute(f"PRAGMA user_version = {FORMAT}")

    def _check(self) -> None:
        with self.explained():
            application = self.handle.execute("PRAGMA application_id").fetchone()[0]
            version = self.handle.execute("PRAGMA user_version").fetchone()[0]
            self.handle.execute("PRAGMA synchronous = FULL")  # a commit survives a power failure
            empty = not self.handle.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if empty:  # the process that began to create it died
            raise LrfaceError(self._nothing)
        if application != APPLICATION_ID:
            raise LrfaceError(f"{self.path} is not the database of a gallery: give another --gallery")
        if version != FORMAT:
            raise LrfaceError(f"{self.path} has format {version}, and this lrface knows {FORMAT}: update lrface")

    def _migrate(self) -> None:
        """Add the key to names that an older version wrote."""
        keyed = "key" in self._columns("people")
        with self.explained():
            missing = "SELECT 1 FROM people WHERE key IS NULL LIMIT 1"
            if keyed and self.handle.execute(missing).fetchone() is None:
                return
        with self.writing():
            if "key" not in self._columns("people"):  # another process may have added it meanwhile
                self.handle.execute("ALTER TABLE people ADD COLUMN key TEXT")
            for statement in KEYS:
                self.handle.execute(statement)
            rows = self.handle.execute("SELECT name, id FROM people WHERE key IS NULL").fetchall()
            keys = [(name_key(as_text(name)), person) for name, person in rows]
            self.handle.executemany("UPDATE people SET key = ? WHERE id = ?", keys)

    def _columns(self, table: str) -> set[str]:
        with self.explained():
            return {row[1] for row in self.handle.execute(f"PRAGMA table_info({table})")}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Context that sees one state of the gallery, whatever others write."""
        yield from self._transaction("BEGIN")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Context whose changes are all made or none; other writers wait."""
        yield from self._transaction("BEGIN IMMEDIATE")

    def _transaction(self, begin: str) -> Iterator[None]:
        if os.getpid() != self._pid:
            raise LrfaceError("a gallery cannot be used by the child of the process that opened it: open it there")
        with self.explained():
            self.handle.execute(begin)
            try:
                yield
                self.handle.execute("COMMIT")
            except BaseException:
                if self.handle.in_transaction:
                    self.handle.execute("ROLLBACK")
                raise

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Translate those errors of SQLite that a user can solve into LrfaceErrors."""
        try:
            yield
        except UnicodeDecodeError as error:  # from a name, or from the message itself, which can quote damaged text
            raise LrfaceError(self._damage("text that is none")) from error
        except Damage as error:
            raise LrfaceError(self._damage(str(error))) from error
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            text = str(error)
            if isinstance(error, sqlite3.IntegrityError) and text.startswith("CHECK"):
                raise  # CHECK failures come from our own values; other integrity errors mean a damaged file
            if "locked" in text or "busy" in text:
                reason = f"another process has kept {self.path} for {BUSY_SECONDS:.0f} seconds: try again"
            elif isinstance(error, sqlite3.OperationalError) and not text.startswith("no such"):
                reason = f"cannot use {self.path}: {text}"
            else:
                reason = self._damage(text)
            raise LrfaceError(reason) from error

    def _damage(self, text: str) -> str:
        return (
            f"{self.path} is damaged ({text}): put back a copy of the folder, try `sqlite3 {DATABASE} .recover`, "
            "or remove the folder and enrol the people again"
        )

    def read_meta(self) -> dict[str, Any]:
        """The meta entries. Raises LrfaceError if one is missing."""
        with self.explained():
            meta = dict(self.handle.execute("SELECT key, value FROM meta"))
            for key, kind in _META.items():
                if not isinstance(meta.get(key), kind):
                    raise sqlite3.DatabaseError(f"{key} is missing")
        return meta

    def write_meta(self, key: str, value: Any) -> None:
        """Change one of the meta entries; None deletes it."""
        with self.writing():
            if value is None:
                self.handle.execute("DELETE FROM meta WHERE key = ?", (key,))
            else:
                self.handle.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
        self.meta[key] = value


def as_text(value: Any) -> str:
    """A stored text. Raises sqlite3.DatabaseError if it is something else, which does not occur in an intact database."""
    if not isinstance(value, str):
        raise sqlite3.DatabaseError("a name that is no text")
    return value

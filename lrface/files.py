"""Writing files so that a reader never sees an incomplete one, and digests of their contents."""

import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lrface.errors import LrfaceError


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``. When the block ends normally, it is synced to disk and renamed to ``path``.

    If the block raises, ``path`` stays as it was and the temporary file is removed.

    Raises:
        LrfaceError: the path is empty, the folder cannot be written, or the disk is full.
    """
    path = Path(require_path(path))
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; a result has the usual permissions
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise LrfaceError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_path(path: str | Path, what: str = "the path") -> str | Path:
    """Return the path unless it is empty. ``Path("")`` would be the current folder, which is hardly ever intended.

    Raises:
        LrfaceError: it is empty.
    """
    if not isinstance(path, Path) and not str(path).strip():
        raise LrfaceError(
            f"{what} is empty, as an unset shell variable is: give a file or a folder (. for this folder)"
        )
    return path


def looked_in(path: str | Path) -> str:
    """Where a missing path was looked for, as part of an error: its folder, and the data root of relative paths."""
    folder = Path(path).absolute().parent
    set_to = os.environ.get("LRFACE_DATA")
    start = f"LRFACE_DATA, which is {set_to}" if set_to else "LRFACE_DATA, which is not set"
    absent = "" if folder.is_dir() else ", a folder that does not exist"
    return f"looked in {folder}{absent}; a recipe's paths start at --data or {start}"


def because(error: OSError, path: str | Path) -> str:
    """Why a file cannot be read, as part of an error. If the file is missing, this includes where it was looked for."""
    reason = error.strerror or str(error)
    return f"{reason} ({looked_in(path)})" if isinstance(error, FileNotFoundError) else reason


def try_lock(file: IO[Any]) -> bool:
    """Try to lock an open file for this process; False if another process holds the lock.

    Closing the file or ending the process releases the lock. On a file system without locks (some network file systems) the
    result is True.
    """
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Wait until no other process is in a block with the same ``path``. The file serves only as the lock.

    Raises:
        LrfaceError: the file cannot be created.
    """
    path = Path(require_path(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115 (an error in the block is not one of opening)
    except OSError as error:
        raise LrfaceError(f"cannot write {path}: {error.strerror or error}") from error
    with file:
        while not try_lock(file):
            time.sleep(0.2)
        yield


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically.

    Raises:
        LrfaceError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        LrfaceError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(require_path(path)).read_text())
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error
    except ValueError as error:
        raise LrfaceError(f"{path} is not valid JSON: {error}") from error


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's contents, in hex.

    Raises:
        LrfaceError: the file cannot be read.
    """
    digest = hashlib.sha256()
    require_path(path)
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error
    return digest.hexdigest()

"""The finished rows of a report. Each row is written at once when it is finished, and never computed again."""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, read_json, require_path, try_lock, write_json


class Ledger:
    """Rows by the digest of everything that they depend on.

    A row is a JSON file and an optional ``.npz`` of arrays for figures. The JSON file is written last, so a row with a JSON
    file is complete. After ``kill -9`` only the row in progress is lost.

    Args:
        folder: is made if it does not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(require_path(folder))

    def __contains__(self, key: str) -> bool:
        return self._row(key).exists()

    def row(self, key: str) -> dict[str, Any] | None:
        """The finished row, or None. A row that cannot be read, for example after a full disk, counts as not finished."""
        if key not in self:
            return None
        try:
            row: dict[str, Any] = read_json(self._row(key))
        except LrfaceError:
            return None
        return row

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """The arrays of a finished row; empty if it has none.

        Raises:
            LrfaceError: they are damaged.
        """
        path = self._arrays(key)
        if not path.exists():
            return {}
        try:
            with np.load(path) as file:
                return dict(file)
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise LrfaceError(f"{path} is damaged ({error}): remove {self._row(key)} and run again") from error

    def write(self, key: str, row: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Store a finished row.

        Raises:
            LrfaceError: a file cannot be written.
        """
        if arrays:
            with atomic_write(self._arrays(key)) as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        write_json(self._row(key), row)

    def _row(self, key: str) -> Path:
        return self.folder / f"{key[:32]}.json"

    def _arrays(self, key: str) -> Path:
        return self.folder / f"{key[:32]}.npz"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a results folder against other runs.

    Raises:
        LrfaceError: another run uses it, or it cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115 (an error inside the with block is not an error of opening)
    except OSError as error:
        raise LrfaceError(f"cannot write {folder}: {error.strerror or error}") from error
    with file:
        if not try_lock(file):
            raise LrfaceError(f"another run is writing to {folder}: wait for it, or name another folder with --out")
        yield

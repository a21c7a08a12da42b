"""The rows that are finished: each is written at once and whole, and never computed again."""

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
    """Rows by the fingerprint of everything that they depend on.

    A row is a JSON file with, beside it, an ``.npz`` of the arrays that pictures are drawn from. The JSON file comes
    last: where it is, the row is whole, and ``kill -9`` loses the row in progress and no other.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(require_path(folder))

    def __contains__(self, key: str) -> bool:
        return self._row(key).exists()

    def row(self, key: str) -> dict[str, Any] | None:
        """The finished row, or None. One that cannot be read, as after a full disk, counts as not finished."""
        if key not in self:
            return None
        try:
            row: dict[str, Any] = read_json(self._row(key))
        except LrfaceError:
            return None
        return row

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """The arrays of a finished row; none if it has none.

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
        """Keep a finished row."""
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
    """Keep other runs out of a results folder.

    Raises:
        LrfaceError: one is at work there, or it cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115 (an error in the block is not one of opening)
    except OSError as error:
        raise LrfaceError(f"cannot write {folder}: {error.strerror or error}") from error
    with file:
        if not try_lock(file):
            raise LrfaceError(f"another run is writing to {folder}: wait for it, or name another folder with --out")
        yield

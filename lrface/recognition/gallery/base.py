"""The current index file of a gallery: whether it is unchanged, and when it must be written again."""

from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import file_digest
from lrface.recognition.gallery.index import APPROXIMATE, EXACT, DamagedIndex, Index
from lrface.recognition.gallery.protocol import Totals

#: Below this number of faces, or of new faces, no index file is needed: they are read from the database quickly.
TAIL = 10_000

#: An approximate index is rebuilt, and its recall measured, after the gallery has grown by this factor.
GROWTH = 1.5

#: The database's record of the file: name, kind, size, time and SHA-256; ``faces``, their number, up to the id ``last``;
#: ``removed``, the number of faces removed before it was written; ``recall``, as measured.
Record = dict[str, Any]


def load(folder: Path, record: Record, change: bool = False) -> Index:
    """Load the index of a record if its file is unchanged. The contents are only checked if the file's time differs.

    Raises:
        DamagedIndex: the file is missing or changed.
    """
    path = folder / record["file"]
    try:
        state = path.stat()
        if state.st_size != record["bytes"]:
            raise DamagedIndex(f"{path} has {state.st_size:,} bytes instead of {record['bytes']:,}")
        if state.st_mtime_ns != record["mtime_ns"] and file_digest(path) != record["sha256"]:
            raise DamagedIndex(f"{path} has been changed")
    except (OSError, LrfaceError) as error:
        raise DamagedIndex(f"{path} cannot be read") from error
    return Index.load(path, record["kind"], change)


def kind(record: Record | None, totals: Totals) -> str:
    """The kind of index for this number of faces. An approximate one stays so until a fifth of the limit has been removed."""
    limit = totals.exact_limit * (0.8 if record and record["kind"] == APPROXIMATE else 1)
    return APPROXIMATE if totals.faces > limit else EXACT


def waiting(record: Record | None, totals: Totals) -> int:
    """Upper limit of the number of faces that are not in the file."""
    return min(totals.faces, totals.last - record["last"]) if record else totals.faces


def due(record: Record | None, totals: Totals) -> bool:
    """Whether a writer should update the file."""
    if record is None:
        return totals.faces > min(TAIL, totals.exact_limit)
    stale = record["kind"] != kind(record, totals) or record["removed"] != totals.removed
    return stale or waiting(record, totals) > _bearable(record, totals)


def overdue(record: Record | None, totals: Totals) -> bool:
    """Whether a reader must update the file first, because too many faces are missing to keep them in memory."""
    return waiting(record, totals) > 4 * _bearable(record, totals)


def outgrown(record: Record, totals: Totals) -> bool:
    """Whether the recall of an approximate index was measured on a much smaller gallery."""
    return totals.faces > GROWTH * record["recall"]["faces"]


def _bearable(record: Record | None, totals: Totals) -> int:
    return max(min(TAIL, totals.exact_limit), record["faces"] // 10 if record else 0)

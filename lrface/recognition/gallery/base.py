"""The index file that counts: whether it is what was written, and when it should be written again."""

from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import file_digest
from lrface.recognition.gallery.index import APPROXIMATE, EXACT, DamagedIndex, Index
from lrface.recognition.gallery.protocol import Totals

#: A gallery of fewer faces than this, and this many new ones, need no file: they are read in a moment.
TAIL = 10_000

#: The approximate index is made anew, and its recall measured, when the gallery has grown by this factor.
GROWTH = 1.5

#: What the database keeps of the file: its name, kind, size, time and SHA-256; ``faces``, how many it holds, up to the id
#: ``last``; ``removed``, how many had been removed by then; ``recall``, as measured.
Record = dict[str, Any]


def load(folder: Path, record: Record, change: bool = False) -> Index:
    """The index of a record, if the file is still what was written; its contents are read only if its time is another.

    Raises:
        DamagedIndex: it is not.
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
    """What the index should be; one that became approximate stays so until a fifth has gone."""
    limit = totals.exact_limit * (0.8 if record and record["kind"] == APPROXIMATE else 1)
    return APPROXIMATE if totals.faces > limit else EXACT


def waiting(record: Record | None, totals: Totals) -> int:
    """How many faces the file lacks, at most."""
    return min(totals.faces, totals.last - record["last"]) if record else totals.faces


def due(record: Record | None, totals: Totals) -> bool:
    """Whether a writer should bring the file up to date."""
    if record is None:
        return totals.faces > min(TAIL, totals.exact_limit)
    stale = record["kind"] != kind(record, totals) or record["removed"] != totals.removed
    return stale or waiting(record, totals) > _bearable(record, totals)


def overdue(record: Record | None, totals: Totals) -> bool:
    """Whether a reader has to, because it could not hold all those faces that the file lacks."""
    return waiting(record, totals) > 4 * _bearable(record, totals)


def outgrown(record: Record, totals: Totals) -> bool:
    """Whether the recall of an approximate index was measured on a much smaller gallery."""
    return totals.faces > GROWTH * record["recall"]["faces"]


def _bearable(record: Record | None, totals: Totals) -> int:
    return max(min(TAIL, totals.exact_limit), record["faces"] // 10 if record else 0)

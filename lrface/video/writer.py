"""The files of a watch: tracks as JSON lines and as Parquet, crops, and the state for resuming."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, read_json, try_lock, write_json
from lrface.video.events import Person
from lrface.video.journal import Lines, read_lines
from lrface.video.track import Track

#: Number of crops of a track in the report.
SHOWN = 8

RECORD, JOURNAL, TRACKS, TABLE, CROPS, LOCK = (
    "watch.json", "journal.jsonl", "tracks.jsonl", "tracks.parquet", "crops", ".lock",
)  # fmt: skip


class Writer:
    """The folder of one watch.

    Args:
        out: the folder; call :func:`claimed` before.
        settings: the settings that determine the results.
        resume: whether to continue the folder's watch.
        faces: write crops.

    Attributes:
        people: all tracks that have ended.
        finished: whether the folder's watch is complete.

    Raises:
        LrfaceError: the folder has a watch and ``resume`` is not set, or it was made with other settings.
    """

    def __init__(self, out: Path, settings: dict[str, Any], resume: bool, faces: bool) -> None:
        self.out, self._faces = out, faces
        self.people: list[Person] = []
        self.finished = _check(out, settings, resume)
        if not (out / RECORD).exists():
            write_json(out / RECORD, settings | {"finished": False})
        self._settings = settings
        self._written = sum(1 for _ in read_lines(out / TRACKS))
        self._lines = Lines(out / TRACKS)

    def write(self, person: Person, track: Track) -> None:
        """Write an ended track. Tracks that were written before a resume are not written again."""
        self.people.append(person)
        if len(self.people) <= self._written:
            return
        if self._faces:
            self._write_crops(track)
        self._lines.append(person.as_dict())

    def finish(self, facts: dict[str, Any]) -> None:
        """Write the table, and record that the watch is complete."""
        self._lines.close()
        write_table(self.out / TABLE, self.people)
        write_json(self.out / RECORD, self._settings | {"finished": True} | facts)

    def close(self) -> None:
        """Close the files of an incomplete watch."""
        self._lines.close()

    def _write_crops(self, track: Track) -> None:
        folder = self.out / CROPS
        if track.best is not None and track.best.jpeg is not None:
            _write(folder / f"{track.number:05d}.jpg", track.best.jpeg)
        for place, crop in enumerate(track.strip.choose(SHOWN)):
            if crop.jpeg is not None:
                _write(folder / f"{track.number:05d}-{place}.jpg", crop.jpeg)


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Lock a folder against other watches.

    Raises:
        LrfaceError: another watch is using it, or the folder cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("ab")
    except OSError as error:
        raise LrfaceError(f"cannot write {out}: {error.strerror or error}") from error
    with file:
        if not try_lock(file):
            raise LrfaceError(f"another watch is writing into {out}: give another --out, or wait for it")
        yield


def write_table(path: Path, people: list[Person]) -> None:
    """Write all tracks as Parquet: the columns of ``tracks.jsonl``, and ``template``, a list of float32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {
        "track": pa.int64(), "name": pa.string(), "start": pa.float64(), "end": pa.float64(), "faces": pa.int64(),
        "similarity": pa.float64(), "threshold": pa.float64(), "risk": pa.float64(), "nearest": pa.string(),
        "detail": pa.float64(), "best_detail": pa.float64(), "box": pa.list_(pa.float64()), "best_time": pa.float64(),
        "template": pa.list_(pa.float32()),
    }  # fmt: skip
    rows = [person.as_dict() | {"template": person.template.astype(np.float32)} for person in people]
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))
    with atomic_write(path) as file:
        pq.write_table(table, file)


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def _check(out: Path, settings: dict[str, Any], resume: bool) -> bool:
    """Whether the folder's watch is complete. Raises LrfaceError if it cannot be continued."""
    path = out / RECORD
    if not path.exists():
        return False
    if not resume:
        raise LrfaceError(f"{out} holds a watch already: --resume goes on with it, or give another --out")
    known = read_json(path)
    for key, value in settings.items():
        if known.get(key) != value:
            raise LrfaceError(
                f"{out} was begun with {key} {known.get(key)}, and now it is {value}: resume as it was begun, or give "
                "another --out"
            )
    return bool(known.get("finished"))

"""The journal of a watch: the detected faces of every frame. All results follow from it, so a killed watch can resume.

It has one JSON line per frame. A line that a kill left incomplete is removed when the journal is opened again.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from lrface.errors import LrfaceError
from lrface.files import because
from lrface.video.look import Look


class Lines:
    """A file to which lines are appended. Each line is passed to the system at once.

    Args:
        path: of the file, which is created if necessary. An incomplete last line is removed.

    Raises:
        LrfaceError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if path.exists():
                _cut_half_line(path)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise LrfaceError(f"cannot write {path}: {because(error, path)}") from error

    def append(self, content: dict[str, Any]) -> None:
        """Append a line.

        Raises:
            LrfaceError: the disk is full, or the file cannot be written.
        """
        try:
            self._file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise LrfaceError(
                f"cannot write {self._path}: {error.strerror or error}; what was written before can be read, and "
                "--resume goes on"
            ) from error

    def close(self) -> None:
        """Close the file. If the disk is full, content that is still in the buffer is lost."""
        try:
            self._file.close()
        except OSError:
            return


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file, without an incomplete last line; nothing if there is no file.

    Raises:
        LrfaceError: the file cannot be read, or a line is damaged.
    """
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                yield _parse(path, number, line)
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error


def write_frame(journal: Lines, index: int, time: float, looks: Sequence[Look], whole: bool) -> None:
    """Append a frame, its detected faces, and whether it was searched whole."""
    journal.append({"index": index, "time": time, "whole": whole, "looks": [look.as_dict() for look in looks]})


def read_frames(path: Path) -> Iterator[tuple[int, float, list[Look], bool]]:
    """Yield index, time and detected faces of each frame, and whether it was searched whole."""
    for line in read_lines(path):
        yield line["index"], line["time"], [Look.from_dict(look) for look in line["looks"]], line["whole"]


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise LrfaceError(f"{path}, line {number}, is damaged: begin again in a new folder") from error
    return content


def _cut_half_line(path: Path) -> None:
    """Remove everything after the last complete line."""
    with path.open("r+b") as file:
        place = file.seek(0, 2)
        kept = 0
        while place > 0 and not kept:
            start = max(0, place - 65536)
            file.seek(start)
            found = file.read(place - start).rfind(b"\n")
            kept = start + found + 1 if found >= 0 else 0
            place = start
        file.truncate(kept)

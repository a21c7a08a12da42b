"""An append-only shard that survives ``kill -9``: data files, and a journal that records how much of them is complete.

Chunks of images are appended to the data files, which are then synced to disk. After that, a line for each chunk is written
to the journal, which is synced too. On resuming, everything after the last complete line of the journal is cut off. So no
image is lost and none is stored twice.
"""

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from lrface.data import recordio
from lrface.data.crop import Crop
from lrface.errors import LrfaceError
from lrface.files import atomic_write, try_lock

#: Maximum time in seconds before finished chunks are committed. A sync takes some 10 ms, whatever it writes.
COMMIT_SECONDS = 1.0

JOURNAL_FILE = "journal.jsonl"


class ShardWriter:
    """Writes one shard chunk by chunk into ``folder``. Only one process can write a shard at a time.

    Args:
        folder: the folder of ``train.rec``, ``low.npy`` and the journal.
        low_size: side of the low-resolution images in pixels.
        header: what the shard is made from. An unfinished shard can only be continued with the same header.

    Attributes:
        rows: number of images processed, whatever their outcome; after a restart, the number committed.
        images: number of images in the shard.

    Raises:
        LrfaceError: the folder holds an unfinished shard with another header or damaged files, or another process is
            writing it.
        OSError: the disk is full or cannot be written. All methods can raise it.
    """

    def __init__(self, folder: Path, low_size: int, header: dict[str, Any]) -> None:
        self.folder = folder
        self._low_size = low_size
        folder.mkdir(parents=True, exist_ok=True)
        self._journal, self._rec, self._low = (
            os.fdopen(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            for name in (JOURNAL_FILE, "train.rec", "low.npy")
        )
        self._waiting: list[dict[str, Any]] = []
        self._committed = time.monotonic()
        try:
            if not try_lock(self._journal):
                raise LrfaceError(f"another process is writing {folder}: let it finish, or give another --out")
            certain = _read_journal(self._journal, header, folder)
            self.rows, self.images, self._rec_bytes = certain.rows, certain.images, certain.rec_bytes
            low_header = _npy_header(0, low_size)
            if certain.journal_bytes:
                _cut(self._low, len(low_header) + self.images * low_size**2 * 3, folder)
            else:
                self._low.truncate(0)
                self._low.write(low_header)
                self._waiting.append(header)
            _cut(self._rec, self._rec_bytes, folder)
            _cut(self._journal, certain.journal_bytes, folder)
            self.commit()
        except BaseException:
            self.close()
            raise

    def append(self, crops: list[Crop]) -> None:
        """Add one chunk. It is committed at the next ``commit``, at the latest ``COMMIT_SECONDS`` after the last one."""
        rows, records, low = [], [], []
        for crop in crops:
            row = crop.row
            if crop.encoded is not None and crop.low is not None:
                row = row | {"offset": self._rec_bytes, "digest": crop.digest}
                self.images += 1
                records.append(recordio.encode(recordio.pack(row["label"], crop.encoded, self.images)))
                low.append(crop.low.tobytes())
                self._rec_bytes += len(records[-1])
            rows.append(row)
        self._rec.write(b"".join(records))
        self._low.write(b"".join(low))
        self.rows += len(rows)
        self._waiting.append({"images": self.images, "rec_bytes": self._rec_bytes, "rows": rows})
        if time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write everything added so far to disk and record it in the journal."""
        if self._waiting:
            _sync(self._rec)
            _sync(self._low)
            for entry in self._waiting:
                self._journal.write(json.dumps(entry).encode() + b"\n")
            _sync(self._journal)
        self._waiting.clear()
        self._committed = time.monotonic()

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the chunks of the journal in order, without loading the whole journal."""
        with open(self.folder / JOURNAL_FILE, "rb") as file:
            next(file)
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Close the files. Chunks that are not committed are lost; the shard can be resumed."""
        with ExitStack() as stack:  # closes the other files too if one of them cannot be flushed
            for file in (self._journal, self._low, self._rec):
                stack.callback(file.close)

    def finish(self, labels: np.ndarray, offsets: np.ndarray, property_size: int) -> None:
        """Complete the files: write the identity records, the index and the array header.

        Args:
            labels: int64 ``[images]``, grouped by identity.
            offsets: int64 ``[images]``, the byte at which each image's record begins.
            property_size: side of the crops in pixels.
        """
        offset = self._rec_bytes
        with atomic_write(self.folder / "train.idx", "w") as index:
            for key, start in enumerate(offsets.tolist(), start=1):
                index.write(f"{key}\t{start}\n")
            for key, payload in recordio.identity_records(labels):
                record = recordio.encode(payload)
                index.write(f"{key}\t{offset}\n")
                self._rec.write(record)
                offset += len(record)
        _sync(self._rec)
        recordio.write_property(self.folder / "property", len(np.unique(labels)), property_size)
        with atomic_write(self.folder / "labels.npy") as file:
            np.save(file, labels)
        self._low.seek(0)
        self._low.write(_npy_header(self.images, self._low_size))
        _sync(self._low)

    def forget(self) -> None:
        """Remove the journal of a shard that is complete."""
        (self.folder / JOURNAL_FILE).unlink(missing_ok=True)


def check_same(now: dict[str, Any], before: dict[str, Any], folder: Path) -> None:
    """Refuse to continue or to reuse a shard that was made from other inputs.

    Args:
        now: header of the present call.
        before: header of the existing shard.
        folder: the shard, for the error.

    Raises:
        LrfaceError: the headers differ; the message names the difference.
    """
    for key, value in now.items():
        old = before.get(key)
        if value == old:
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            name = next(name for name in {**value, **old} if value.get(name) != old.get(name))
            what = f"{name} {old.get(name)!r} instead of {value.get(name)!r}"
        else:
            what = {"listing": "another list of images", "landmarks": "other landmarks"}.get(key, f"another {key}")
        raise LrfaceError(
            f"{folder} was begun with {what}: repeat the command as it was, give another --out, or --overwrite"
        )


@dataclass
class _Certain:
    rows: int = 0
    images: int = 0
    rec_bytes: int = 0
    journal_bytes: int = 0


def _read_journal(file: Any, header: dict[str, Any], folder: Path) -> _Certain:
    """Count what the complete lines of the journal record. Reading stops at the first torn or damaged line."""
    certain = _Certain()
    for line in file:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        if certain.journal_bytes == 0:
            check_same(header, entry, folder)
        else:
            certain.rows += len(entry["rows"])
            certain.images, certain.rec_bytes = entry["images"], entry["rec_bytes"]
        certain.journal_bytes += len(line)
    return certain


def _cut(file: Any, size: int, folder: Path) -> None:
    """Cut the file to ``size`` bytes and move to its end."""
    if os.fstat(file.fileno()).st_size < size:
        raise LrfaceError(f"a file of {folder} is shorter than its journal says: begin again with --overwrite")
    file.truncate(size)
    file.seek(size)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _npy_header(images: int, size: int) -> bytes:
    """A ``.npy`` header. numpy pads it, so that its length stays the same when the first axis grows."""
    buffer = io.BytesIO()
    shape = (images, size, size, 3)
    npy.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()

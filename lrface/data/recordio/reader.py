"""Random access to ``.rec`` files."""

import os
import struct
from array import array
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrface.data.recordio.format import (
    CHUNK,
    FIRST,
    HEADER,
    LAST,
    MAGIC,
    MAGIC_BYTES,
    MAX_EXACT_LABEL,
    MAX_RECORD_BYTES,
    WHOLE,
    Header,
    reading,
    unpack,
    unpack_header,
)
from lrface.errors import LrfaceError
from lrface.files import require_path

_INDEX_BLOCK = 1 << 25


class RecordReader:
    """Random access to a ``.rec`` by key, from any number of threads and processes.

    The object can be pickled and forked. Each read states its own position, and a process that unpickles the object opens the
    file again at its first read. Without an ``.idx`` (``idx_path`` not given and none beside the ``.rec``) the index is rebuilt
    by ``scan``.

    Attributes:
        keys: int64 ``[n]``, ascending.

    Raises:
        LrfaceError: a file is missing; the index is damaged, points past the end of the ``.rec`` or ends before it; or the
            last record is truncated.
    """

    def __init__(self, rec_path: str | Path, idx_path: str | Path | None = None) -> None:
        self.path = Path(require_path(rec_path))
        with reading(self.path):
            self._bytes = self.path.stat().st_size
        index = Path(idx_path) if idx_path is not None else self.path.with_suffix(".idx")
        self.index_path = index if idx_path is not None or index.exists() else None
        keys, offsets = scan(self.path) if self.index_path is None else _read_index(index)
        order = np.argsort(keys, kind="stable")
        self.keys: NDArray[np.int64] = keys[order]
        self._offsets: NDArray[np.int64] = offsets[order]
        self._check()

    def _check(self) -> None:
        index = self.index_path or self.path
        if not len(self.keys):
            raise LrfaceError(f"{index} holds no records")
        repeated = self.keys[1:][np.diff(self.keys) == 0]
        if len(repeated):
            mend = "" if self.index_path else ": it cannot be read without its .idx"
            raise LrfaceError(f"{index} names record {repeated[0]} twice{mend}")
        last = int(np.argmax(self._offsets))
        key, offset = int(self.keys[last]), int(self._offsets[last])
        if offset >= self._bytes or int(self._offsets.min()) < 0:
            raise LrfaceError(
                f"{index} points past the end of {self.path} (record {key} at byte {offset} of {self._bytes}): "
                "the .rec is cut short, or the two files do not belong together"
            )
        _, end = self._read_at(offset)
        if end != self._bytes:
            raise LrfaceError(
                f"{index} stops at byte {end} of the {self._bytes} of {self.path}: the .idx is cut short; "
                "delete it to have it rebuilt from the .rec"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_descriptor"}

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close this process's file. The next read opens it again."""
        descriptor = self.__dict__.pop("_descriptor", None)
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> int:
        with reading(self.path):
            opened = os.open(self.path, os.O_RDONLY)
        # Two threads may arrive here at once. A lock could be held during a fork; setdefault is atomic and needs no lock.
        kept: int = self.__dict__.setdefault("_descriptor", opened)
        if kept != opened:
            os.close(opened)
        return kept

    def _pread(self, count: int, offset: int) -> bytes:
        descriptor = self.__dict__.get("_descriptor")
        if descriptor is None:
            descriptor = self._open()
        try:
            return os.pread(descriptor, count, offset)
        except OSError as error:
            raise LrfaceError(f"cannot read {self.path} at byte {offset}: {error.strerror or error}") from error

    def _read_at(self, offset: int) -> tuple[bytes, int]:
        return _read_record(self._pread, offset, self.path)

    def __contains__(self, key: int) -> bool:
        at = int(np.searchsorted(self.keys, key))
        return at < len(self.keys) and bool(self.keys[at] == key)

    def _offset_of(self, key: int) -> int:
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            raise LrfaceError(
                f"{self.path} has no record {key} (its {len(self.keys)} keys lie in {self.keys[0]}..{self.keys[-1]})"
            )
        return int(self._offsets[at])

    def read(self, key: int) -> bytes:
        """The payload of one record, joined if it was split.

        Raises:
            LrfaceError: unknown key, or a damaged or truncated record; the message gives the byte.
        """
        return self._read_at(self._offset_of(key))[0]

    def read_record(self, key: int) -> tuple[NDArray[np.float32], bytes]:
        """Labels (float32 ``[n]``) and encoded image of one record. Raises ``LrfaceError`` as ``read`` does."""
        payload = self.read(key)
        try:
            return unpack(payload)
        except LrfaceError as error:
            raise LrfaceError(f"{self.path} record {key}: {error}") from error

    def read_image_bytes(self, key: int) -> tuple[int, bytes]:
        """Class label (the first if there are several) and encoded image of one record.

        Raises:
            LrfaceError: as ``read``; or the record has no image, or its label is not a whole number.
        """
        labels, image = self.read_record(key)
        if not image:
            raise LrfaceError(f"{self.path} record {key} holds no image")
        label = float(labels[0])
        if not label.is_integer():
            raise LrfaceError(f"{self.path} record {key}: {label} is not a class label")
        return int(label), image

    @cached_property
    def _meta(self) -> NDArray[np.float32] | None:
        if 0 not in self or unpack_header(self.read(0)).flag == 0:
            return None
        labels, image = self.read_record(0)
        if image:
            return None
        if not np.isfinite(labels).all():
            raise LrfaceError(f"{self.path}: record 0 does not say how many images there are")
        return labels

    @cached_property
    def image_keys(self) -> NDArray[np.int64]:
        """Keys of the images, int64 ``[N]`` ascending: 1..N according to the meta record; without one, all keys.

        Raises:
            LrfaceError: the meta record and the index disagree on the number of images.
        """
        if self._meta is None:
            return self.keys
        end = self._first_identity(int(self._meta[0]))
        images = self.keys[np.searchsorted(self.keys, 1) : np.searchsorted(self.keys, end)]
        if end < 1 or len(images) != end - 1:
            raise LrfaceError(f"{self.path}: record 0 announces {end - 1} images, the index holds {len(images)}")
        return images

    def _first_identity(self, announced: int) -> int:
        """The key after the last image. From 2**24 on, float32 rounds the announced key, so the neighbouring keys are checked."""
        if announced < MAX_EXACT_LABEL:
            return announced
        step = int(np.spacing(np.float32(announced)))
        for key in range(announced - step, announced + step + 1):
            if key not in self or not self.read_record(key)[1]:
                return key
        return announced

    def identities(self) -> NDArray[np.int64]:
        """Ranges of image keys per identity, int64 ``[C, 2]``: first key, last key + 1; in the order of the file.

        Raises:
            LrfaceError: the file has no identity records, or too many images for their float32 labels to be exact.
        """
        if self._meta is None or len(self._meta) < 2:
            raise LrfaceError(f"{self.path} has no identity records: take the labels from image_labels()")
        first, end = (int(value) for value in self._meta[:2])
        if end >= MAX_EXACT_LABEL:
            raise LrfaceError(f"{self.path}: its identity records are inexact past 2**24: use image_labels()")
        ranges = [self.read_record(key)[0] for key in range(first, end)]
        if any(len(item) != 2 or not np.isfinite(item).all() for item in ranges):
            raise LrfaceError(f"{self.path}: records {first} to {end - 1} should name an identity's first and last key")
        return np.array(ranges, dtype=np.int64).reshape(-1, 2)

    def image_labels(self) -> NDArray[np.int64]:
        """Class label of every image, int64 ``[N]`` in the order of ``image_keys``. Reads only the headers.

        Raises:
            LrfaceError: as ``read_image_bytes``.
        """
        images = self.image_keys
        offsets = self._offsets[np.searchsorted(self.keys, images)]
        labels = (self._label_at(int(key), int(offset)) for key, offset in zip(images, offsets, strict=True))
        return np.fromiter(labels, np.int64, len(images))

    def _label_at(self, key: int, offset: int) -> int:
        head = self._pread(CHUNK.size + HEADER.size + 4, offset)
        if len(head) == CHUNK.size + HEADER.size + 4:
            magic, record = CHUNK.unpack_from(head)
            header = Header(*HEADER.unpack_from(head, CHUNK.size))
            # The record is in one chunk, so its header is at the usual position.
            if magic == MAGIC and HEADER.size + 4 <= record < FIRST << 30:
                label = struct.unpack_from("<f", head, len(head) - 4)[0] if header.flag else header.label
                if label.is_integer():
                    return int(label)
        return self.read_image_bytes(key)[0]


def scan(rec_path: str | Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read all record headers of a ``.rec``: keys (the ``id`` of each header) and offsets, int64 ``[n]`` each, in file order.

    Raises:
        LrfaceError: the file is missing, truncated or damaged; the message gives the byte.
    """
    path = Path(require_path(rec_path))
    found = array("q")
    with reading(path), open(path, "rb") as file:
        size, offset = os.fstat(file.fileno()).st_size, 0
        while offset < size:
            payload, end = _read_record(lambda count, at: os.pread(file.fileno(), count, at), offset, path)
            try:
                found.extend((unpack_header(payload).id, offset))
            except (LrfaceError, OverflowError) as error:
                raise LrfaceError(f"{path}: the record at byte {offset} is no image record: {error}") from error
            offset = end
    pairs = np.frombuffer(found, np.int64).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def _read_record(fetch: Callable[[int, int], bytes], offset: int, path: Path) -> tuple[bytes, int]:
    """Read the record at ``offset``: its payload, and the byte after its padding. ``fetch(count, at)`` reads the file."""
    parts: list[bytes] = []
    at = offset
    while True:
        head = fetch(CHUNK.size, at)
        if len(head) < CHUNK.size:
            raise LrfaceError(f"{path} is truncated: the record at byte {offset} goes on past byte {at + len(head)}")
        magic, record = CHUNK.unpack(head)
        flag, length = record >> 30, record & MAX_RECORD_BYTES
        if magic != MAGIC or (flag in (WHOLE, FIRST)) == bool(parts):
            raise LrfaceError(f"{path} is damaged at byte {at}, or its .idx is another file's: no record begins there")
        padded = length + -length % 4
        data = fetch(padded, at + CHUNK.size)
        at += CHUNK.size + len(data)
        if len(data) < padded:
            raise LrfaceError(f"{path} is truncated: the record at byte {offset} goes on past byte {at}")
        parts.append(data[:length])
        if flag in (WHOLE, LAST):
            return MAGIC_BYTES.join(parts), at


def _read_index(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read keys and offsets of an ``.idx`` in blocks, so that its text is never in memory twice."""
    blocks, rest, lines = [np.empty((0, 2), np.int64)], b"", 0
    with reading(path), open(path, "rb") as file:
        while block := file.read(_INDEX_BLOCK):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            blocks.append(_parse_index(whole + newline, path, lines))
            lines += len(blocks[-1])
    blocks.append(_parse_index(rest, path, lines))
    pairs = np.concatenate(blocks)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def _parse_index(text: bytes, path: Path, before: int) -> NDArray[np.int64]:
    lines = text.count(b"\n") + bool(text and not text.endswith(b"\n"))
    try:
        # Numpy < 2.3 only warns about errors, later versions raise; so the count is checked too.
        numbers = np.fromstring(text, dtype=np.int64, sep="\t")
    except ValueError:
        numbers = np.empty(0, np.int64)
    if len(numbers) != 2 * lines or text.count(b"\t") != lines:
        raise LrfaceError(f"{path}: lines {before + 1} to {before + lines} are not all key<TAB>offset")
    return numbers.reshape(-1, 2)

"""The bytes of a record and of its companion files: packing, chunking, identity records, ``property``, writing."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrface.errors import LrfaceError
from lrface.files import atomic_write, because

MAGIC = 0x3ED7230A
MAX_RECORD_BYTES = 2**30 - 1
MAX_EXACT_LABEL = 2**24
"""Labels are stored as float32, which represents every integer exactly only up to here."""

MAGIC_BYTES = struct.pack("<I", MAGIC)
CHUNK = struct.Struct("<II")
HEADER = struct.Struct("<IfQQ")
WHOLE, FIRST, MIDDLE, LAST = range(4)


class Header(NamedTuple):
    """The 24 bytes before the labels and the image. ``label`` is valid only if ``flag`` is 0."""

    flag: int
    label: float
    id: int
    id2: int


def pack(labels: float | Sequence[float] | NDArray[Any], image: bytes, id: int, id2: int = 0) -> bytes:
    """Pack the payload of one record.

    A single label goes into the header. A sequence is stored after the header as float32, with its length as ``flag``.

    Args:
        labels: one number, or a sequence of them.
        image: the encoded image.
        id, id2: numbers of the record, for the header.

    Raises:
        LrfaceError: no label, or a label beyond 2**24, which float32 does not hold exactly.
    """
    if isinstance(labels, int | float) and abs(labels) <= MAX_EXACT_LABEL:
        return HEADER.pack(0, labels, id, id2) + image  # the usual case, without the cost of an array
    values = np.asarray(labels, dtype=np.float64).ravel()
    if not values.size or not np.all(np.abs(values) <= MAX_EXACT_LABEL):
        raise LrfaceError(f"record {id}: labels must be given and at most 2**24 to be exact in a .rec, got {labels}")
    if np.ndim(labels) == 0:
        return HEADER.pack(0, values[0], id, id2) + image
    return HEADER.pack(values.size, 0.0, id, id2) + values.astype("<f4").tobytes() + image


def unpack_header(payload: bytes) -> Header:
    """Read the header of a payload. The first 24 bytes are enough.

    Raises:
        LrfaceError: fewer than 24 bytes.
    """
    if len(payload) < HEADER.size:
        raise LrfaceError(f"a record of {len(payload)} bytes is too short for the {HEADER.size} bytes of its header")
    return Header(*HEADER.unpack_from(payload))


def unpack(payload: bytes) -> tuple[NDArray[np.float32], bytes]:
    """Split a payload into labels (float32 ``[n]``, n >= 1) and encoded image (empty for meta and identity records).

    Raises:
        LrfaceError: the payload ends before its header or its labels.
    """
    header = unpack_header(payload)
    if header.flag == 0:
        return np.array([header.label], dtype=np.float32), payload[HEADER.size :]
    end = HEADER.size + 4 * header.flag
    if len(payload) < end:
        raise LrfaceError(f"a record of {len(payload)} bytes is too short for its {header.flag} labels")
    return np.frombuffer(payload, "<f4", header.flag, HEADER.size).astype(np.float32), payload[end:]


def encode(payload: bytes) -> bytes:
    """Encode one payload as the chunk or chunks of a ``.rec``, padded to a multiple of 4 bytes.

    If the payload contains the magic number at a multiple of 4, it is split there and the magic number is left out. A reader
    that searches for the next record from the middle of a file then never mistakes data for a chunk.

    Raises:
        LrfaceError: a payload of 2**30 bytes or more.
    """
    if len(payload) > MAX_RECORD_BYTES:
        raise LrfaceError(f"a record holds at most {MAX_RECORD_BYTES} bytes, this one has {len(payload)}")
    starts, at = [0], payload.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            starts.append(at + 4)
            at = payload.find(MAGIC_BYTES, at + 4)
        else:
            at = payload.find(MAGIC_BYTES, at + 1)
    flags = [WHOLE] if len(starts) == 1 else [FIRST, *[MIDDLE] * (len(starts) - 2), LAST]
    ends = [start - 4 for start in starts[1:]] + [len(payload)]
    parts: list[bytes] = []
    for flag, start, end in zip(flags, starts, ends, strict=True):
        parts += CHUNK.pack(MAGIC, flag << 30 | end - start), payload[start:end]
    return b"".join((*parts, bytes(-len(payload) % 4)))


def identity_records(labels: Sequence[int] | NDArray[Any]) -> Iterator[tuple[int, bytes]]:
    """The records that follow the images, as insightface's ``rec_builder.py`` writes them.

    Args:
        labels: int ``[N]``, class of each image in the order of the keys 1..N; images of one class must be contiguous.

    Yields:
        ``(key, payload)``. First one record per class, in order, with the keys N+1..N+C and the labels [first key,
        last key + 1]. Then the meta record, with key 0 and the labels [N + 1, N + C + 1]. Write them in this order.

    Raises:
        LrfaceError: no images, a class that is not contiguous, or 2**24 records or more (write several shards).
    """
    classes = np.asarray(labels, dtype=np.int64)
    if not classes.size:
        raise LrfaceError("a .rec needs at least one image")
    first = np.flatnonzero(np.diff(classes, prepend=classes[0] - 1))
    if len(np.unique(classes[first])) != len(first):
        raise LrfaceError("images of one identity must stand together in a .rec, and some are apart")
    images = len(classes)
    last_key = images + len(first) + 1
    if last_key >= MAX_EXACT_LABEL:
        raise LrfaceError(f"one .rec numbers its records exactly below 2**24, not to {last_key}: write several shards")
    bounds = np.append(first, images) + 1
    for number in range(len(first)):
        key = images + 1 + number
        yield key, pack(bounds[number : number + 2], b"", key)
    yield 0, pack([images + 1, last_key], b"", 0, 1)


def write_property(path: str | Path, classes: int, size: int) -> None:
    """Write the ``property`` file: ``classes,size,size``."""
    with atomic_write(path, "w") as file:
        file.write(f"{classes},{size},{size}\n")


def read_property(path: str | Path) -> tuple[int, int, int]:
    """Read the number of classes, the height and the width from a ``property`` file.

    Raises:
        LrfaceError: the file is missing or its first line is not three numbers.
    """
    with reading(path):
        line = (Path(path).read_text(errors="replace").splitlines() or [""])[0]
    try:
        classes, height, width = (int(word) for word in line.split(","))
    except ValueError as error:
        raise LrfaceError(f"{path}: expected a first line like 10572,112,112, found {line!r}") from error
    return classes, height, width


class RecordWriter:
    """Write a ``.rec`` and its ``.idx`` record by record.

    Given paths, both files are written completely when the writer is closed. If a ``with`` block is left by an exception, the
    previous files stay. Given two binary files open for writing, the writer appends at their present positions and neither
    flushes nor closes them.

    Raises:
        LrfaceError: a path cannot be written.
        TypeError: an open file for the records without an open file for the index.
    """

    def __init__(self, rec: str | Path | IO[bytes], idx: str | Path | IO[bytes] | None = None) -> None:
        self._stack = ExitStack()
        if isinstance(rec, str | Path):
            idx = Path(rec).with_suffix(".idx") if idx is None else idx
            # The .rec is renamed first: a .rec without its .idx can still be read.
            self._idx = self._stack.enter_context(atomic_write(idx)) if isinstance(idx, str | Path) else idx
            self._rec = self._stack.enter_context(atomic_write(rec))
        elif idx is None or isinstance(idx, str | Path):
            raise TypeError("give an open file for the index together with an open file for the records")
        else:
            self._rec, self._idx = rec, idx
        self._offset = self._rec.tell()

    def write(self, key: int, payload: bytes) -> int:
        """Append one record and its index line. Returns the byte offset at which the record begins."""
        chunks, offset = encode(payload), self._offset
        self._rec.write(chunks)
        self._idx.write(b"%d\t%d\n" % (key, offset))
        self._offset += len(chunks)
        return offset

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error

"""Mutations of files for ``tools/fuzz_images.py``: at random places, and in the lengths and sizes that decoders read."""

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

_PNG = b"\x89PNG"


class Field(NamedTuple):
    """A number in a file: its offset, its size in bytes, and its byte order, ``big`` or ``little``."""

    offset: int
    size: int
    order: str


Change = Callable[[bytearray, bytes, random.Random], None]


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Make one to three random changes to a file.

    Args:
        data: the file.
        other: another file, for splicing.
        rng: source of the random choices.
    """
    spoilt = bytearray(data)
    for change in rng.choices(CHANGES, WEIGHTS, k=rng.choice((1, 1, 1, 2, 3))):
        change(spoilt, other, rng)
    if spoilt.startswith(_PNG) and rng.random() < 0.7:  # with a wrong checksum, the decoder would stop at once
        _mend_checksums(spoilt)
    return bytes(spoilt)


def truncate(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Cut a file at any place, or near its end, after nearly everything was decoded."""
    near = rng.random() < 0.3
    del data[max(0, len(data) - rng.randint(1, 64)) if near else rng.randint(0, len(data)) :]


def flip_bits(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Flip 1 to 64 bits. Half of the time they are in the first 200 bytes, where the headers are."""
    end = min(len(data), 200) if rng.random() < 0.5 else len(data)
    for _ in range(2 ** rng.choice((0, 0, 1, 2, 4, 6)) if end else 0):
        data[rng.randrange(end)] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Overwrite up to 256 bytes by zeros, ones or noise."""
    start, length = rng.randint(0, len(data)), rng.randint(1, 256)
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    data[start : start + length] = run[: len(data) - start]


def move(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Remove a run of bytes, or insert it again at another place."""
    start, length = rng.randint(0, len(data)), rng.randint(1, 512)
    run = bytes(data[start : start + length])
    if rng.random() < 0.5:
        del data[start : start + length]
    else:
        at = rng.randint(0, len(data))
        data[at:at] = run * rng.choice((1, 1, 2, 16))


def splice(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Join the beginning of this file with the end of the other one."""
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


def misstate(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Change a length, count, size or type in a file's structure to a huge, small or random value."""
    known = [field for field in fields(bytes(data)) if field.offset + field.size <= len(data)]
    if not known:
        return
    for field in rng.choices(known, k=rng.choice((1, 1, 2, 4))):
        most = 256**field.size - 1
        value = rng.choice((0, 1, 2, 7, 255, 9_000, 10_000, 30_000, most // 2, most // 2 + 1, most - 1, most))
        if rng.random() < 0.25:
            value = rng.randint(0, most)
        data[field.offset : field.offset + field.size] = min(value, most).to_bytes(field.size, field.order)


def repack(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Change the rows inside a PNG's compressed stream, which decoders would reject if changed directly; else flip bits."""
    at, length = next(((at, size) for at, size in _png_chunks(data) if data[at + 4 : at + 8] == b"IDAT"), (0, 0))
    try:
        rows = bytearray(zlib.decompress(data[at + 8 : at + 8 + length]))
    except zlib.error:
        rows = bytearray()
    if not data.startswith(_PNG) or not rows:
        return flip_bits(data, other, rng)
    rng.choice((truncate, flip_bits, overwrite, move))(rows, other, rng)
    packed = zlib.compress(rows)
    data[at : at + 12 + length] = len(packed).to_bytes(4, "big") + b"IDAT" + packed + bytes(4)
    _mend_checksums(data)


CHANGES: tuple[Change, ...] = (truncate, flip_bits, overwrite, move, splice, misstate, repack)
WEIGHTS = (3, 4, 3, 2, 2, 4, 2)


def fields(data: bytes) -> list[Field]:
    """The numbers in a file's structure. In a damaged file they are found up to the damage."""
    if data[4:8] == b"ftyp":
        return list(_boxes(data))
    for start, find in _FINDERS.items():
        if data.startswith(start):
            return list(find(data))
    return []


def _png(data: bytes) -> Iterator[Field]:
    yield from (Field(16, 4, "big"), Field(20, 4, "big"), *(Field(at, 1, "big") for at in range(24, 29)))
    for at, _ in _png_chunks(data):
        yield Field(at, 4, "big")


def _png_chunks(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Offset of each chunk, and the length of its content."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield at, length
        at += 12 + length


def _mend_checksums(data: bytearray) -> None:
    for at, length in list(_png_chunks(data)):
        end = at + 8 + length
        if end + 4 <= len(data):
            data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))


def _jpeg(data: bytes) -> Iterator[Field]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        yield Field(at + 2, 2, "big")
        if data[at + 1] in (0xC0, 0xC1, 0xC2):
            yield from (Field(at + 5, 2, "big"), Field(at + 7, 2, "big"))
            yield from (Field(at + offset, 1, "big") for offset in (1, 4, 9, 11, 14))
        if data[at + 1] == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _webp(data: bytes) -> Iterator[Field]:
    yield Field(4, 4, "little")
    at = 12
    while at + 8 <= len(data):
        yield Field(at + 4, 4, "little")
        if data[at : at + 4] == b"VP8X":
            yield from (Field(at + 8, 1, "little"), Field(at + 12, 3, "little"), Field(at + 15, 3, "little"))
        if data[at : at + 4] == b"VP8 ":
            yield from (Field(at + 14, 2, "little"), Field(at + 16, 2, "little"))
        if data[at : at + 4] == b"VP8L":
            yield Field(at + 9, 4, "little")
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2


def _gif(data: bytes) -> Iterator[Field]:
    yield from (Field(6, 2, "little"), Field(8, 2, "little"), Field(10, 1, "little"))
    for found in re.finditer(b"\\x00,", data[: 1 << 16]):  # position and size of an image, and sometimes noise
        yield from (Field(found.end() + 2 * number, 2, "little") for number in range(4))


def _tiff(data: bytes) -> Iterator[Field]:
    order = "little" if data.startswith(b"II") else "big"
    big = data[2:4] in (b"+\0", b"\0+")
    start, word, count, entry = (8, 8, 8, 20) if big else (4, 4, 2, 12)
    yield Field(start, word, order)
    at = int.from_bytes(data[start : start + word], order)  # type: ignore[arg-type]
    yield Field(at, count, order)
    for number in range(min(64, int.from_bytes(data[at : at + count], order))):  # type: ignore[arg-type]
        tag = at + count + number * entry
        yield from (Field(tag, 2, order), Field(tag + 2, 2, order))
        yield from (Field(tag + 4, word, order), Field(tag + 4 + word, word, order), Field(tag + 4 + word, 2, order))


def _bmp(data: bytes) -> Iterator[Field]:
    yield from (Field(at, 4, "little") for at in (2, 10, 14, 18, 22, 30, 34, 46))
    yield from (Field(26, 2, "little"), Field(28, 2, "little"))


def _boxes(data: bytes) -> Iterator[Field]:
    """Fields of AVIF and HEIF: the lengths of the outer and inner boxes, and the image's sides."""
    for found in re.finditer(rb"ftyp|meta|hdlr|pitm|iinf|infe|iloc|iprp|ipco|ipma|irot|ispe|mdat", data[: 1 << 16]):
        if found.start() >= 4:
            yield Field(found.start() - 4, 4, "big")
        if found[0] == b"ispe":
            yield from (Field(found.end() + 4, 4, "big"), Field(found.end() + 8, 4, "big"))


def _ppm(data: bytes) -> Iterator[Field]:
    """Digits of the header. A changed one is usually no digit any more."""
    for found in re.finditer(rb"\d", data[:24]):
        yield Field(found.start(), 1, "big")


_FINDERS: dict[bytes, Callable[[bytes], Iterator[Field]]] = {
    _PNG: _png, b"\xff\xd8": _jpeg, b"RIFF": _webp, b"GIF8": _gif, b"II": _tiff, b"MM": _tiff, b"BM": _bmp, b"P": _ppm,
}  # fmt: skip

"""The image formats that lrface reads, and explanations for files that it cannot read."""

import io
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, features

#: File name endings by which images are found in a folder. The true format is read from the first bytes of a file.
SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm",
        ".heic", ".heif", ".hif", ".avif",
    }
)  # fmt: skip

#: The only decoders that may run, whatever the file's name. Pillow has others, and one of them starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF")

#: The kinds that the first box of a HEIF file can name (ISO/IEC 23008-12, annex B; AV1 Image File Format, 6).
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

_NO_HEIF = "HEIC, as phones write it: pip install 'lrface[heic]' reads it, or convert it to JPEG"
_NO_AVIF = "AVIF, which this Pillow cannot decode: pip install --upgrade pillow, or convert it to JPEG"

#: Formats that Pillow decodes row by row from the top. For these the rows of a truncated file can be counted.
_BY_ROWS = ("JPEG", "PNG", "BMP", "PPM", "TIFF")

#: The rows of a truncated image are counted only up to this many pixels, because it has to be decoded again.
_COUNTED = 50_000_000


@cache
def readable() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this installation decodes. HEIF needs pillow-heif, AVIF a Pillow that was built with it."""
    absent = set()
    if not features.check("avif"):
        absent.add("AVIF")
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        absent.add("HEIF")
    else:
        register_heif_opener(thumbnails=False)  # this adds to Pillow's list of decoders; only those in FORMATS are used
    return tuple(kind for kind in FORMATS if kind not in absent)


def describe(data: bytes) -> str:
    """Describe a file that cannot be read, for an error message. A failed download often has the name of an image."""
    start = data[:1024]
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "AVIF, and damaged" if "AVIF" in readable() else _NO_AVIF
    if brands & _HEIC_BRANDS:
        return "HEIC, and damaged" if "HEIF" in readable() else _NO_HEIF
    if start.startswith((b"GIF8", b"II*\0", b"MM\0*", b"\x89PNG", b"\xff\xd8\xff")):
        return "cut short or damaged: its header cannot be read"
    if brands or start.startswith(b"\x1a\x45\xdf\xa3") or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "a video; save a frame of it as an image"
    if b"<html" in start.lower() or b"<!doctype html" in start.lower():
        return "a web page (HTML), perhaps what a server sent instead of the image"
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        text = start[: error.start].decode("utf-8") if error.start > len(start) - 4 else "\0"
    if text and all(letter.isprintable() or letter.isspace() for letter in text):
        return "text"
    return f"of an unknown kind, and begins with the bytes {start[:8].hex(' ')}"


def cut_short(data: bytes, error: Exception | None = None) -> str | None:
    """Describe where a truncated file ends; None if the file is not truncated.

    Args:
        data: contents of the file.
        error: the error of the decoder, if there was one.
    """
    said = _length(data)
    if said is not None and said > len(data):
        return f"after {len(data):,} of {said:,} bytes"
    if error is None or not any(word in str(error).lower() for word in ("truncated", "not enough")):
        return None
    rows = _rows(data)
    return f"after {rows[0]:,} of {rows[1]:,} rows" if rows else f"after {len(data):,} bytes"


def _brands(data: bytes) -> set[bytes]:
    """The main and the compatible kinds that an ISO media file (HEIF, AVIF, MP4) names; empty for any other file."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    names = {box[:4], *(box[at : at + 4] for at in range(8, len(box) - 3, 4))}
    return names or {b""}


def _length(data: bytes) -> int | None:
    """The size in bytes that the file itself states (WebP, and the boxes of HEIF and AVIF); None for other formats."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return int.from_bytes(data[4:8], "little") + 8
    if not _brands(data) & (_HEIC_BRANDS | _AVIF_BRANDS):
        return None
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # the size follows as a 64-bit number
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0 means: to the end of the file
            return None
        at += size
    return at


def _rows(data: bytes) -> tuple[int, int] | None:
    """Count the rows of a truncated file that can be decoded, and the rows that it should have; None if this is impossible.

    The decoder writes into an image of noise. The rows that are still noise afterwards were not decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_BY_ROWS) as image:
            width, height = image.size
            if width * height > _COUNTED or image.info.get("interlace"):
                return None
            noise = np.random.default_rng(20_251).bytes(len(Image.new(image.mode, image.size).tobytes()))
            image.im = Image.frombytes(image.mode, image.size, noise).im
            before = _as_rows(image, height)
            with suppress(OSError):
                image.load()
            return int((_as_rows(image, height) != before).any(1).sum()), height
    except Exception:  # a damaged file can raise anything in a decoder; then there is nothing more to report
        return None


def _as_rows(image: Image.Image, height: int) -> np.ndarray:
    """The pixels as they are in memory, uint8 ``[height, bytes]``, without decoding anything."""
    kept = Image.Image()._new(image.im)
    return np.frombuffer(kept.tobytes(), np.uint8).reshape(height, -1).copy()

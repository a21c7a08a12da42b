"""Reading any image file as upright 8-bit RGB, and encoding crops."""

import io
import os
import struct
import warnings
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lrface.errors import LrfaceError
from lrface.faces.formats import cut_short, describe, readable
from lrface.files import looked_in, require_path

#: Larger images are refused before they are decoded. A face needs no more, and a small file can claim any size.
MAX_PIXELS = 100_000_000

#: Longest side of an image in pixels. OpenCV 4 cannot warp beyond 16-bit coordinates.
MAX_SIDE = 32_766

#: Larger files are refused before they are read. The largest image, with 16 bits and without compression, has 600 MB.
MAX_BYTES = 1 << 30

#: A JPEG spends at least one bit on each block of a component, and a block covers at most 1024 / 8 pixels. A file that
#: claims more pixels for its bytes is truncated, or it is a decompression bomb of a few hundred bytes.
_PIXELS_PER_BYTE = 1024

#: Limit of pixels times scans. Each scan of a progressive JPEG decodes the whole image, and a scan can be a few bytes long.
#: Real files have about ten scans.
_MAX_PASSED = 20 * MAX_PIXELS

_BLOCK = 1 << 20  # bytes of a pipe, or pixels that are converted, at once

#: Segments of a JPEG: start of the image, frame (baseline and progressive), scan. ``_SIMPLE`` has all segments that an upright
#: RGB file may contain: frame, JFIF header, tables, comment.
_JPEG, _SCAN_MARKER = b"\xff\xd8\xff", b"\xff\xda"
_FRAMES, _SCAN = frozenset({0xC0, 0xC2}), 0xDA
_SIMPLE = _FRAMES | {0xE0, 0xDB, 0xC4, 0xDD, 0xFE}
_FRAME = struct.Struct(">BHHB")


class Loaded(NamedTuple):
    """An image that was read.

    Attributes:
        pixels: uint8 RGB ``[height, width, 3]``.
        plain: True if the file is an upright, opaque JPEG or PNG in RGB with one image. Every other reader then gets the
            same pixels from it.
    """

    pixels: np.ndarray
    plain: bool


def read_image(source: str | Path | bytes, name: str | None = None) -> np.ndarray:
    """Read an image and return only its pixels, uint8 RGB ``[height, width, 3]``; see :func:`load_image`."""
    return load_image(source, name).pixels


def load_image(source: str | Path | bytes, name: str | None = None) -> Loaded:
    """Read an image as uint8 RGB.

    EXIF rotation is applied. Of an animation, the first frame is read. CMYK, palette, grey and 16-bit images are
    converted. Transparent pixels become black, as warping pads with black too.

    Args:
        source: a path, or the encoded bytes.
        name: name of the image in errors; by default the path.

    Raises:
        LrfaceError: the image is missing, empty, damaged, truncated, not of :data:`lrface.faces.formats.FORMATS`,
            or larger than ``MAX_PIXELS``, ``MAX_SIDE`` or ``MAX_BYTES``.
    """
    data: bytes | None = source if isinstance(source, bytes) else None
    name = name or ("image" if data is not None else str(source))
    try:
        if data is None:
            data = _read_file(Path(require_path(str(source))), name)
        return _decode(data, name)
    except LrfaceError:
        raise
    except FileNotFoundError as error:
        raise LrfaceError(f"no such image: {name} ({looked_in(name)})") from error
    except UnidentifiedImageError as error:
        if where := cut_short(data or b""):
            raise LrfaceError(f"{name} is truncated {where}") from error
        kinds = ", ".join(readable())
        what = describe(data or b"")
        raise LrfaceError(f"{name} is not an image that can be read ({kinds}): it is {what}") from error
    except Image.DecompressionBombError as error:
        raise LrfaceError(f"{name} is too large: at most {MAX_PIXELS:,} pixels are read") from error
    except MemoryError as error:
        raise LrfaceError(f"{name} does not fit into memory") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise LrfaceError(f"cannot read {name}: {error.strerror or error}") from error
        # On damaged files Pillow's decoders raise almost anything: SyntaxError, KeyError, struct.error, zlib.error, ...
        if where := cut_short(data or b"", error):
            raise LrfaceError(f"{name} is truncated {where}") from error
        raise LrfaceError(f"{name} is damaged: {error}") from error


def _decode(data: bytes, name: str) -> Loaded:
    if not data:
        raise LrfaceError(f"{name} is empty (0 bytes)")
    size = _size_of_simple_jpeg(data)
    if size is not None:
        _check_size(*size, name, data)
        pixels = _decode_jpeg(data, *size)
        if pixels is not None:
            return Loaded(pixels, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own warning about large images; MAX_PIXELS is the limit here
        with Image.open(io.BytesIO(data), formats=readable()) as image:
            _check_size(*image.size, name, data)
            if image.format in ("HEIF", "AVIF"):  # the coded image can be larger than the header says
                image.load()
                _check_size(*image.size, name, data)
            plain = _is_plain(image)
            pixels = _decode_jpeg(data, *image.size) if plain and image.format == "JPEG" else None
            return Loaded(_to_rgb(image) if pixels is None else pixels, plain)


def _read_file(path: Path, name: str) -> bytes:
    """Read a whole file, or raise LrfaceError if it has more than ``MAX_BYTES``."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:  # a pipe has no known size
            data = b"".join(islice(iter(lambda: file.read(_BLOCK), b""), MAX_BYTES // _BLOCK + 1))
            size = len(data)
        elif size <= MAX_BYTES:
            data = file.read()
    if size > MAX_BYTES:
        raise LrfaceError(f"{name} is too large: more than {MAX_BYTES:,} bytes")
    return data


def _check_size(width: int, height: int, name: str, data: bytes) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise LrfaceError(
            f"{name} is too large: {width} x {height} pixels; at most {MAX_PIXELS:,} are read, {MAX_SIDE:,} a side"
        )
    if data.startswith(_JPEG):
        if width * height > _PIXELS_PER_BYTE * len(data):
            raise LrfaceError(f"{name} is damaged: {len(data):,} bytes of JPEG cannot hold {width} x {height} pixels")
        scans = data.count(_SCAN_MARKER)
        if width * height * scans > _MAX_PASSED:
            raise LrfaceError(f"{name} is too large: a JPEG of {scans:,} passes over {width} x {height} pixels")


def _is_plain(image: Image.Image) -> bool:
    return (
        image.format in ("JPEG", "PNG")
        and image.mode == "RGB"
        and getattr(image, "n_frames", 1) == 1
        and image.getexif().get(0x0112, 1) == 1
        and "transparency" not in image.info
    )


def _size_of_simple_jpeg(data: bytes) -> tuple[int, int] | None:
    """Width and height of a simple JPEG: three 8-bit components, no Exif, no colour profile, no second image.

    None for every other file. Pillow has to open those, which takes a third of the time of decoding a small face.
    """
    at, size = 2, None
    if not data.startswith(_JPEG):
        return None
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _SCAN:
            return size
        if marker not in _SIMPLE:
            return None
        if marker in _FRAMES:
            precision, height, width, components = _FRAME.unpack_from(data, at + 4)
            if precision != 8 or components != 3:
                return None
            size = width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _decode_jpeg(data: bytes, width: int, height: int) -> np.ndarray | None:
    """Decode a JPEG with OpenCV: the same pixels as Pillow's in half the time, as both use the same decoder.

    None if Pillow has to read the file. OpenCV accepts a truncated file, so a file without the end marker is left to Pillow.
    """
    import cv2

    if not data.endswith(b"\xff\xd9"):
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (height, width):
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels)


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert in strips. A large photo is then in memory twice, as decoded and as RGB, and not four times."""
    if image.format != "HEIF":  # a HEIF file is opened at its main image, which need not be the first
        image.seek(0)
    ImageOps.exif_transpose(image, in_place=True)
    width, height = image.size
    top = _highest(image)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BLOCK // width)
    for start in range(0, height, rows):
        strip = image.crop((0, start, width, min(start + rows, height)))
        if top is not None:
            strip = _to_eight_bits(strip, top)
        if "A" in strip.getbands() or "transparency" in strip.info:
            strip = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, (0, 0, 0, 255)), strip)
        pixels[start : start + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _highest(image: Image.Image) -> float | None:
    """The value of white in a 16-bit or float grey image; None for an 8-bit one.

    A float image does not state its range. White is the first of 1, 255 and 65535 that no value exceeds.
    """
    if image.mode == "F":
        highest: Any = image.getextrema()[1]
        return 1.0 if highest <= 1 else 255.0 if highest <= 255 else 65535.0
    return 65535.0 if image.mode.startswith("I") else None


def _to_eight_bits(image: Image.Image, top: float) -> Image.Image:
    """Scale a 16-bit or float grey image to 8 bits, as Pillow's ``convert`` would clip it. NaN becomes black."""
    values = np.asarray(image).astype(np.float32)
    if image.mode == "F":
        values = np.nan_to_num(values)
    return Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))


def encode_image(image: np.ndarray, kind: str = "jpg", quality: int = 95) -> bytes:
    """Encode an image as a file.

    Args:
        image: uint8 RGB ``[height, width, 3]``.
        kind: ``jpg`` or ``png``.
        quality: of a JPEG, 1 to 100.

    Raises:
        LrfaceError: the image has a shape that cannot be encoded.
    """
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    done, data = cv2.imencode(f".{kind}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise LrfaceError(f"cannot encode an image of shape {image.shape} as {kind}")
    return data.tobytes()

"""Small valid files of all formats that the image reader takes, for the mutations of ``tools/fuzz_images.py``."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from lrface.data.synthetic import face
from lrface.faces.formats import readable

#: First pixel and step of each of Adam7's seven passes: x, y, right, down.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def samples() -> dict[str, bytes]:
    """Files by name. The first word of a name is the format. They are the same at every call."""
    first, second = (Image.fromarray(face(identity, 0, seed=1)) for identity in (0, 1))
    small = first.resize((45, 61))
    parts = (_jpegs(first, small), _pngs(first, second, small), _others(first, second, small), _tiffs(small))
    return {name: data for part in (*parts, _phones(first, small)) for name, data in part.items()}


def largest() -> Iterator[tuple[str, bytes]]:
    """Some of the largest images that can be read, as small files: 10,000 x 10,000 pixels of one colour."""
    image = Image.new("RGB", (10_000, 10_000), (190, 150, 120))
    for name, options in (
        ("JPEG baseline", {}), ("JPEG progressive, rotated", {"progressive": True, "exif": _exif(6)}), ("PNG", {}), ("GIF", {}),
        ("WEBP", {"method": 0}), ("TIFF lzw, rotated", {"compression": "tiff_lzw", "exif": _exif(6)}),
    ):  # fmt: skip
        yield name, _encoded(image, name.split()[0], **options)
    yield "PNG alpha", _encoded(image.convert("RGBA"), "PNG")
    yield "PNG 16-bit grey", _encoded(Image.fromarray(np.full((10_000, 10_000), 40_000, np.uint16)), "PNG")


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a face that nobody has"
    return exif


def _sixteen(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _clear(image: Image.Image) -> Image.Image:
    """The image with an alpha channel that fades from left to right."""
    alpha = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    image = image.convert("RGBA")
    image.putalpha(Image.fromarray(alpha))
    return image


def _jpegs(first: Image.Image, small: Image.Image) -> dict[str, bytes]:
    return {
        "JPEG baseline": _encoded(first, "JPEG"),
        "JPEG 4:4:4, small": _encoded(small, "JPEG", subsampling=0, quality=95),
        "JPEG progressive": _encoded(first, "JPEG", progressive=True),
        "JPEG restart markers": _encoded(small, "JPEG", restart_marker_blocks=3),
        "JPEG CMYK": _encoded(first.convert("CMYK"), "JPEG"),
        "JPEG grey": _encoded(first.convert("L"), "JPEG"),
        "JPEG rotated": _encoded(small, "JPEG", exif=_exif(6)),
        "JPEG with a profile": _encoded(small, "JPEG", icc_profile=bytes(range(256)) * 3),
        "JPEG of two images": _encoded(small, "MPO", save_all=True, append_images=[small]),
    }


def _pngs(first: Image.Image, second: Image.Image, small: Image.Image) -> dict[str, bytes]:
    return {
        "PNG": _encoded(first, "PNG"),
        "PNG 16-bit grey": _encoded(_sixteen(small), "PNG"),
        "PNG 16-bit colour": png(np.asarray(small).astype(np.uint16) * 257, 2),
        "PNG palette": _encoded(small.quantize(16), "PNG", transparency=0),
        "PNG alpha": _encoded(_clear(small), "PNG"),
        "PNG grey with alpha": _encoded(_clear(small).convert("LA"), "PNG"),
        "PNG one bit": _encoded(small.convert("1"), "PNG"),
        "PNG interlaced": png(np.asarray(small), 2, interlaced=True),
        "PNG interlaced, 16-bit, alpha": png(np.asarray(_clear(small)).astype(np.uint16) * 257, 6, interlaced=True),
        "PNG rotated": _encoded(small, "PNG", exif=_exif(5)),
        "PNG animated": _encoded(first, "PNG", save_all=True, append_images=[second], duration=40),
    }


def _others(first: Image.Image, second: Image.Image, small: Image.Image) -> dict[str, bytes]:
    ascii_pixels = " ".join(map(str, np.asarray(small.resize((9, 7))).ravel()))
    frames: dict[str, Any] = {"save_all": True, "append_images": [second, first.rotate(9)], "duration": 40}
    return {
        "WEBP lossy": _encoded(first, "WEBP"),
        "WEBP lossless": _encoded(small, "WEBP", lossless=True),
        "WEBP alpha, rotated": _encoded(_clear(small), "WEBP", exif=_exif(8)),
        "WEBP animated": _encoded(first, "WEBP", **frames),
        "GIF": _encoded(small, "GIF"),
        "GIF not interlaced": _encoded(small, "GIF", interlace=False),
        "GIF animated": _encoded(first, "GIF", **frames),
        "BMP": _encoded(small, "BMP"),
        "BMP palette": _encoded(small.quantize(200), "BMP"),
        "PPM": _encoded(small, "PPM"),
        "PPM grey, 16-bit": b"P5 45 61 65535\n" + np.asarray(_sixteen(small)).astype(">u2").tobytes(),
        "PPM as text": f"P3 # a face\n9 7\n255\n{ascii_pixels}\n".encode(),
        "PPM one bit": _encoded(small.convert("1"), "PPM"),
    }


def _tiffs(small: Image.Image) -> dict[str, bytes]:
    names = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    return {
        "TIFF": _encoded(small, "TIFF"),
        **{f"TIFF {name.removeprefix('tiff_')}": _encoded(small, "TIFF", compression=name) for name in names},
        "TIFF fax": _encoded(small.convert("1"), "TIFF", compression="group4"),
        "TIFF 16-bit": _encoded(_sixteen(small), "TIFF"),
        "TIFF float": _encoded(small.convert("F"), "TIFF", compression="tiff_lzw"),
        "TIFF CMYK": _encoded(small.convert("CMYK"), "TIFF"),
        "TIFF alpha, rotated": _encoded(_clear(small), "TIFF", exif=_exif(7), compression="tiff_deflate"),
        "TIFF of three pages": _encoded(small, "TIFF", save_all=True, append_images=[small.rotate(9), small]),
        "TIFF big": _encoded(small, "TIFF", big_tiff=True),
    }


def _phones(first: Image.Image, small: Image.Image) -> dict[str, bytes]:
    """Formats of phones, if this installation has a codec for them."""
    result: dict[str, bytes] = {}
    if "AVIF" in readable():
        result |= {
            "AVIF": _encoded(first, "AVIF"),
            "AVIF alpha, rotated": _encoded(_clear(small), "AVIF", exif=_exif(6)),
        }
    if "HEIF" in readable():  # this call also registers the encoder
        result |= {
            "HEIF": _encoded(first, "HEIF"),
            "HEIF alpha, rotated": _encoded(_clear(small), "HEIF", exif=_exif(6)),
        }
    return result


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels: np.ndarray, colour: int, interlaced: bool = False) -> bytes:
    """Encode kinds of PNG that Pillow cannot write.

    Args:
        pixels: uint8 or uint16 ``[height, width, channels]``.
        colour: PNG's colour type: 2 RGB, 6 RGBA.
        interlaced: in Adam7's seven passes.
    """
    big = pixels.astype(pixels.dtype.newbyteorder(">"))
    parts = [big[y::down, x::right] for x, y, right, down in _PASSES] if interlaced else [big]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

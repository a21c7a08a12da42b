"""Reading any image file as upright 8-bit RGB, and writing crops."""

import io
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lrface.errors import LrfaceError

#: Larger images are refused before they are decoded: a face needs no more, and a small file can claim any size.
MAX_PIXELS = 100_000_000

#: No side may be longer: OpenCV 4 warps no image beyond 16-bit coordinates.
MAX_SIDE = 32_766

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})

#: The decoders that may run, whatever a file is called: Pillow has others, one of which starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

#: Segments of a JPEG: the image's frame (baseline and progressive), its scan, and what a file may hold beside them and
#: still be upright RGB: the JFIF header, tables, a comment.
_FRAMES, _SCAN = frozenset({0xC0, 0xC2}), 0xDA
_SIMPLE = _FRAMES | {0xE0, 0xDB, 0xC4, 0xDD, 0xFE}
_FRAME = struct.Struct(">BHHB")


class Loaded(NamedTuple):
    """An image that was read.

    Attributes:
        pixels: uint8 RGB ``[height, width, 3]``.
        plain: whether they are all that the file holds: an upright, opaque JPEG or PNG in RGB, which every other reader
            takes for the same pixels.
    """

    pixels: np.ndarray
    plain: bool


def read_image(source: str | Path | bytes, name: str | None = None) -> np.ndarray:
    """The pixels of :func:`load_image`, uint8 RGB ``[height, width, 3]``."""
    return load_image(source, name).pixels


def load_image(source: str | Path | bytes, name: str | None = None) -> Loaded:
    """Read an image as uint8 RGB.

    EXIF rotation is applied; of an animation the first frame is taken; CMYK, palette, grey and 16-bit images are
    converted; transparency is laid over black, as warping pads with black too.

    Args:
        source: a path, or the encoded bytes.
        name: what to call the image in an error; the path by default.

    Raises:
        LrfaceError: the image is missing, empty, truncated, not of ``FORMATS``, or larger than ``MAX_PIXELS`` or
            ``MAX_SIDE``.
    """
    data: bytes | None = source if isinstance(source, bytes) else None
    name = name or ("image" if data is not None else str(source))
    try:
        if data is None:
            data = Path(str(source)).read_bytes()
        if not data:
            raise LrfaceError(f"{name} is empty (0 bytes)")
        size = _size_of_simple_jpeg(data)
        if size is not None:
            _check_size(*size, name)
            pixels = _decode_jpeg(data, *size)
            if pixels is not None:
                return Loaded(pixels, True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb warning: MAX_PIXELS decides here
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(*image.size, name)
                plain = _is_plain(image)
                pixels = _decode_jpeg(data, *image.size) if plain and image.format == "JPEG" else None
                return Loaded(_to_rgb(image) if pixels is None else pixels, plain)
    except LrfaceError:
        raise
    except FileNotFoundError as error:
        raise LrfaceError(f"no such image: {name}") from error
    except UnidentifiedImageError as error:
        raise LrfaceError(f"{name} is not an image that can be read ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise LrfaceError(f"{name} is too large: {error}") from error
    except MemoryError as error:
        raise LrfaceError(f"{name} does not fit into memory") from error
    except OSError as error:
        raise LrfaceError(f"cannot read {name}: {error.strerror or error}") from error
    except Exception as error:
        # on damaged files Pillow's decoders raise nearly anything: SyntaxError, KeyError, struct.error, zlib.error, ...
        raise LrfaceError(f"{name} is damaged: {error}") from error


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise LrfaceError(
            f"{name} is too large: {width} x {height} pixels; at most {MAX_PIXELS:,} are read, {MAX_SIDE:,} a side"
        )


def _is_plain(image: Image.Image) -> bool:
    return (
        image.format in ("JPEG", "PNG")
        and image.mode == "RGB"
        and getattr(image, "n_frames", 1) == 1
        and image.getexif().get(0x0112, 1) == 1
        and "transparency" not in image.info
    )


def _size_of_simple_jpeg(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG of three 8-bit components and nothing else: no Exif, no profile, no second image.

    None for anything that Pillow has to look at, which takes a third of the time of decoding a small face.
    """
    at, size = 2, None
    if not data.startswith(b"\xff\xd8\xff"):
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
    """The pixels that Pillow gives, in half the time: it and OpenCV use the same decoder. None if Pillow has to look.

    OpenCV takes a file that was cut short for a whole one, but such a file lacks the end marker.
    """
    import cv2

    if not data.endswith(b"\xff\xd9"):
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (height, width):
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels)


def _to_rgb(image: Image.Image) -> np.ndarray:
    image.seek(0)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("RGB"))


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale a 16-bit or float grey image to 8 bits; Pillow's own ``convert`` clips instead.

    A float image does not say its range: it is taken to end at 1, 255 or 65535, the first that holds all values.
    """
    values = np.asarray(image).astype(np.float32)
    highest = values.max(initial=0) if image.mode == "F" else np.inf
    top = 1.0 if highest <= 1 else 255.0 if highest <= 255 else 65535.0
    return Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))


def encode_image(image: np.ndarray, kind: str = "jpg", quality: int = 95) -> bytes:
    """Encode uint8 RGB ``[height, width, 3]`` as JPEG (``"jpg"``, given quality) or PNG (``"png"``)."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    done, data = cv2.imencode(f".{kind}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise LrfaceError(f"cannot encode an image of shape {image.shape} as {kind}")
    return data.tobytes()

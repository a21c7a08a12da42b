"""Boxes and names on an image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.files import atomic_write

#: Colours of a known face and of an unknown one, and of the writing on them.
KNOWN, UNKNOWN, INK = (30, 140, 70), (205, 95, 20), (255, 255, 255)

#: The longer side of a drawing, in pixels: smaller images are enlarged by a whole factor, so that writing fits.
LEAST_SIDE = 1000

#: Height of the writing as a part of the longer side.
_WRITING = 1 / 65


def check_drawing(out: str | Path) -> None:
    """Raise LrfaceError if ``out`` is not the name of a PNG file."""
    if Path(out).suffix.lower() != ".png":
        raise LrfaceError(f"--draw {out}: drawings are written as PNG, call it so")


def draw_faces(image: np.ndarray, faces: Sequence[tuple[np.ndarray, str, bool]], out: str | Path) -> None:
    """Draw boxes on an image, each with a label beside it, and write it, atomically.

    Args:
        image: uint8 RGB ``[h, w, 3]``.
        faces: of each the box (left, top, right, bottom in the image's pixels), what to write, and whether it is known:
            the box of an unknown face is of another colour, and thinner.
        out: the file, ``*.png``.

    Raises:
        LrfaceError: ``out`` is no ``.png``, or cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    check_drawing(out)
    height, width = image.shape[:2]
    factor = max(1, -(-LEAST_SIDE // max(height, width)))
    picture = Image.fromarray(image).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(picture)
    size = max(12, round(max(picture.size) * _WRITING))
    font = ImageFont.load_default(size)
    line = max(2, size // 7)
    taken: list[tuple[float, float, float, float]] = []
    for box, _, known in faces:
        canvas.rectangle(
            _inside(box * factor, picture.size), outline=KNOWN if known else UNKNOWN, width=line if known else line // 2
        )
    for box, text, known in faces:
        left, top, right, bottom = _inside(box * factor, picture.size)
        extent = canvas.textbbox((0, 0), text, font=font)
        size_of = (extent[2] + size // 2, extent[3] + size // 4)
        place = _free_place((left, top, right, bottom), size_of, picture.size, taken)
        taken.append((*place, place[0] + size_of[0], place[1] + size_of[1]))
        canvas.rectangle(taken[-1], fill=KNOWN if known else UNKNOWN)
        canvas.text((place[0] + size // 4, place[1] + size // 16), text, fill=INK, font=font)
    with atomic_write(out) as file:
        file.write(encode_image(np.asarray(picture), "png"))


def _inside(box: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of a box that lies in the picture."""
    left, right = np.clip(box[[0, 2]], 0, size[0] - 1)
    top, bottom = np.clip(box[[1, 3]], 0, size[1] - 1)
    return float(left), float(top), float(right), float(bottom)


def _free_place(
    box: tuple[float, float, float, float],
    label: tuple[float, float],
    size: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float]:
    """Where a label covers no other: above the box, below it, or further up or down."""
    left = min(max(box[0], 0), max(size[0] - label[0], 0))
    places = [box[1] - label[1], box[3], *(box[1] - (step + 2) * label[1] for step in range(4))]
    places += [box[3] + (step + 1) * label[1] for step in range(4)]
    inside = [top for top in places if 0 <= top <= size[1] - label[1]] or [0.0]
    for top in inside:
        spot = (left, top, left + label[0], top + label[1])
        if not any(spot[0] < o[2] and o[0] < spot[2] and spot[1] < o[3] and o[1] < spot[3] for o in taken):
            return left, top
    return left, inside[0]

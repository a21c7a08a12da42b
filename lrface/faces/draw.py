"""Drawing boxes and names on an image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.files import atomic_write

#: Colours of a known face, of an unknown face, and of the text on them.
KNOWN, UNKNOWN, INK = (30, 140, 70), (205, 95, 20), (255, 255, 255)

#: Minimum longer side of a drawing in pixels. Smaller images are enlarged by a whole factor, so that the text fits.
LEAST_SIDE = 1000

#: Height of the text: a fraction of the median face width; at most a fraction of the longer side; at least so many pixels.
WRITING, MOST_WRITING, LEAST_WRITING = 0.5, 1 / 65, 13


def check_drawing(out: str | Path) -> None:
    """Raise LrfaceError if ``out`` is not the name of a PNG file."""
    if Path(out).suffix.lower() != ".png":
        raise LrfaceError(f"--draw {out}: drawings are written as PNG, call it so")


def draw_faces(image: np.ndarray, faces: Sequence[tuple[np.ndarray, str, bool]], out: str | Path) -> None:
    """Draw a box and a label for each face and write the drawing, atomically.

    Args:
        image: uint8 RGB ``[h, w, 3]``.
        faces: for each face its box (left, top, right, bottom in pixels of the image), its label, and whether it is known.
            The box of an unknown face has another colour and is thinner.
        out: the file, ``*.png``.

    Raises:
        LrfaceError: ``out`` is not a ``.png``, or cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    check_drawing(out)
    height, width = image.shape[:2]
    factor = max(1, -(-LEAST_SIDE // max(height, width)))
    picture = Image.fromarray(image).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(picture)
    boxes = [_inside(box * factor, picture.size) for box, _, _ in faces]
    usual = float(np.median([right - left for left, _, right, _ in boxes])) if boxes else 0.0
    size = round(max(LEAST_WRITING, min(usual * WRITING, max(picture.size) * MOST_WRITING)))
    font = ImageFont.load_default(size)
    line = max(3, size // 5)
    for box, (_, _, known) in zip(boxes, faces, strict=True):
        canvas.rectangle(box, outline=KNOWN if known else UNKNOWN, width=line if known else 2)
    taken = list(boxes)  # no label covers a face
    for box, (_, text, known) in zip(boxes, faces, strict=True):
        extent = canvas.textbbox((0, 0), text, font=font)
        label = (extent[2] + size // 2, extent[3] + size // 4)
        left, top = _free_place(box, label, picture.size, taken)
        taken.append((left, top, left + label[0], top + label[1]))
        colour = KNOWN if known else UNKNOWN
        edge = box[1] if top < box[1] else box[3]
        canvas.line((min(max(box[0], left), left + label[0]), top + label[1] / 2, box[0], edge), fill=colour, width=2)
        canvas.rectangle(taken[-1], fill=colour)
        canvas.text((left + size // 4, top + size // 16), text, fill=INK, font=font)
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
    """Find a position near the box, first above and then below it, where the label covers no face and no other label."""
    places = [
        (left, top)
        for step in range(12)
        for top in (box[1] - (step + 1) * label[1], box[3] + step * label[1])
        for left in (box[0], box[2] - label[0])
    ]
    limit = (max(size[0] - label[0] - 1, 0.0), max(size[1] - label[1] - 1, 0.0))
    inside = [(min(max(left, 0.0), limit[0]), top) for left, top in places if 0 <= top <= limit[1]] or [(0.0, 0.0)]
    for left, top in inside:
        right, bottom = left + label[0], top + label[1]
        if not any(left < other[2] and other[0] < right and top < other[3] and other[1] < bottom for other in taken):
            return left, top
    return inside[0]

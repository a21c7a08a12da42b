"""Parts of an image that are searched for faces at their own scale: tiles of the whole, and windows around expected faces."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: Side of a window in the network's input, and side of the expected face in it, in pixels.
WINDOW, WINDOW_FACE = 128, 48.0


class Found(NamedTuple):
    """Faces found by a network.

    Attributes:
        boxes: float32 ``[n, 5]``: x1, y1, x2, y2 in pixels, score.
        landmarks: float32 ``[n, 5, 2]``.
    """

    boxes: np.ndarray
    landmarks: np.ndarray


class View(NamedTuple):
    """Faces found in one part of an image, in the image's pixels.

    Attributes:
        boxes: float32 ``[n, 5]``: x1, y1, x2, y2, score.
        landmarks: float32 ``[n, 5, 2]``.
        seen: float32 ``[n]``, the size in pixels that each face had in the network's input.
    """

    boxes: np.ndarray
    landmarks: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class Part:
    """A rectangle of an image, and the size at which it is searched.

    Attributes:
        edges: left, top, right, bottom in the image's pixels.
        size: width and height in the network's input.
    """

    edges: tuple[int, int, int, int]
    size: tuple[int, int]

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Cut it out of uint8 RGB ``[height, width, 3]``, and resize it."""
        import cv2

        left, top, right, bottom = self.edges
        part = image[top:bottom, left:right]
        if self.size == (right - left, bottom - top):
            return part
        kernel = cv2.INTER_CUBIC if self.size[0] > right - left else cv2.INTER_AREA
        resized: np.ndarray = cv2.resize(part, self.size, interpolation=kernel)
        return resized

    def back(self, found: Found, height: int, width: int) -> View:
        """Convert faces to the image's pixels. Those that end at an inner edge are left out: another part shows more of them.

        Args:
            found: the faces in the resized part.
            height, width: of the image.
        """
        left, top, right, bottom = self.edges
        factor = np.array([(right - left) / self.size[0], (bottom - top) / self.size[1]], np.float32)
        boxes = np.hstack([found.boxes[:, :4] * np.tile(factor, 2) + [left, top] * 2, found.boxes[:, 4:]])
        points = (found.landmarks + 0.5) * factor - 0.5 + [left, top]
        kept = ~_cut(boxes, self.edges, (0, 0, width, height), 2 * float(factor.max()))
        boxes, points = boxes[kept].astype(np.float32), points[kept].astype(np.float32)
        return View(boxes, points, box_side(boxes) / np.float32(factor.mean()))


def windows(boxes: np.ndarray, height: int, width: int) -> list[Part]:
    """The square windows in which faces are looked for that are expected at some places; see ``WINDOW``.

    Args:
        boxes: float ``[n, 4]``: left, top, right, bottom in pixels.
        height, width: of the image. Windows end at its edges, and those outside of it are left out.
    """
    parts = []
    for box in boxes:
        scale = WINDOW_FACE / max(float(box_side(box[None])[0]), 1.0)
        across = round(WINDOW / scale)
        left, top = (round(float(middle - across) / 2) for middle in box[:2] + box[2:4])
        edges = (max(left, 0), max(top, 0), min(left + across, width), min(top + across, height))
        if edges[0] < edges[2] and edges[1] < edges[3]:
            size = (round((edges[2] - edges[0]) * WINDOW / across), round((edges[3] - edges[1]) * WINDOW / across))
            parts.append(Part(edges, (max(size[0], 1), max(size[1], 1))))
    return parts


def box_side(boxes: np.ndarray) -> np.ndarray:
    """Side of the square with the same area as each box ``[n, 4 or more]``, in pixels: float ``[n]``."""
    sides: np.ndarray = np.sqrt(np.maximum(boxes[:, 2:4] - boxes[:, :2], 0).prod(1))
    return sides


def has_middle_in(box: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether the middle of a box, float ``[4]``, lies in one of the boxes, float ``[n, 4]``."""
    middle = (box[:2] + box[2:]) / 2
    return bool(((boxes[:, :2] <= middle) & (middle <= boxes[:, 2:])).all(1).any())


def _cut(boxes: np.ndarray, tile: tuple[int, ...], image: tuple[int, ...], margin: float) -> np.ndarray:
    """Which boxes end at an inner edge of the tile, bool ``[n]``. A neighbouring tile shows more of these faces."""
    cut = np.zeros(len(boxes), bool)
    for axis in (0, 1):
        if tile[axis] > image[axis]:
            cut |= boxes[:, axis] < tile[axis] + margin
        if tile[axis + 2] < image[axis + 2]:
            cut |= boxes[:, axis + 2] > tile[axis + 2] - margin
    return cut

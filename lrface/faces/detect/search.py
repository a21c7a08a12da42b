"""Looking for faces of all sizes: the image enlarged or reduced as its size calls for, tile by tile, each face once.

A detection network finds faces between about 20 and 300 pixels of what it is shown. An image is therefore searched at
several scales, each a quarter of the one before. What two scales or two tiles find in one place is one face.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Face, best_first

#: Width of the smallest face that is looked for unless another is asked for, in pixels.
MIN_FACE = 10.0

#: Small images are enlarged beyond what ``min_face`` calls for, by this factor at most, up to this many pixels.
MOST_ENLARGED, COMFORT = 5.0, 370_000

#: They are searched at a second scale that is smaller by this factor, too: the mean of two views has better landmarks.
SECOND = 0.6

#: Images of fewer pixels are likely to show one face: where none is above the threshold, the best one above a weaker is it.
SMALL_IMAGE, WEAKER = 160 * 160, 0.6

#: Landmarks are averaged over views in which the face has its best size, up to this factor.
NEAR_BEST = 2.2

#: No scale has more pixels, unless a ``min_face`` was asked for: in larger images the smallest face grows.
BUDGET = 8_000_000

#: No scale has more pixels, whatever was asked for.
LIMIT = 200_000_000

#: Ratio of neighbouring scales.
STEP = 4.0

#: The image at the last scale is no longer than this: a face that fills it is found.
LAST_SIDE = 320

#: Side of the largest part that a network is shown at once, and how far neighbours overlap: faces up to this size are seen
#: whole by one of them.
TILE, OVERLAP = 1024, 160

#: An image with a shorter side, in pixels, holds no face that could be found.
MIN_SIDE = 8

#: No image has more faces, all scales and tiles counted: a texture can have thousands of places that resemble one.
MOST_FOUND = 3000

#: Of two boxes that share more than this part of their union one is left.
SAME = 0.4

#: So is one that lies in the other with this part of its area, unless it is smaller by more than ``STEP``.
INSIDE = 0.8


class Found(NamedTuple):
    """What a network finds.

    Attributes:
        boxes: float32 ``[n, 5]``: x1, y1, x2, y2 in pixels, score.
        landmarks: float32 ``[n, 5, 2]``.
    """

    boxes: np.ndarray
    landmarks: np.ndarray


class Network(Protocol):
    """A detection network."""

    def find(self, image: np.ndarray, threshold: float) -> Found:
        """Faces above the threshold in uint8 RGB ``[h, w, 3]`` as it is, each once."""


@dataclass(frozen=True)
class Tuning:
    """What was measured of a network.

    Attributes:
        threshold: of the score; see ``WEAKER``.
        wanted: pixels that the smallest face is enlarged to.
        best: pixels of a face at which its landmarks are most accurate.
        sure: a best score below it is worth a look at the other turns of the image; see :mod:`lrface.faces.turn`.
    """

    threshold: float
    wanted: float
    best: float
    sure: float = -math.inf


class Search:
    """A :class:`lrface.faces.detect.Detector` around a network.

    Args:
        name: of the detector.
        network: what looks at one part of an image at one scale.
        tuning: what was measured of it.
        min_face: width of the smallest face to look for, in pixels; ``MIN_FACE``, within a budget, if None.

    Raises:
        LrfaceError: a ``min_face`` that makes no sense.
    """

    def __init__(self, name: str, network: Network, tuning: Tuning, min_face: float | None = None) -> None:
        if min_face is not None and not 4 <= min_face <= 10_000:
            raise LrfaceError(f"a smallest face of {min_face:g} pixels makes no sense: choose 4 to 10000")
        self.name = name
        self.sure = tuning.sure
        self._network, self._tuning, self._min_face = network, tuning, min_face

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces in uint8 RGB ``[height, width, 3]``, best score first."""
        height, width = image.shape[:2]
        if min(height, width) < MIN_SIDE:
            return []
        threshold = self._tuning.threshold
        small = height * width < SMALL_IMAGE
        views, seen = [], []
        for scale in scales(height, width, self._tuning.wanted, self._min_face):
            for found in self._at(image, scale, threshold * (WEAKER if small else 1)):
                views.append(found)
                seen.append(_size(found.boxes) * scale)
        boxes, landmarks = map(np.concatenate, zip(*views, strict=True))
        kept = np.argsort(-boxes[:, 4], kind="stable")[:MOST_FOUND]
        merged = merge(Found(boxes[kept], landmarks[kept]), np.concatenate(seen)[kept], self._tuning.best)
        faces = best_first(Face(box[:4], points, float(box[4])) for box, points in zip(*merged, strict=True))
        return [face for face in faces if face.score > threshold] or faces[:1]

    def _at(self, image: np.ndarray, scale: float, threshold: float) -> Iterator[Found]:
        """What the network finds at one scale, in the image's pixels, tile by tile."""
        import cv2

        height, width = image.shape[:2]
        kernel = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        for top, bottom in tiles(height, scale):
            for left, right in tiles(width, scale):
                part = image[top:bottom, left:right]
                size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
                if size != (right - left, bottom - top):
                    part = cv2.resize(part, size, interpolation=kernel)
                found = self._network.find(part, threshold)
                factor = np.array([(right - left) / size[0], (bottom - top) / size[1]], np.float32)
                boxes = np.hstack([found.boxes[:, :4] * np.tile(factor, 2) + [left, top] * 2, found.boxes[:, 4:]])
                points = (found.landmarks + 0.5) * factor - 0.5 + [left, top]
                whole = ~_cut(boxes, (left, top, right, bottom), (0, 0, width, height), 2 / scale)
                yield Found(boxes[whole].astype(np.float32), points[whole].astype(np.float32))


def scales(height: int, width: int, wanted: float, min_face: float | None = None) -> list[float]:
    """The factors by which an image is resized to be searched, the largest first; see :class:`Search`."""
    area = height * width
    finest = wanted / (min_face or MIN_FACE)
    if min_face is None:
        finest = max(finest, min(MOST_ENLARGED, (COMFORT / area) ** 0.5))
    finest = min(finest, ((BUDGET if min_face is None else LIMIT) / area) ** 0.5)
    factors = [finest]
    if finest**2 * (1 + SECOND**2) * area < COMFORT:
        factors.append(finest * SECOND)
    while finest * max(height, width) > LAST_SIDE:
        finest /= STEP
        factors.append(finest)
    return factors


def tiles(length: int, scale: float) -> list[tuple[int, int]]:
    """Parts of ``length`` pixels that have at most ``TILE`` pixels after resizing, each overlapping the one before."""
    side = max(int(TILE / scale), 1)
    if length <= side:
        return [(0, length)]
    step = max(int((TILE - OVERLAP) / scale), 1)
    count = -(-(length - side) // step) + 1
    starts = [round(number * (length - side) / (count - 1)) for number in range(count)]
    return [(start, start + side) for start in starts]


def _cut(boxes: np.ndarray, tile: tuple[int, ...], image: tuple[int, ...], margin: float) -> np.ndarray:
    """Which boxes end at an edge of the tile that is not one of the image: a neighbour sees more of them. Bool ``[n]``."""
    cut = np.zeros(len(boxes), bool)
    for axis in (0, 1):
        if tile[axis] > image[axis]:
            cut |= boxes[:, axis] < tile[axis] + margin
        if tile[axis + 2] < image[axis + 2]:
            cut |= boxes[:, axis + 2] > tile[axis + 2] - margin
    return cut


def merge(found: Found, seen: np.ndarray, best: float) -> Found:
    """Leave one of all that are the same face, with the highest score, the best view's box, and the good views' landmarks.

    Args:
        found: by all scales and tiles.
        seen: the size in pixels at which each was seen, float ``[n]``.
        best: the size at which a face is seen best.
    """
    boxes, landmarks = found
    area = np.maximum(_size(boxes) ** 2, 1e-6)
    distance = np.abs(np.log2(np.maximum(seen, 1e-6) / best))
    merged, points = [], []
    left = np.argsort(-boxes[:, 4], kind="stable")
    while len(left):
        first = left[0]
        shared = np.minimum(boxes[first, 2:4], boxes[left, 2:4]) - np.maximum(boxes[first, :2], boxes[left, :2])
        common = np.maximum(shared, 0).prod(1)
        smaller, larger = np.minimum(area[first], area[left]), np.maximum(area[first], area[left])
        same = common > SAME * (smaller + larger - common)
        same |= (common > INSIDE * smaller) & (larger < STEP * smaller)
        same[0] = True
        views = left[same]
        clear = views[distance[views] <= max(np.log2(NEAR_BEST), distance[views].min())]
        merged.append([*boxes[views[np.argmin(distance[views])], :4], boxes[first, 4]])
        points.append(np.average(landmarks[clear], axis=0, weights=boxes[clear, 4]))
        left = left[~same]
    return Found(np.array(merged, np.float32).reshape(-1, 5), np.array(points, np.float32).reshape(-1, 5, 2))


def _size(boxes: np.ndarray) -> np.ndarray:
    """Side of the square that is as large: float ``[n]``."""
    size: np.ndarray = np.sqrt(np.maximum(boxes[:, 2:4] - boxes[:, :2], 0).prod(1))
    return size


def padded(image: np.ndarray, multiple: int = 32) -> np.ndarray:
    """Uint8 ``[h, w, 3]``, black added at the right and below until both sides are multiples."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, -height % multiple), (0, -width % multiple), (0, 0)))

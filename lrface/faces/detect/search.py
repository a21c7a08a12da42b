"""Search for faces of all sizes, at several scales and tile by tile, and report each face once.

A detection network finds faces that have about 20 to 300 pixels in its input. An image is therefore searched at several
scales, each of them a quarter of the one before. Faces that two scales or two tiles find at the same position are merged.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Face, best_first
from lrface.faces.detect.parts import WINDOW, Found, Part, View, box_side, has_middle_in, windows

#: Width of the smallest face to look for by default, in pixels.
MIN_FACE = 10.0

#: Small images are enlarged more than ``min_face`` requires: at most by this factor, and up to this many pixels.
MOST_ENLARGED, COMFORT = 5.0, 250_000

#: An image with fewer pixels than this probably shows one face. If no face reaches the threshold there, the best face
#: above ``WEAKER`` times the threshold is taken.
SMALL_IMAGE, WEAKER = 160 * 160, 0.6

#: Such an image is also searched at a second scale, smaller by this factor: the mean of two views has better landmarks.
SECOND = 0.6

#: Landmarks are averaged over the views in which the size of the face differs from the best size by at most this factor.
NEAR_BEST = 2.2

#: A search for one face may end while faces below this fraction of its side are not found yet.
HALF = 0.5

#: Maximum number of pixels at one scale, if no ``min_face`` is given. In larger images the smallest face is larger.
BUDGET = 8_000_000

#: Maximum number of pixels at one scale in any case.
LIMIT = 200_000_000

#: Ratio between neighbouring scales.
STEP = 4.0

#: At the last scale the longer side of the image is at most this long, so that a face that fills the image is found.
LAST_SIDE = 320

#: Side of the largest tile that a network gets at once, and the overlap of neighbouring tiles, in pixels. A face up to the
#: size of the overlap lies wholly in at least one tile. A larger face has at least a quarter of this size at the next scale.
TILE, OVERLAP = 1024, 96

#: Networks take sides that are multiples of this. Where it does a network no harm (:attr:`Tuning.blocks`), longer sides are
#: resized to the nearest multiple, as padding costs time: from ``RESIZED`` pixels on, a side changes by at most a sixteenth.
MULTIPLE, RESIZED = 32, 256

#: No face can be found in an image with a shorter side than this, in pixels.
MIN_SIDE = 8

#: Maximum number of faces in one image, over all scales and tiles. A texture can contain thousands of places that resemble a
#: face.
MOST_FOUND = 3000

#: Two boxes are one face if their intersection exceeds this fraction of their union.
SAME = 0.4

#: Two boxes are also one face if this fraction of one lies in the other and their areas differ by less than ``STEP``.
INSIDE = 0.8


#: Of the faces found so far, the one that matters, or None if that cannot be said yet.
Pick = Callable[[list[Face]], Face | None]


class Network(Protocol):
    """A face detection network."""

    def find(self, images: np.ndarray, threshold: float) -> list[Found]:
        """Find the faces above the threshold in uint8 RGB ``[n, h, w, 3]`` at the given size, each once."""


@dataclass(frozen=True)
class Tuning:
    """Measured properties of a network.

    Attributes:
        threshold: lowest score of a face; see ``WEAKER``.
        wanted: size in pixels to which the smallest face is enlarged.
        best: size of a face in pixels at which its landmarks are most accurate.
        sure: if the best score is below this, the image is also searched in its other orientations; see
            :mod:`lrface.faces.turn`.
        blocks: whether longer sides may be resized to whole blocks, which distorts faces a little; see ``MULTIPLE``.
    """

    threshold: float
    wanted: float
    best: float
    sure: float = -math.inf
    blocks: bool = False


class Search:
    """A :class:`lrface.faces.detect.Detector` that runs a network over all scales and tiles of an image.

    Args:
        name: name of the detector.
        network: finds faces in one part of an image at one scale.
        tuning: measured properties of the network.
        min_face: width of the smallest face to look for, in pixels. If None, it is ``MIN_FACE``, as far as ``BUDGET``
            allows.

    Raises:
        LrfaceError: ``min_face`` is not between 4 and 10000.
    """

    picks = True  # `detect` takes a second argument

    def __init__(self, name: str, network: Network, tuning: Tuning, min_face: float | None = None) -> None:
        if min_face is not None and not 4 <= min_face <= 10_000:
            raise LrfaceError(f"a smallest face of {min_face:g} pixels makes no sense: choose 4 to 10000")
        self.name = name
        self.sure = tuning.sure
        self._network, self._tuning, self._min_face = network, tuning, min_face

    def detect(self, image: np.ndarray, pick: Pick | None = None) -> list[Face]:
        """Find all faces in uint8 RGB ``[height, width, 3]``, best score first.

        Args:
            image: the image.
            pick: chooses the one face that matters, of those found so far. The scales are searched from the coarsest on. If
                this face is so large that finer scales would neither change its landmarks nor show another face of half its
                size, the search ends. In portraits this saves nine tenths of the time.
        """
        height, width = image.shape[:2]
        if min(height, width) < MIN_SIDE:
            return []
        factors = scales(height, width, self._tuning.wanted, self._min_face)[::-1]
        views: list[View] = []
        faces: list[Face] = []
        for scale, finer in zip(factors, [*factors[1:], None], strict=True):
            views += self._at([image], scale)[0]
            if finer is None or pick is not None:
                faces = self._merged(views)
            if finer and pick and faces and (main := pick(faces)) and self._is_clear(main, scale, finer):
                break
        return faces

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Find all faces in each of several images of one size, such as the frames of a video. The network gets them in batches.

        Args:
            images: uint8 RGB ``[height, width, 3]``.

        Returns:
            What :meth:`detect` gives for each image.
        """
        height, width = images[0].shape[:2]
        if min(height, width) < MIN_SIDE:
            return [[] for _ in images]
        views: list[list[View]] = [[] for _ in images]
        for scale in scales(height, width, self._tuning.wanted, self._min_face)[::-1]:
            for row, more in zip(views, self._at(images, scale), strict=True):
                row += more
        return [self._merged(row) for row in views]

    def detect_near(self, image: np.ndarray, boxes: np.ndarray) -> list[Face]:
        """Find the faces near some places, which takes a fraction of the time of a search of the whole image.

        Args:
            image: uint8 RGB ``[height, width, 3]``.
            boxes: float ``[n, 4]``: left, top, right, bottom of the expected faces in the image's pixels.

        Returns:
            The faces whose middle lies in one of the boxes, best score first. A window shows more than the expected face, and
            enlarges small patterns in the background to what looks like a face. Where there are so many places that a search of
            the whole image takes no more time, all its faces.
        """
        height, width = image.shape[:2]
        few = windows(boxes, height, width)
        if not few:
            return []
        whole = sum(scale**2 for scale in scales(height, width, self._tuning.wanted, self._min_face)) * height * width
        if len(few) * WINDOW**2 > whole:
            return self.detect(image)
        faces = self._merged(self._find([image] * len(few), few, 1))
        return [face for face in faces if has_middle_in(face.box, boxes)]

    def _at(self, images: Sequence[np.ndarray], scale: float) -> list[list[View]]:
        """What each of several images of one size shows at one scale, part by part."""
        height, width = images[0].shape[:2]
        weaker = WEAKER if height * width < SMALL_IMAGE else 1
        found = [
            self._find(images, [part] * len(images), weaker)
            for part in parts(height, width, scale, self._tuning.blocks)
        ]
        return [list(row) for row in zip(*found, strict=True)]

    def _find(self, images: Sequence[np.ndarray], places: Sequence[Part], weaker: float) -> list[View]:
        """Search one part of each image, all in one batch."""
        pixels = [part.cut(image) for image, part in zip(images, places, strict=True)]
        batch = np.zeros((len(pixels), *np.max([each.shape for each in pixels], axis=0)), np.uint8)
        for row, each in zip(batch, pixels, strict=True):
            row[: each.shape[0], : each.shape[1]] = each
        found = self._network.find(batch, self._tuning.threshold * weaker)
        return [
            part.back(faces, image.shape[0], image.shape[1])
            for faces, image, part in zip(found, images, places, strict=True)
        ]

    def _merged(self, views: list[View]) -> list[Face]:
        """The faces of all views, each once, best score first."""
        boxes, landmarks, seen = map(np.concatenate, zip(*views, strict=True))
        kept = np.argsort(-boxes[:, 4], kind="stable")[:MOST_FOUND]
        merged = merge(Found(boxes[kept], landmarks[kept]), seen[kept], self._tuning.best)
        faces = best_first(Face(box[:4], points, float(box[4])) for box, points in zip(*merged, strict=True))
        return [face for face in faces if face.score > self._tuning.threshold] or faces[:1]

    def _is_clear(self, face: Face, scale: float, finer: float) -> bool:
        """Whether a face is so large, and not a weak one, that the next finer scale adds nothing; see :meth:`detect`."""
        side, tuning = float(box_side(face.box[None])[0]), self._tuning
        large = side * scale >= tuning.wanted / HALF and side * finer > NEAR_BEST * tuning.best
        return large and face.score > tuning.threshold


def scales(height: int, width: int, wanted: float, min_face: float | None = None) -> list[float]:
    """The factors by which an image is resized for the search, the largest first; see :class:`Search`."""
    area = height * width
    finest = wanted / (min_face or MIN_FACE)
    if min_face is None:
        finest = max(finest, min(MOST_ENLARGED, (COMFORT / area) ** 0.5))
    finest = min(finest, ((BUDGET if min_face is None else LIMIT) / area) ** 0.5)
    factors = [finest]
    if area < SMALL_IMAGE:
        factors.append(finest * SECOND)
    while finest * max(height, width) > LAST_SIDE:
        finest /= STEP
        factors.append(finest)
    return factors


def tiles(length: int, scale: float) -> list[tuple[int, int]]:
    """Split ``length`` pixels into as few equal parts as ``TILE`` and ``OVERLAP`` allow after resizing: start and end of each."""
    side, overlap = TILE / scale, OVERLAP / scale
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - overlap) / (side - overlap))
    side = math.ceil((length + (count - 1) * overlap) / count)
    starts = [round(number * (length - side) / (count - 1)) for number in range(count)]
    return [(start, start + side) for start in starts]


def parts(height: int, width: int, scale: float, blocks: bool) -> list[Part]:
    """The tiles of an image at one scale, with sides in whole blocks if ``blocks``; see :class:`Tuning`."""

    def side(length: float) -> int:
        return fitting(length) if blocks else max(1, round(length))

    return [
        Part((left, top, right, bottom), (side((right - left) * scale), side((bottom - top) * scale)))
        for top, bottom in tiles(height, scale)
        for left, right in tiles(width, scale)
    ]


def fitting(side: float) -> int:
    """The side in pixels to which one of ``side`` pixels is resized for a network: see ``MULTIPLE``."""
    return MULTIPLE * min(round(side / MULTIPLE), TILE // MULTIPLE) if side >= RESIZED else max(1, round(side))


def merge(found: Found, seen: np.ndarray, best: float) -> Found:
    """Merge all boxes of one face into one: the highest score, the box of the best view, the mean landmarks of good views.

    Args:
        found: the faces from all scales and tiles.
        seen: float ``[n]``, the size in pixels that each face had in the network's input.
        best: the size in pixels at which the network is most accurate.
    """
    boxes, landmarks = found
    area = np.maximum(box_side(boxes) ** 2, 1e-6)
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


def padded(images: np.ndarray) -> np.ndarray:
    """Pad uint8 ``[n, h, w, 3]`` with black at the right and at the bottom until both sides are multiples of ``MULTIPLE``."""
    height, width = images.shape[1:3]
    return np.pad(images, ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)))

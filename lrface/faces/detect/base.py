"""The detector protocol, and the choice of one face among several."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from lrface.errors import LrfaceError

FACE_RULES = ("largest-central", "largest", "central", "score")


@dataclass(frozen=True)
class Face:
    """One detected face.

    Attributes:
        box: float32 ``[4]``: x1, y1, x2, y2 in pixels.
        landmarks: float32 ``[5, 2]``, in the order of :data:`lrface.faces.align.TEMPLATE`.
        score: the detector's confidence; comparable within one detector only.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class Detector(Protocol):
    """Finds faces in an image."""

    name: str

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find all faces in uint8 RGB ``[height, width, 3]``, best score first; an empty list if there is none.

        Faces that cannot be upright are left out: see :func:`best_first`.
        """


@runtime_checkable
class FrameDetector(Detector, Protocol):
    """A detector that can make use of what is known about the frames of a video."""

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Find all faces in each of several images of one size: see :meth:`lrface.faces.detect.search.Search.detect_all`."""

    def detect_near(self, image: np.ndarray, boxes: np.ndarray) -> list[Face]:
        """Find the faces near some places only: see :meth:`lrface.faces.detect.search.Search.detect_near`."""


def shrink(image: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce an image whose longer side exceeds ``longest`` pixels to this side, which bounds the cost of a search.

    Args:
        image: uint8 ``[height, width, 3]``.
        longest: in pixels.

    Returns:
        The image (the same object if it is small enough), and float32 ``[2]``: the factors that convert x and y in the
        reduced image into x and y in the given image.
    """
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image, np.ones(2, dtype=np.float32)
    import cv2

    factor = longest / max(height, width)
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return reduced, np.array([width / small[0], height / small[1]], dtype=np.float32)


#: The two eyes, and the eyes and the mouth, are farther apart than this fraction of the extent of the five landmarks.
_APART = 0.05

#: Two faces of one image are of similar size if the smaller side is at least this fraction of the larger one.
LIKE_SIZE = 0.5


def is_upright(landmarks: np.ndarray) -> bool:
    """Whether five landmarks can belong to an upright face: eyes above the mouth, left and right in order, not coinciding.

    A face that is turned by less than 90 degrees counts as upright. In profile the eyes may be close together, and either
    the eyes or the corners of the mouth may be in the wrong order.

    Args:
        landmarks: ``[5, 2]``, in the order of :data:`lrface.faces.align.TEMPLATE`.
    """
    points = np.asarray(landmarks, np.float64)
    if not np.isfinite(points).all():
        return False
    across = (points[1] - points[0]) + (points[4] - points[3])
    down = (points[3] + points[4] - points[0] - points[1]) / 2
    extent = float(np.hypot(*np.ptp(points, axis=0)))
    apart = _APART * extent
    coincide = extent == 0 or np.hypot(*down) < apart or np.hypot(*across) / 2 < apart
    return not coincide and down[1] > 0 and across[0] * down[1] - across[1] * down[0] > 0


def best_first(faces: Iterable[Face]) -> list[Face]:
    """Sort detected faces by score, best first, and drop those that cannot be upright; see :func:`is_upright`."""
    return sorted((face for face in faces if is_upright(face.landmarks)), key=lambda face: -face.score)


def of_like_size(faces: Sequence[Face], face: Face) -> int:
    """Count the other faces whose side is at least ``LIKE_SIZE`` of this face's side."""
    sides = [float(np.sqrt(np.prod(each.box[2:] - each.box[:2]))) for each in faces if each is not face]
    own = float(np.sqrt(np.prod(face.box[2:] - face.box[:2])))
    return sum(side >= LIKE_SIZE * own for side in sides)


def select_face(faces: list[Face], image_shape: tuple[int, ...], rule: str = "largest-central") -> Face:
    """Choose one face of several.

    Args:
        faces: at least one.
        image_shape: shape of the image: height, width, ...
        rule: ``largest-central`` weighs the area against the distance from the centre, because the main person in a
            picture is both large and central. ``largest``, ``central`` and ``score`` use one criterion only.

    Raises:
        LrfaceError: no faces, or an unknown rule.
    """
    if not faces:
        raise LrfaceError("no face to choose from")
    if rule not in FACE_RULES:
        raise LrfaceError(f"unknown rule {rule!r} for several faces: choose one of {', '.join(FACE_RULES)}")
    boxes = np.stack([face.box for face in faces]).astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    centre = np.array([image_shape[1], image_shape[0]]) / 2
    distance = (((boxes[:, :2] + boxes[:, 2:]) / 2 - centre) ** 2).sum(1)
    value = {
        "largest": area,
        "central": -distance,
        "score": np.array([face.score for face in faces]),
        # The same weights with which insightface chooses the main face.
        "largest-central": area - 2.0 * distance,
    }[rule]
    return faces[int(np.argmax(value))]

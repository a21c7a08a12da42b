"""What a detector is, and which of several faces is taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

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
        """All faces in uint8 RGB ``[height, width, 3]``, best score first; an empty list when there is none.

        What cannot be an upright face is left out: :func:`best_first`.
        """


def shrink(image: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Bound the cost of a search: reduce an image whose longer side exceeds ``longest`` pixels to that.

    Returns:
        The image (the same object when it is small enough), and float32 ``[2]``: the factors that bring x and y found
        in it back into the image given.
    """
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image, np.ones(2, dtype=np.float32)
    import cv2

    factor = longest / max(height, width)
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return reduced, np.array([width / small[0], height / small[1]], dtype=np.float32)


#: The eyes, and the eyes and the mouth, of a face are farther apart than this part of the five landmarks' extent.
_APART = 0.05

#: Two faces of one image are of like size if the smaller one's side is at least this part of the larger one's.
LIKE_SIZE = 0.5


def is_upright(landmarks: np.ndarray) -> bool:
    """Whether five landmarks can be those of an upright face: eyes above the mouth, left and right in order, apart.

    A face that is turned by less than 90 degrees counts as upright. In profile the eyes may be close together, and either
    the eyes or the corners of the mouth may change places.

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
    """What a detector found, best score first, without what cannot be an upright face; see :func:`is_upright`."""
    return sorted((face for face in faces if is_upright(face.landmarks)), key=lambda face: -face.score)


def of_like_size(faces: Sequence[Face], face: Face) -> int:
    """How many of the other faces are about as large as this one, or larger."""
    sides = [float(np.sqrt(np.prod(each.box[2:] - each.box[:2]))) for each in faces if each is not face]
    own = float(np.sqrt(np.prod(face.box[2:] - face.box[:2])))
    return sum(side >= LIKE_SIZE * own for side in sides)


def select_face(faces: list[Face], image_shape: tuple[int, ...], rule: str = "largest-central") -> Face:
    """Choose one face of several.

    Args:
        faces: at least one.
        image_shape: of the image: height, width, ...
        rule: ``largest-central`` weighs the area by the distance from the centre, as the person a picture is taken of
            is both large and in the middle; ``largest``, ``central`` and ``score`` look at one thing only.

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
        # insightface's own weighting for choosing the main face
        "largest-central": area - 2.0 * distance,
    }[rule]
    return faces[int(np.argmax(value))]

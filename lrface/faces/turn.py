"""Photos that lie on their side or on their head: where no face is surely upright, the other turns are tried, once.

Detectors see faces in turned photos too, with landmarks that fit no face well. On 80 photos of LFW's View 1, CenterFace gives
landmarks that miss the aligned template by 1.3 to 3.3 of its 112 pixels (5 % and 95 %) where the photo is upright. On their
side, 63 % show a face, which misses it by 4.4 to 10.6; on their head, 11 %, with scores below 0.73. Of the four turns, the
best score less ``MISFIT`` for each pixel of the miss was the upright one in all photos, at 250 and at 64 pixels. MTCNN's
scores are higher: upright, 0.988 and more; on the head, below 0.99 in 92 %. A detector says by ``sure`` which are not weak.
"""

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, alignment
from lrface.faces.detect import Detector, Face

#: Landmarks that miss the template by more of its pixels may be those of a face that lies on its side.
FITTING = 4.2

#: What a pixel of that miss takes off a score.
MISFIT = 0.01


def misfit(landmarks: np.ndarray) -> float:
    """Mean distance of aligned landmarks ``[5, 2]`` from the template, in pixels of the 112 crop; infinite if they coincide."""
    try:
        matrix = alignment(landmarks)
    except LrfaceError:
        return np.inf
    aligned = landmarks @ matrix[:, :2].T + matrix[:, 2]
    return float(np.linalg.norm(aligned - TEMPLATE, axis=1).mean())


def _surely_upright(face: Face, detector: Detector) -> bool:
    return face.score >= getattr(detector, "sure", -np.inf) and misfit(face.landmarks) <= FITTING


def _merit(faces: list[Face]) -> float:
    return faces[0].score - MISFIT * misfit(faces[0].landmarks) if faces else -np.inf


def detect_turned(detector: Detector, image: np.ndarray, turn: bool = True) -> tuple[list[Face], int]:
    """All faces of an image, or of that one of its other turns which shows a better one where the image shows no sure one.

    Args:
        detector: finds upright faces.
        image: uint8 RGB ``[height, width, 3]``.
        turn: whether to look at the other turns.

    Returns:
        The faces, best score first, their boxes and landmarks in pixels of ``image`` as it was given; and the turn that
        makes them upright, in degrees counter-clockwise: 0, 90, 180 or 270.
    """
    best, degrees = detector.detect(image), 0
    if not turn or (best and _surely_upright(best[0], detector)):
        return best, 0
    merit = _merit(best)
    for quarter in (1, 2, 3):
        found = detector.detect(np.ascontiguousarray(np.rot90(image, quarter)))
        if _merit(found) > merit:
            merit = _merit(found)
            best, degrees = [_turned_back(face, image.shape, quarter) for face in found], 90 * quarter
    return best, degrees


def _turned_back(face: Face, shape: tuple[int, ...], quarter: int) -> Face:
    """A face of ``np.rot90(image, quarter)`` in the pixels of ``image``."""
    corners = _points_back(face.box.reshape(2, 2), shape, quarter)
    box = np.concatenate([corners.min(0), corners.max(0)])
    return Face(box, _points_back(face.landmarks, shape, quarter), face.score)


def _points_back(points: np.ndarray, shape: tuple[int, ...], quarter: int) -> np.ndarray:
    """Points x, y: float32 ``[n, 2]``."""
    right, bottom = shape[1] - 1, shape[0] - 1
    x, y = points[:, 0], points[:, 1]
    turned = {1: (right - y, x), 2: (right - x, bottom - y), 3: (y, bottom - x)}[quarter]
    return np.stack(turned, axis=1).astype(np.float32)

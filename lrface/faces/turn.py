"""Photos that are turned by 90, 180 or 270 degrees. If no face is clearly upright, the other orientations are searched once.

Detectors also find faces in turned photos, but with landmarks that do not fit a face well. On 80 photos of LFW's View 1:

- Upright photos: CenterFace's landmarks differ from the aligned template by 1.3 to 3.3 of its 112 pixels (5 % and 95 %).
- Photos on their side: 63 % show a face, which differs by 4.4 to 10.6 pixels.
- Photos upside down: 11 % show a face, with scores below 0.73.

The best orientation is the one with the highest score minus ``MISFIT`` for each pixel of difference. This was the upright
one in all photos, at 250 and at 64 pixels. MTCNN's scores are higher: upright 0.988 and more; upside down below 0.99 in 92 %.
So each detector gives its own limit, ``sure``.
"""

from functools import partial

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, alignment
from lrface.faces.detect import Detector, Face, select_face
from lrface.faces.detect.search import HALF

#: If the landmarks differ from the template by more of its pixels, the face may be turned.
FITTING = 4.2

#: How much one pixel of difference reduces the score.
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
    """Whether a face leaves no doubt that the image is upright."""
    return face.score >= getattr(detector, "sure", -np.inf) and misfit(face.landmarks) <= FITTING


def _merit(faces: list[Face]) -> float:
    return faces[0].score - MISFIT * misfit(faces[0].landmarks) if faces else -np.inf


def detect_turned(
    detector: Detector, image: np.ndarray, turn: bool = True, rule: str | None = None
) -> tuple[list[Face], int]:
    """Find all faces of an image; if none is clearly upright, search its other orientations too and take the best one.

    Args:
        detector: finds upright faces.
        image: uint8 RGB ``[height, width, 3]``.
        turn: whether to search the other orientations.
        rule: if only the face matters that :func:`lrface.faces.detect.select_face` chooses by this rule. A detector that can end
            its search early then does so where this face is large; see :meth:`lrface.faces.detect.search.Search.detect`.

    Returns:
        The faces, best score first, with boxes and landmarks in pixels of the given ``image``; and the turn that makes them
        upright, in degrees counter-clockwise: 0, 90, 180 or 270.
    """
    only = (partial(dominant, shape=image.shape, rule=rule, detector=detector),) if rule else ()
    best = detector.detect(image, *(only if getattr(detector, "picks", False) else ()))
    degrees = 0
    if not turn or (best and _surely_upright(best[0], detector)):
        return best, 0
    merit = _merit(best)
    for quarter in (1, 2, 3):
        found = detector.detect(np.ascontiguousarray(np.rot90(image, quarter)))
        if _merit(found) > merit:
            merit = _merit(found)
            best, degrees = [_turned_back(face, image.shape, quarter) for face in found], 90 * quarter
    return best, degrees


def dominant(faces: list[Face], shape: tuple[int, ...], rule: str, detector: Detector) -> Face | None:
    """The face that a rule chooses, if it would also choose it among any further faces with less than ``HALF`` its side.

    Args:
        faces: at least one.
        shape: of the image.
        rule: see :func:`lrface.faces.detect.select_face`.
        detector: what found the faces.
    """
    face = select_face(faces, shape, rule)
    if not rule.startswith("largest") or not _surely_upright(face, detector):
        return None
    area = float(np.prod(face.box[2:] - face.box[:2]))
    away = float((((face.box[:2] + face.box[2:]) / 2 - np.array([shape[1], shape[0]]) / 2) ** 2).sum())
    return face if rule == "largest" or area - 2 * away >= HALF**2 * area else None


def _turned_back(face: Face, shape: tuple[int, ...], quarter: int) -> Face:
    """Convert a face in ``np.rot90(image, quarter)`` to pixels of ``image``."""
    corners = _points_back(face.box.reshape(2, 2), shape, quarter)
    box = np.concatenate([corners.min(0), corners.max(0)])
    return Face(box, _points_back(face.landmarks, shape, quarter), face.score)


def _points_back(points: np.ndarray, shape: tuple[int, ...], quarter: int) -> np.ndarray:
    """Convert points of ``np.rot90(image, quarter)`` to pixels of an image of this shape: ``[n, 2]`` x, y -> float32 ``[n, 2]``."""
    right, bottom = shape[1] - 1, shape[0] - 1
    x, y = points[:, 0], points[:, 1]
    turned = {1: (right - y, x), 2: (right - x, bottom - y), 3: (y, bottom - x)}[quarter]
    return np.stack(turned, axis=1).astype(np.float32)

"""Photos that lie on their side or on their head: where no face is surely upright, the other turns are tried, once.

MTCNN sees weak faces in turned photos. Of 200 photos of LFW's View 1 it found one upright in all, with scores of 0.988 and
more; in the same photos on their side in 33 %, and on their head in 45 %, of which 92 % had scores below 0.99. In no photo
did another turn have a better score than the upright one. A detector says by ``sure`` which of its scores are not weak.
"""

import numpy as np

from lrface.faces.detect import Detector, Face


def detect_turned(detector: Detector, image: np.ndarray, turn: bool = True) -> tuple[list[Face], int]:
    """All faces of an image, or of that one of its other turns which shows a better one where the image shows no sure one.

    Args:
        detector: finds upright faces.
        image: uint8 RGB ``[height, width, 3]``.
        turn: whether to look at the other turns.

    Returns:
        The faces, best score first, their boxes and landmarks in pixels of ``image`` as it was given; and the turn that
        makes them upright, in degrees counter-clockwise: 0, 90, 180 or 270. Of several turns that show a face the one
        with the best score counts.
    """
    best, degrees = detector.detect(image), 0
    if not turn or (best and best[0].score >= getattr(detector, "sure", -np.inf)):
        return best, 0
    for quarter in (1, 2, 3):
        found = detector.detect(np.ascontiguousarray(np.rot90(image, quarter)))
        if found and (not best or found[0].score > best[0].score):
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

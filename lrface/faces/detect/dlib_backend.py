"""dlib's HOG detector and its 68-point landmark predictor. It works offline and needs no torch.

The predictor comes with the package ``face-recognition-models``. It was trained on iBUG 300-W, whose terms exclude
commercial use. dlib's own 5-point predictor has no such terms, but it marks eye corners and the base of the nose, and
not the mouth.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Face, best_first, shrink

INSTALL = "pip install dlib-bin face-recognition-models"

#: Larger images are reduced to this longer side, in pixels.
MAX_SIDE = 1920

#: Images up to this longer side are enlarged by 2. The detector finds faces of 80 pixels, and so of 40 in these images.
SMALL_SIDE = 400

#: An image with a shorter side below this, in pixels, has no room for a face of 40 pixels.
MIN_SIDE = 40

_PREDICTOR = "shape_predictor_68_face_landmarks.dat"


def create(device: str = "cpu", threads: int | None = None) -> "Dlib":
    """Make the detector; see :func:`lrface.faces.detect.create_detector`.

    Args:
        device: not used. HOG runs on the CPU.
        threads: not used. The detector runs in one thread.

    Raises:
        LrfaceError: ``dlib`` or ``face-recognition-models`` is not installed.
    """
    try:
        import dlib
    except ImportError as error:
        raise LrfaceError(f"the detector dlib needs dlib and its models ({error}): {INSTALL}") from error
    # The package is located, not imported: importing it needs pkg_resources, which newer versions of setuptools lack.
    spec = find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise LrfaceError(f"the detector dlib needs the landmark model of face-recognition-models: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / "models" / _PREDICTOR
    if not path.is_file():
        raise LrfaceError(f"the installed face-recognition-models has no {path}: {INSTALL}")
    return Dlib(dlib.get_frontal_face_detector(), dlib.shape_predictor(str(path)))


class Dlib:
    """Frontal faces by histograms of oriented gradients.

    Args:
        detector: dlib's ``fhog_object_detector``.
        predictor: dlib's ``shape_predictor`` for 68 points.
    """

    name = "dlib"

    def __init__(self, detector: Any, predictor: Any) -> None:
        self._detector = detector
        self._predictor = predictor

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find all faces in uint8 RGB ``[height, width, 3]``, best score first.

        The smallest face found has 80 pixels, or 40 in images up to ``SMALL_SIDE``. An image whose longer side exceeds
        ``MAX_SIDE`` is reduced to this side first.
        """
        image, factor = shrink(image, MAX_SIDE)
        if min(image.shape[:2]) < MIN_SIDE:
            return []
        image = np.ascontiguousarray(image)
        found, scores, _ = self._detector.run(image, int(max(image.shape[:2]) <= SMALL_SIDE), 0.0)
        faces = []
        for place, score in zip(found, scores, strict=True):
            shape = self._predictor(image, place)
            points = np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)
            box = np.array([place.left(), place.top(), place.right() + 1, place.bottom() + 1], dtype=np.float32)
            faces.append(Face(box * np.tile(factor, 2), five_points(points) * factor, float(score)))
        return best_first(faces)


def five_points(points: np.ndarray) -> np.ndarray:
    """Compute the five landmarks of the template from the 68 of iBUG 300-W: ``[68, 2]`` -> float32 ``[5, 2]``.

    An eye is the mean of the six points on its lids. The tip of the nose and the corners of the mouth are the points 30,
    48 and 54, counted from 0.
    """
    eyes = [points[36:42].mean(0), points[42:48].mean(0)]
    return np.stack([*eyes, points[30], points[48], points[54]]).astype(np.float32)

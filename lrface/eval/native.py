"""Verification with photos of small faces. They are detected, aligned and embedded like a user's photos.

The usual protocol aligns a photo first and then reduces the crop. Here the photo itself is reduced until the face has the
wanted size. Detection, alignment and embedding then use the reduced photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lrface.data.sets.pairs import Pair, resolve
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.eval.verification import VerificationResult, evaluate, similarities
from lrface.faces.align import TEMPLATE_SIZE, alignment, norm_crop
from lrface.faces.detect import Detector, Face, select_face
from lrface.faces.images import read_image
from lrface.models.embedder import Embedder

#: Width in pixels of the border that is added around the reduced photo by repeating its edge.
BORDER = 24

#: A detected face counts as another one if it is farther from the true one than this fraction of the crop's side.
NEAR = 0.4


#: Factors by which a photo is enlarged if a detector finds nothing in it.
ENLARGED = (2, 4)


class Enlarging:
    """A detector that also searches the enlarged photo, by ``ENLARGED``, if it finds nothing. Fair to detectors for large faces.

    Args:
        detector: any detector.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector, self.name = detector, detector.name

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find faces in uint8 RGB ``[h, w, 3]``, in its own pixels, best score first."""
        import cv2

        faces = self._detector.detect(image)
        for times in ENLARGED:
            if faces:
                break
            large = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
            faces = [
                Face(face.box / times, (face.landmarks + 0.5) / times - 0.5, face.score)
                for face in self._detector.detect(large)
            ]
        return faces


@dataclass(frozen=True)
class NativeRow:
    """One line of a results table.

    Attributes:
        side: of the ArcFace crop in the reduced photo, in pixels.
        detector: name of the detector.
        found: share of the images whose face was found. For the others the whole image was used.
        landmark_error: mean distance to the landmarks of the full photo, in pixels of the 112 crop, over the found faces.
        result: the scores.
    """

    side: int
    detector: str
    found: float
    landmark_error: float
    result: VerificationResult

    @property
    def reduction(self) -> str:
        """How the photos were reduced, in one word."""
        return reduction(self.side)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        facts = {"side": self.side, "reduction": self.reduction, "detector": self.detector}
        return facts | {"found": self.found, "landmark_error": self.landmark_error} | self.result.as_dict()


def reduction(side: int) -> str:
    """The name of :func:`reduce_photo` in tables."""
    return f"{side}px-native-bilinear-antialias-border{BORDER}"


def reduce_photo(image: np.ndarray, landmarks: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a photo until its ArcFace crop has ``side`` pixels, with Pillow's antialiased bilinear kernel.

    Args:
        image: uint8 RGB ``[h, w, 3]``.
        landmarks: ``[5, 2]`` in it.
        side: in pixels.

    Returns:
        uint8 RGB with ``BORDER`` more pixels at each edge, and the landmarks in it, float64 ``[5, 2]``.
    """
    import cv2
    from PIL import Image

    height, width = image.shape[:2]
    factor = side * float(np.hypot(*alignment(landmarks)[0, :2])) / TEMPLATE_SIZE
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    framed = cv2.copyMakeBorder(small, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
    return framed, (landmarks + 0.5) * (np.array(size) / [width, height]) - 0.5 + BORDER


def true_landmarks(root: str | Path, pairs: Sequence[Pair], detector: Detector) -> dict[str, np.ndarray]:
    """The landmarks of the main face in each full photo, by relative path.

    Raises:
        LrfaceError: images are missing, or no face is found in one.
    """
    resolve(pairs, root)
    known: dict[str, np.ndarray] = {}
    for name in sorted({name for pair in pairs for name in (pair.a, pair.b)}):
        image = read_image(Path(root, name))
        faces = detector.detect(image)
        if not faces:
            raise LrfaceError(f"{name}: {detector.name} found no face in the full photo")
        known[name] = select_face(faces, image.shape).landmarks
    return known


def find_native(
    detector: Detector, root: str | Path, landmarks: dict[str, np.ndarray], side: int, progress: str | None = None
) -> np.ndarray:
    """Search for the face in each reduced photo.

    Args:
        detector: finds faces in the reduced photos.
        root: folder of the photos.
        landmarks: of the full photos, see :func:`true_landmarks`.
        side: of the crop in pixels.
        progress: name of a progress bar; None for no bar.

    Returns:
        Landmarks in the reduced photos, float32 ``[n, 5, 2]``; NaN if no face or another face was found.
    """
    found = np.full((len(landmarks), 5, 2), np.nan, np.float32)
    for row, (name, true) in enumerate(tqdm(landmarks.items(), progress, disable=None if progress else True)):
        image, places = reduce_photo(read_image(Path(root, name)), true, side)
        faces = detector.detect(image)
        face = select_face(faces, image.shape) if faces else None
        if face is not None and np.linalg.norm(face.landmarks.mean(0) - places.mean(0)) <= NEAR * side:
            found[row] = face.landmarks
    return found


def score_native(
    embedder: Embedder,
    detector: str,
    root: str | Path,
    pairs: Sequence[Pair],
    landmarks: dict[str, np.ndarray],
    side: int,
    found: np.ndarray,
) -> tuple[NativeRow, np.ndarray]:
    """Align, embed and compare, in ten folds.

    Args:
        embedder: the model.
        detector: its name.
        root: folder of the photos.
        pairs: the pairs to compare.
        landmarks, side, found: see :func:`find_native`.

    Returns:
        The row, and the similarity of each pair, float32 ``[pairs]``.
    """
    crops, errors = [], []
    for (name, true), points in zip(landmarks.items(), found, strict=True):
        image, places = reduce_photo(read_image(Path(root, name)), true, side)
        if np.isnan(points).any():
            crops.append(embedder.compact(image))
            continue
        scale = float(np.hypot(*alignment(places)[0, :2]))
        errors.append(scale * float(np.linalg.norm(points - places, axis=1).mean()))
        crops.append(embedder.compact(norm_crop(image, points)))
    embeddings = dict(zip(landmarks, flip_sum(embedder, crops), strict=True))
    first, second = (
        np.stack([embeddings[name] for name in names]) for names in zip(*[pair[:2] for pair in pairs], strict=True)
    )
    result = evaluate(first, second, np.array([pair.same for pair in pairs]))
    error = float(np.mean(errors)) if errors else float("nan")
    row = NativeRow(side, detector, len(errors) / len(crops), error, result)
    return row, similarities(first, second).astype(np.float32)


def verify_native(
    embedder: Embedder,
    detector: Detector,
    root: str | Path,
    pairs: Sequence[Pair],
    landmarks: dict[str, np.ndarray],
    side: int,
) -> NativeRow:
    """Find, align, embed and compare; see :func:`find_native` and :func:`score_native`."""
    found = find_native(detector, root, landmarks, side)
    return score_native(embedder, detector.name, root, pairs, landmarks, side, found)[0]


def table(rows: Sequence[NativeRow]) -> str:
    """Format rows as a Markdown table."""
    lines = ["| detector | reduction | found % | landmark error | accuracy % | AUC |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row.detector} | {row.reduction} | {100 * row.found:.1f} | {row.landmark_error:.2f} | "
        f"{100 * row.result.accuracy:.2f} ± {100 * row.result.std:.2f} | {row.result.auc:.4f} |"
        for row in rows
    ]
    return "\n".join(lines)

"""The answers of an encoder: a face with its embedding, and whether two faces are of one person."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.calibration import rate_weights
from lrface.faces.quality import Quality
from lrface.recognition.finder import CroppedFace

#: Default false accept rate of verification.
DEFAULT_FAR = 0.01


@dataclass(frozen=True)
class FoundFace:
    """One face of an image, embedded.

    Attributes:
        box: left, top, right, bottom in the image's pixels, float32 ``[4]``; it may reach beyond the image.
        landmarks: float32 ``[5, 2]``; None if the whole image was taken as the face.
        score: the detector's confidence; None if the whole image was taken as the face.
        crop: the aligned face, uint8 RGB ``[112, 112, 3]``, or the image itself.
        quality: of the face.
        embedding: float32 ``[dim]``, L2-normalised.
    """

    box: np.ndarray
    landmarks: np.ndarray | None
    score: float | None
    crop: np.ndarray
    quality: Quality
    embedding: np.ndarray

    @classmethod
    def of(cls, cropped: CroppedFace, embedding: np.ndarray) -> "FoundFace":
        """Combine a cropped face with its embedding."""
        landmarks, score = (None, None) if cropped.face is None else (cropped.face.landmarks, cropped.face.score)
        return cls(cropped.box, landmarks, score, cropped.crop, cropped.quality, embedding)

    @property
    def detail(self) -> float:
        """Pixels of detail, see :class:`lrface.faces.quality.Quality`."""
        return self.quality.resolution


@dataclass(frozen=True)
class Verification:
    """The result of comparing two faces.

    Attributes:
        similarity: cosine of the two embeddings, -1 to 1.
        same: whether the similarity is above the threshold.
        threshold: cosine.
        far: the false accept rate for which the threshold was calibrated; None if the user gave the threshold.
        notes: remarks about the two images, such as that one was too small for a detector.
        probability: that the faces show one person, if this was as likely as not before; None if the model is not
            calibrated for it.
        resolutions: pixels of detail of the two faces, see :class:`lrface.faces.quality.Quality`.
        warnings: reasons why the answer cannot be trusted.
        members: the models that embedded the two faces; None without a family.
    """

    similarity: float
    same: bool
    threshold: float
    far: float | None
    notes: tuple[str, ...] = ()
    probability: float | None = None
    resolutions: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    members: tuple[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)


def known_thresholds(card: dict[str, Any]) -> dict[float, float]:
    """The calibrated thresholds in a model's card: false accept rate -> cosine; empty if there are none."""
    return {float(far): float(value) for far, value in card.get("thresholds", {}).items()}


def threshold_between(known: dict[float, float], far: float) -> float:
    """The cosine threshold for a false accept rate, interpolated in the logarithm of the rate.

    Raises:
        LrfaceError: the rate lies outside the calibrated ones.
    """
    if not known:
        raise LrfaceError("this model carries no calibrated thresholds: give one with --threshold")
    weights = rate_weights(known, far)
    if not weights:
        raise LrfaceError(
            f"this model is not calibrated for a false accept rate of {far:g}: "
            f"choose one from {min(known):g} to {max(known):g}, or give a --threshold"
        )
    return sum(weight * known[rate] for rate, weight in weights.items())

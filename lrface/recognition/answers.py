"""What an encoder answers: a face with its embedding, and whether two faces are of one person."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.calibration import rate_weights
from lrface.faces.quality import Quality
from lrface.recognition.finder import CroppedFace

#: False accept rate that verification promises unless another is asked for.
DEFAULT_FAR = 0.01


@dataclass(frozen=True)
class FoundFace:
    """One face of an image, embedded.

    Attributes:
        box: left, top, right, bottom in the image's pixels, float32 ``[4]``; it may reach beyond the image.
        landmarks: float32 ``[5, 2]``; None where the image was taken as the face.
        score: the detector's confidence; None where the image was taken as the face.
        crop: the aligned face, uint8 RGB ``[112, 112, 3]``, or the image itself.
        quality: what is known of it.
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
        """A face that has been looked at, with its embedding."""
        landmarks, score = (None, None) if cropped.face is None else (cropped.face.landmarks, cropped.face.score)
        return cls(cropped.box, landmarks, score, cropped.crop, cropped.quality, embedding)

    @property
    def detail(self) -> float:
        """Pixels of detail, see :class:`lrface.faces.quality.Quality`."""
        return self.quality.resolution


@dataclass(frozen=True)
class Verification:
    """The answer to: one person or two?

    Attributes:
        similarity: cosine of the two embeddings, -1 to 1.
        same: whether the similarity is above the threshold.
        threshold: cosine.
        far: the false accept rate that the threshold was calibrated for; None for a threshold given by hand.
        notes: what should be known of the two images, such as that one was too small for a detector.
        probability: of one person, where as many pairs are of one as of two; None if the model is not calibrated for it.
        resolutions: pixels of detail of the two faces, see :class:`lrface.faces.quality.Quality`.
        warnings: why the answer is not to be trusted.
        members: the models that embedded the two faces; None where there was no choice.
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
        """The fields, as JSON writes them."""
        return asdict(self)


def known_thresholds(card: dict[str, Any]) -> dict[float, float]:
    """False accept rate -> cosine threshold, as calibrated with a model; empty for a card that carries none."""
    return {float(far): float(value) for far, value in card.get("thresholds", {}).items()}


def threshold_between(known: dict[float, float], far: float) -> float:
    """The cosine threshold for a rate, interpolated in its logarithm between those that are known.

    Raises:
        LrfaceError: the rate lies outside those that the model was calibrated for.
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

"""The answers of an encoder: a face with its embedding, and whether two faces are of one person."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.faces.quality import Quality
from lrface.models.embedder import Embedder
from lrface.models.family import Family
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

    @classmethod
    def of(
        cls, similarity: float, threshold: float, pair: tuple[CroppedFace, CroppedFace], embedder: Embedder | Family,
        far: float | None, notes: tuple[str, ...], probability: float | None = None,
    ) -> "Verification":  # fmt: skip
        """The answer about a pair of faces that ``embedder`` embedded; the other arguments are fields of the class."""
        a, b = (cropped.quality.resolution for cropped in pair)
        warnings = tuple(f"{cropped.name}: {text}" for cropped in pair for text in cropped.quality.warnings)
        members = (embedder.member_name(a), embedder.member_name(b)) if isinstance(embedder, Family) else None
        same = similarity > threshold
        return cls(similarity, same, threshold, far, notes, probability, (a, b), warnings, members)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)

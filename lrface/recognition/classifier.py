"""Identification of known people: a backbone with a softmax layer over people, made by ``lrface finetune``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.calibration import interpolation_note, rate_weights
from lrface.recognition.classifier_files import load_classifier
from lrface.recognition.encoder import FaceEncoder, Image

#: Default share of strangers that is accepted as a known person.
DEFAULT_FAR = 0.05

#: Number of images in memory at once.
BATCH = 64


@dataclass(frozen=True)
class Candidate:
    """A person whom a face may show.

    Attributes:
        name: of the person.
        probability: 0 to 1, if the face shows one of the people in the classifier.
        similarity: cosine of the embedding to the person's direction, -1 to 1.
    """

    name: str
    probability: float
    similarity: float


@dataclass(frozen=True)
class Identification:
    """The result of an identification.

    Attributes:
        name: of the nearest person if the similarity is above the threshold, else None: nobody in the classifier.
        threshold: cosine.
        far: the share of strangers for which the threshold was calibrated; None if the user gave the threshold.
        candidates: the most probable first; at least one.
        notes: remarks about the image, such as that it was taken as the face itself.
    """

    name: str | None
    threshold: float
    far: float | None
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether a person was named."""
        return self.name is not None

    @property
    def probability(self) -> float:
        """Of the nearest person."""
        return self.candidates[0].probability

    @property
    def similarity(self) -> float:
        """Of the nearest person."""
        return self.candidates[0].similarity

    def as_dict(self) -> dict[str, Any]:
        """The fields and properties as a dictionary that JSON can hold."""
        return {"known": self.known, "probability": self.probability, "similarity": self.similarity, **asdict(self)}


class FaceClassifier:
    """Names the people on whom it was finetuned.

    Args:
        encoder: the backbone, and how faces are cropped.
        weight: float32 ``[people, dim]``, a direction of unit length for each person.
        names: of the people, in the order of ``weight``.
        scale: of the softmax over cosines.
        card: the file's card.
    """

    def __init__(
        self, encoder: FaceEncoder, weight: np.ndarray, names: Sequence[str], scale: float, card: dict[str, Any]
    ) -> None:
        self.encoder, self.weight, self.names = encoder, weight, tuple(names)
        self.scale, self.card = scale, card

    @classmethod
    def load(
        cls, path: str | Path, detector: str = "auto", face: str | None = None, device: str = "cpu",
        model: str | Path | None = None, min_face: float | None = None, turn: bool = True,
    ) -> "FaceClassifier":  # fmt: skip
        """Open a classifier.

        Args:
            path: a file from ``lrface finetune``.
            detector, face, device, min_face, turn: see :class:`lrface.recognition.encoder.FaceEncoder`.
            model: the backbone, if the file only refers to it (an ONNX file or an insightface pack); by default it is
                searched where it was when the classifier was made.

        Raises:
            LrfaceError: the file is missing, damaged, changed, of another version or not a classifier, or its backbone is
                not available.
        """
        embedder, weight, card = load_classifier(path, device, model)
        encoder = FaceEncoder(embedder, detector, face, device, min_face, turn)
        return cls(encoder, weight, card["people"], card["scale"], card)

    @property
    def thresholds(self) -> dict[float, float]:
        """The calibrated thresholds: share of strangers that is accepted as a known person -> cosine."""
        return {float(far): float(value) for far, value in self.card["thresholds"].items()}

    def threshold(self, far: float | None = None) -> tuple[float, float]:
        """The cosine threshold for a share of accepted strangers, and this share.

        By default the share is ``DEFAULT_FAR``, or the strictest calibrated one if that is not calibrated. Between two
        calibrated shares the threshold is interpolated in the logarithm of the share.

        Raises:
            LrfaceError: the share lies outside the calibrated ones.
        """
        known = self.thresholds
        if far is None:
            far = DEFAULT_FAR if DEFAULT_FAR in known else min(known)
        weights = rate_weights(known, far)
        if not weights:
            raise LrfaceError(
                f"this classifier is not calibrated for {far:g} of strangers being taken for somebody: "
                f"choose a share from {min(known):g} to {max(known):g}, or give a --threshold"
            )
        return sum(weight * known[share] for share, weight in weights.items()), far

    def choose(self, far: float | None, threshold: float | None) -> tuple[float, float | None]:
        """The cosine to exceed, and its share of accepted strangers; None for a ``threshold`` that the user gave.

        Raises:
            LrfaceError: the classifier is not calibrated for ``far``, or ``threshold`` is not a cosine.
        """
        if threshold is None:
            return self.threshold(far)
        if not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")
        return threshold, None

    def identify(
        self, images: Sequence[Image], top: int = 5, far: float | None = None, threshold: float | None = None
    ) -> list[Identification]:
        """Identify the main face of each image.

        Args:
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.
            top: largest number of candidates.
            far: share of strangers that may be accepted, within the range of :attr:`thresholds`.
            threshold: a cosine to use instead.

        Raises:
            ImageError: an image cannot be read or shows no face; the message names it.
            LrfaceError: there are no images, the classifier is not calibrated for ``far``, or the detector is not available.
        """
        if not len(images):
            raise LrfaceError("there are no images to identify")
        self.choose(far, threshold)  # finds mistakes now and not after a thousand photos
        result: list[Identification] = []
        for start in range(0, len(images), BATCH):
            crops, notes = zip(*map(self.encoder.crop, images[start : start + BATCH]), strict=True)
            result += self.identify_crops(crops, top, far, threshold, notes)
        return result

    def identify_crops(
        self, crops: Sequence[np.ndarray], top: int = 5, far: float | None = None, threshold: float | None = None,
        notes: Sequence[str | None] = (),
    ) -> list[Identification]:  # fmt: skip
        """The same as :meth:`identify` for aligned crops, uint8 RGB of any size; ``notes`` are copied to the results."""
        threshold, promised = self.choose(far, threshold)
        similarity = self.similarities(self.encoder.embed_crops(crops))
        probability = self.probabilities(similarity)
        order = np.argsort(-similarity, axis=1, kind="stable")[:, : max(top, 1)]
        common = () if promised is None else interpolation_note(self.thresholds, promised, "a share of strangers of")
        result = []
        for at, row in enumerate(order):
            candidates = tuple(
                Candidate(self.names[person], float(probability[at, person]), float(similarity[at, person]))
                for person in row
            )
            name = candidates[0].name if candidates[0].similarity > threshold else None
            note = notes[at] if notes else None
            result.append(Identification(name, threshold, promised, candidates, ((note,) if note else ()) + common))
        return result

    def similarities(self, embeddings: np.ndarray) -> np.ndarray:
        """Cosines of embeddings ``[n, dim]`` of unit length to each person's direction: float32 ``[n, people]``."""
        result: np.ndarray = np.clip(embeddings @ self.weight.T, -1, 1)
        return result

    def probabilities(self, similarities: np.ndarray) -> np.ndarray:
        """The softmax over the people in the classifier: float64 ``[n, people]``, rows with the sum 1."""
        logits = self.scale * similarities.astype(np.float64)
        values = np.exp(logits - logits.max(1, keepdims=True))
        result: np.ndarray = values / values.sum(1, keepdims=True)
        return result

"""Who is it? A backbone with a softmax layer over people, as ``lrface finetune`` makes it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.calibration import interpolation_note, rate_weights
from lrface.recognition.classifier_files import load_classifier
from lrface.recognition.encoder import FaceEncoder, Image

#: Share of strangers that may be taken for somebody unless another is asked for.
DEFAULT_FAR = 0.05

#: Images that are held in memory at once.
BATCH = 64


@dataclass(frozen=True)
class Candidate:
    """Somebody whom a face may show.

    Attributes:
        name: of the person.
        probability: given that the face shows one of the people whom the classifier knows, 0 to 1.
        similarity: cosine of the embedding to the person's direction, -1 to 1.
    """

    name: str
    probability: float
    similarity: float


@dataclass(frozen=True)
class Identification:
    """The answer to: who is it?

    Attributes:
        name: of the nearest person if their similarity is above the threshold, else None: nobody whom the classifier knows.
        threshold: cosine.
        far: the share of strangers that the threshold was calibrated to take for somebody; None for one given by hand.
        candidates: the most probable first; at least one.
        notes: what should be known of the image, such as that it was taken as the face itself.
    """

    name: str | None
    threshold: float
    far: float | None
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether somebody was named."""
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
        """For JSON."""
        return {"known": self.known, "probability": self.probability, "similarity": self.similarity, **asdict(self)}


class FaceClassifier:
    """Names the people whom it was finetuned on.

    Args:
        encoder: the backbone, and how faces are cropped.
        weight: float32 ``[people, dim]``, a direction of unit length for each.
        names: of the people, in the order of ``weight``.
        scale: of the softmax over cosines.
        card: what the file says of itself.
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
            path: a file that ``lrface finetune`` wrote.
            detector, face, device, min_face, turn: see :class:`lrface.recognition.encoder.FaceEncoder`.
            model: where the backbone is, for a classifier that names a model of others instead of carrying it; by
                default where it was when the classifier was made.

        Raises:
            LrfaceError: the file is missing, damaged, changed, of another version or no classifier, or its backbone is
                not to be had.
        """
        embedder, weight, card = load_classifier(path, device, model)
        encoder = FaceEncoder(embedder, detector, face, device, min_face, turn)
        return cls(encoder, weight, card["people"], card["scale"], card)

    @property
    def thresholds(self) -> dict[float, float]:
        """Share of strangers that may be taken for somebody -> cosine threshold, as calibrated with the classifier."""
        return {float(far): float(value) for far, value in self.card["thresholds"].items()}

    def threshold(self, far: float | None = None) -> tuple[float, float]:
        """The cosine threshold for a share of strangers, and that share.

        By default the share is ``DEFAULT_FAR``, or the strictest that could be calibrated if that could not. Between two
        that were calibrated the threshold is interpolated in the logarithm of the share.

        Raises:
            LrfaceError: the share lies outside those that the classifier was calibrated for.
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
        """The cosine to exceed, and the share of strangers that it promises: None for a ``threshold`` given by hand.

        Raises:
            LrfaceError: the classifier was not calibrated for ``far``, or ``threshold`` is no cosine.
        """
        if threshold is None:
            return self.threshold(far)
        if not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")
        return threshold, None

    def identify(
        self, images: Sequence[Image], top: int = 5, far: float | None = None, threshold: float | None = None
    ) -> list[Identification]:
        """Tell who the main face of each image is.

        Args:
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.
            top: how many candidates to name, at most.
            far: share of strangers that may be taken for somebody; one of :attr:`thresholds`.
            threshold: a cosine to use instead.

        Raises:
            ImageError: an image cannot be read or shows no face; it is named.
            LrfaceError: there are no images, the classifier was not calibrated for ``far``, or the detector cannot be had.
        """
        if not len(images):
            raise LrfaceError("there are no images to identify")
        self.choose(far, threshold)  # a mistake there should not come out after a thousand photos
        result: list[Identification] = []
        for start in range(0, len(images), BATCH):
            crops, notes = zip(*map(self.encoder.crop, images[start : start + BATCH]), strict=True)
            result += self.identify_crops(crops, top, far, threshold, notes)
        return result

    def identify_crops(
        self, crops: Sequence[np.ndarray], top: int = 5, far: float | None = None, threshold: float | None = None,
        notes: Sequence[str | None] = (),
    ) -> list[Identification]:  # fmt: skip
        """The same for aligned crops, uint8 RGB of any size; a note on each is handed through."""
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
        """float32 ``[n, people]``: cosines of embeddings ``[n, dim]`` of unit length to each person's direction."""
        result: np.ndarray = np.clip(embeddings @ self.weight.T, -1, 1)
        return result

    def probabilities(self, similarities: np.ndarray) -> np.ndarray:
        """float64 ``[n, people]``, rows that add up to 1: the softmax over the people whom the classifier knows."""
        logits = self.scale * similarities.astype(np.float64)
        values = np.exp(logits - logits.max(1, keepdims=True))
        result: np.ndarray = values / values.sum(1, keepdims=True)
        return result

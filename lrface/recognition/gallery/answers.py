"""The answers and reports of a gallery."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Report:
    """The outcome of images to enrol.

    Attributes:
        added: number of enrolled faces.
        known: number of images that the person already had.
        refused: image and reason of each image that was left out.
        notes: remarks about used images.
    """

    added: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Match:
    """A person of the gallery as a match for a probe.

    Attributes:
        name: of the person.
        similarity: cosine to the person's face. With several faces, it is the mean of the cosine to the best face and the
            cosine to the template of all (:mod:`lrface.recognition.template`).
        threshold: above it the probe counts as this person.
        same: whether the similarity is above the threshold.
        photo: source of the best face.
        risk: probability that a stranger of this quality reaches such a similarity to somebody in this gallery, 0 to 1;
            None if the model is not calibrated for it. It grows with the gallery, and does not compare candidates.
        risk_bound: ``below`` or ``above`` if the calibration gives only this bound of the risk; else None.
        resolution: pixels of detail of the best face; None if unknown.
    """

    name: str
    similarity: float
    threshold: float
    same: bool
    photo: str
    risk: float | None = None
    risk_bound: str | None = None
    resolution: float | None = None


@dataclass(frozen=True)
class Answer:
    """The result of a search.

    Attributes:
        name: of the person, or None for unknown.
        matches: the best people, best first, with or without the same person among them.
        far: the false accept rate of one comparison for which the thresholds were calibrated; None if the user gave the
            threshold.
        people, faces: number of people and faces searched.
        method: ``exact`` or ``approximate``.
        risk: upper limit of the probability that a stranger is given a name; None if ``far`` is None.
        notes: remarks.
        resolution: pixels of detail of the probe; None if unknown.
        warnings: reasons why the answer cannot be trusted.
    """

    name: str | None
    matches: tuple[Match, ...]
    far: float | None
    people: int
    faces: int
    method: str
    risk: float | None
    notes: tuple[str, ...] = ()
    resolution: float | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)

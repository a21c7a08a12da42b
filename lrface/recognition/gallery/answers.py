"""What a gallery answers."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Report:
    """What became of the images.

    Attributes:
        added: faces enrolled.
        known: images that this person had already.
        refused: image and reason of each that was left out.
        notes: what should be known of images that were used.
    """

    added: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Match:
    """A person of the gallery, beside the one who is looked for.

    Attributes:
        name: who.
        similarity: cosine to the person's face; of several faces, the mean of the cosine to the one that fits best and the
            cosine to the template of all (:mod:`lrface.recognition.template`).
        threshold: above it the two are taken for the same.
        same: whether it is.
        photo: where the face that fits best came from.
        risk: the chance that a stranger of this quality reaches such a similarity to somebody of this gallery, 0 to 1; None
            if the model cannot tell. It grows with the gallery, and says nothing of who is likelier.
        risk_bound: ``below`` or ``above`` where the model's calibration tells no more than that the risk is so; else None.
        resolution: pixels of detail of that face; None if unknown.
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
    """The answer to: who is this?

    Attributes:
        name: who it is, or None for unknown.
        matches: the people who fit best, best first; each is the same person or is not.
        far: the false accept rate of one comparison that the thresholds were calibrated for; None for a threshold given
            by hand.
        people, faces: how many were searched.
        method: ``exact`` or ``approximate``.
        risk: the chance that a stranger is given some name, at most; None where ``far`` is.
        notes: what should be known.
        resolution: pixels of detail of the face that is looked for; None if unknown.
        warnings: why the answer is not to be trusted.
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
        """The fields, as JSON writes them."""
        return asdict(self)

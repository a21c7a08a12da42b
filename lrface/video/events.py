"""The events of a watch: who was seen, when, and how certain it is."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["named", "corrected", "ended"]


@dataclass(frozen=True)
class Person:
    """One track: a person from the first detected face to the last.

    Attributes:
        track: number, from 1, in the order of the tracks' beginnings.
        name: of the person; None for unknown.
        start, end: seconds since the source's first frame.
        faces: number of detected faces.
        similarity: of the template to the named person, or to the nearest one; None without a gallery.
        threshold: the similarity must exceed it.
        risk: probability that a stranger reaches such a similarity to somebody in the gallery; None if the model is not
            calibrated for it.
        nearest: the most similar person of the gallery; None without a gallery.
        detail: pixels of detail, the weighted mean over all faces.
        best_detail: of the best face.
        box: of the best face: left, top, right, bottom in pixels.
        best_time: time of the best face.
        template: float32 ``[dim]``, L2-normalised.
    """

    track: int
    name: str | None
    start: float
    end: float
    faces: int
    similarity: float | None
    threshold: float | None
    risk: float | None
    nearest: str | None
    detail: float
    best_detail: float
    box: tuple[float, float, float, float]
    best_time: float
    template: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """All fields except the template, as JSON content; times are rounded to milliseconds."""
        fields = asdict(self)
        del fields["template"]
        rounded = {key: round(fields[key], 3) for key in ("start", "end", "best_time")}
        return fields | rounded | {"box": [round(edge, 1) for edge in self.box]}


@dataclass(frozen=True)
class Event:
    """One event of a watch.

    Attributes:
        kind: ``named``: the track has got a name; ``corrected``: a better template gave another name or none; ``ended``: the
            person is gone, or the source has ended.
        time: in seconds since the source's first frame.
        person: the present state of the track.
    """

    kind: Kind
    time: float
    person: Person

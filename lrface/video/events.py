"""What a watch tells: who was seen, when, and how sure it is."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["named", "corrected", "ended"]


@dataclass(frozen=True)
class Person:
    """One track: a person from the first look to the last.

    Attributes:
        track: number, from 1, in the order in which tracks began.
        name: who it is; None for unknown.
        start, end: seconds since the source's first frame.
        faces: how many looks there are.
        similarity: of the template to the person named, or to the nearest one; None without a gallery.
        threshold: what the similarity has to exceed.
        risk: the chance that a stranger reaches such a similarity to somebody of the gallery; None if the model cannot tell.
        nearest: who of the gallery is most like; None without a gallery.
        detail: pixels of detail, the weighted mean of all looks.
        best_detail: of the best look.
        box: of the best look: left, top, right, bottom in pixels.
        best_time: when that was.
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
        """All but the template, as JSON writes it; times to a millisecond."""
        fields = asdict(self)
        del fields["template"]
        rounded = {key: round(fields[key], 3) for key in ("start", "end", "best_time")}
        return fields | rounded | {"box": [round(edge, 1) for edge in self.box]}


@dataclass(frozen=True)
class Event:
    """Something that a watch has found out.

    Attributes:
        kind: ``named``: the track is somebody, for certain by now; ``corrected``: it is somebody else, or nobody known, by a
            better template; ``ended``: the person is gone, or the source is over.
        time: when, in seconds since the source's first frame.
        person: the track as it is known then.
        crop: the best look at a person who is gone, an aligned face as JPEG; None where no pictures are kept.
    """

    kind: Kind
    time: float
    person: Person
    crop: bytes | None = None

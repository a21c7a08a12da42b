"""A tracked person: template, best face, and a few crops. Its memory is bounded, however long the track is."""

from dataclasses import dataclass, field, replace

import numpy as np

from lrface.video.look import Look
from lrface.video.template import Template, look_weight

#: Largest number of crops of a track. If it is exceeded, every second crop is dropped and the minimum interval doubles.
MOST_CROPS = 16

#: Seconds between two crops of a track at the beginning.
_APART = 0.2

#: The velocity of a face is averaged over about so many seconds.
_SMOOTH = 0.2

#: A face is expected in a box that grows by this share per second in which it was not seen, to at most the second factor. Where its
#: velocity is not known yet, the box is as large from the beginning.
_GROWTH, MOST_GROWN = 1.0, 2.0


@dataclass(frozen=True)
class Crop:
    """A stored crop.

    Attributes:
        time: of its frame.
        weight: see :func:`lrface.video.template.look_weight`.
        jpeg: the aligned face; None if no images are kept.
        box: of the face.
        detail: of the face, in pixels.
    """

    time: float
    weight: float
    jpeg: bytes | None
    box: np.ndarray
    detail: float


class Strip:
    """A few crops over the whole time of a track. Each is the best of its interval."""

    def __init__(self) -> None:
        self.crops: list[Crop] = []
        self._apart, self._start = _APART, 0.0

    def offer(self, crop: Crop) -> bool:
        """Offer a crop, later than all before; returns whether it is kept. Only times and weights decide."""
        kept = True
        if not self.crops or crop.time >= self._start + self._apart:
            self.crops.append(crop)
            self._start = crop.time
        elif crop.weight > self.crops[-1].weight:
            self.crops[-1] = crop
        else:
            kept = False
        if len(self.crops) > MOST_CROPS:
            self.crops = self.crops[::2]
            self._apart *= 2
        return kept

    def extend(self, other: "Strip") -> None:
        """Add the crops of a later track."""
        self._apart = max(self._apart, other._apart)
        for crop in other.crops:
            self.offer(crop)

    def choose(self, count: int) -> list[Crop]:
        """Select ``count`` crops, evenly spread over time."""
        if len(self.crops) <= count:
            return list(self.crops)
        return [self.crops[round(place)] for place in np.linspace(0, len(self.crops) - 1, count)]


@dataclass
class Track:
    """A tracked person.

    Attributes:
        number: from 1.
        start, end: times of the first and of the last face.
        last: the last face.
        best: the best crop.
        velocity: of the last face's centre, float64 ``[2]``: x, y in pixels per second.
    """

    number: int
    start: float
    end: float
    last: Look
    template: Template = field(default_factory=Template)
    strip: Strip = field(default_factory=Strip)
    best: Crop | None = None
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @classmethod
    def begin(cls, number: int, time: float, look: Look) -> "Track":
        """Begin a track with one face."""
        track = cls(number, time, time, look)
        track.add(time, look)
        return track

    def add(self, time: float, look: Look) -> None:
        """Add another face. Its crop is dropped unless it is kept in the strip or as the best one."""
        self.template.add(look)
        crop = Crop(time, look_weight(look), look.crop, look.box, look.detail)
        kept = self.strip.offer(crop)
        if self.best is None or crop.weight > self.best.weight:
            self.best = crop
            kept = True
        if not kept:
            look.crop = None
        if time > self.end:
            now = (look.centre - self.last.centre) / (time - self.end)
            share = 1.0 if self.template.count == 2 else (time - self.end) / (time - self.end + _SMOOTH)
            self.velocity = self.velocity + share * (now - self.velocity)
        self.end, self.last = time, replace(look, crop=None)

    def expected(self, time: float) -> np.ndarray:
        """The box in which the face is expected at a time after the last one, if it goes on as before: float64 ``[4]``."""
        gap = time - self.end
        known = self.template.count > 1
        box = self.last.box + np.tile(self.velocity * gap, 2)
        return grown(box, min(1 + _GROWTH * gap, MOST_GROWN) if known else MOST_GROWN)

    def absorb(self, later: "Track") -> None:
        """Add all faces of a later track of the same person."""
        self.template.merge(later.template)
        self.strip.extend(later.strip)
        if later.best is not None and (self.best is None or later.best.weight > self.best.weight):
            self.best = later.best
        self.end, self.last, self.velocity = later.end, later.last, later.velocity


def grown(box: np.ndarray, factor: float) -> np.ndarray:
    """A box enlarged around its centre: float ``[4]``."""
    more = (factor - 1) / 2 * (box[2:] - box[:2])
    return np.concatenate([box[:2] - more, box[2:] + more])

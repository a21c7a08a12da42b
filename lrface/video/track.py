"""A person who is followed: template, best look, a strip of crops; of a bounded size however long it lasts."""

from dataclasses import dataclass, field, replace

import numpy as np

from lrface.video.look import Look
from lrface.video.template import Template, look_weight

#: A strip never holds more crops; where it would, every second one goes and the rest are farther apart in time.
MOST_CROPS = 16

#: Seconds between two crops of a strip, at first.
_APART = 0.2


@dataclass(frozen=True)
class Crop:
    """A crop that is kept.

    Attributes:
        time: of its frame.
        weight: see :func:`lrface.video.template.look_weight`.
        jpeg: the aligned face; None where no pictures are kept.
        box: of the look.
        detail: of the look, in pixels.
    """

    time: float
    weight: float
    jpeg: bytes | None
    box: np.ndarray
    detail: float


class Strip:
    """A few crops over the whole of a track, each the best of its stretch of time."""

    def __init__(self) -> None:
        self.crops: list[Crop] = []
        self._apart, self._start = _APART, 0.0

    def offer(self, crop: Crop) -> bool:
        """Show a crop, later than all before; whether it is kept. The rule looks at times and weights alone."""
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
        """Take the crops of a later strip."""
        self._apart = max(self._apart, other._apart)
        for crop in other.crops:
            self.offer(crop)

    def choose(self, count: int) -> list[Crop]:
        """So many of them, evenly over time."""
        if len(self.crops) <= count:
            return list(self.crops)
        return [self.crops[round(place)] for place in np.linspace(0, len(self.crops) - 1, count)]


@dataclass
class Track:
    """A person who is followed.

    Attributes:
        number: from 1.
        start, end: times of the first look and of the last.
        last: the last look.
        best: the best crop.
    """

    number: int
    start: float
    end: float
    last: Look
    template: Template = field(default_factory=Template)
    strip: Strip = field(default_factory=Strip)
    best: Crop | None = None

    @classmethod
    def begin(cls, number: int, time: float, look: Look) -> "Track":
        """A track of one look."""
        track = cls(number, time, time, look)
        track.add(time, look)
        return track

    def add(self, time: float, look: Look) -> None:
        """Take another look. Its crop is dropped where it is not kept."""
        self.template.add(look)
        crop = Crop(time, look_weight(look), look.crop, look.box, look.detail)
        kept = self.strip.offer(crop)
        if self.best is None or crop.weight > self.best.weight:
            self.best = crop
            kept = True
        if not kept:
            look.crop = None
        self.end, self.last = time, replace(look, crop=None)

    def absorb(self, later: "Track") -> None:
        """Take all looks of a track that turned out to be this person's."""
        self.template.merge(later.template)
        self.strip.extend(later.strip)
        if later.best is not None and (self.best is None or later.best.weight > self.best.weight):
            self.best = later.best
        self.end, self.last = later.end, later.last

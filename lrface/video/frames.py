"""Sources of frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np


@dataclass
class Frame:
    """One frame of a video.

    Attributes:
        index: number within the source, from 0.
        time: seconds since the source's first frame.
        read: returns the image; not called for skipped frames.
    """

    index: int
    time: float
    read: Callable[[], np.ndarray]

    @cached_property
    def image(self) -> np.ndarray:
        """The image, uint8 RGB ``[h, w, 3]``, upright."""
        return self.read()


class Source(Protocol):
    """A source of frames.

    Attributes:
        name: for messages.
        live: True for a camera or an endless stream, whose frames are lost if they are not read in time.
        total: number of frames, if it is known in advance.
        rate: usual frames per second.
    """

    name: str
    live: bool
    total: int | None
    rate: float

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order, with rising times.

        Raises:
            LrfaceError: the source cannot be read, or has no frame.
        """

"""What a source of frames is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np


@dataclass
class Frame:
    """One picture of a video.

    Attributes:
        index: number within the source, from 0.
        time: seconds since the source's first frame.
        read: gives the picture; not called for frames that nobody looks at.
    """

    index: int
    time: float
    read: Callable[[], np.ndarray]

    @cached_property
    def image(self) -> np.ndarray:
        """uint8 RGB ``[h, w, 3]``, upright."""
        return self.read()


class Source(Protocol):
    """Something that gives frames.

    Attributes:
        name: for messages.
        live: whether what is not taken is lost: a camera, or a stream without an end.
        total: number of frames, as far as it is known beforehand.
        rate: usual frames a second.
    """

    name: str
    live: bool
    total: int | None
    rate: float

    def frames(self) -> Iterator[Frame]:
        """Frame after frame, times rising.

        Raises:
            LrfaceError: the source cannot be read, or holds no frame.
        """

"""Decoding with PyAV: frames upright, in order, with their true times; what is broken is left out and counted."""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.video.frames import Frame

#: Frames a second of a video that does not tell.
USUAL_RATE = 25.0

Log = Callable[[str], None]


def load_av() -> ModuleType:
    """PyAV.

    Raises:
        LrfaceError: it is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        raise LrfaceError(f"videos need more packages ({error}): pip install 'lrface[video]'") from error
    # What FFmpeg would print in between is told in one line here. Its messages are not led through Python (set_level): a decoder
    # that is closed waits for its threads, and those would wait for the interpreter.
    av.logging.set_libav_level(av.logging.PANIC)
    module: ModuleType = av
    return module


class Reader:
    """Decodes a container's first video stream.

    Attributes:
        count: frames so far.
        broken: packets that could not be decoded so far.
        cut: why reading ended before the end; None if it did not.
    """

    def __init__(self, av: Any, container: Any, rate: float) -> None:
        self._av, self._container, self._rate = av, container, rate
        self.count, self.broken = 0, 0
        self.cut: str | None = None

    def frames(self) -> Iterator[Frame]:
        """Frame after frame, the first one's time 0."""
        first: float | None = None
        last = -1.0 / self._rate
        tick = self._container.streams.video[0].time_base
        for decoded in self._decoded():
            time = (
                None if decoded.pts is None else float(decoded.pts * tick)
            )  # what is flushed has no time base of its own
            if time is not None and first is None:
                first = time
            # A frame without a time, or with one that goes back, comes one usual step after its predecessor.
            late = time is None or first is None or time - first <= last
            last = last + 1 / self._rate if late else time - first  # type: ignore[operator]
            yield Frame(self.count, last, partial(upright, decoded))
            self.count += 1

    def _decoded(self) -> Iterator[Any]:
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (self._av.error.FFmpegError, OSError) as error:
                self.cut = reason(error)
                self.broken += 1
                yield from self._of(lambda: stream.codec_context.decode(None))  # what the decoder still holds
                return
            yield from self._of(packet.decode)

    def _of(self, decode: Callable[[], list[Any]]) -> list[Any]:
        """What a decoder gives; nothing for what is broken, which is counted."""
        try:
            return decode()
        except self._av.error.EOFError:
            return []
        except (self._av.error.FFmpegError, ValueError):
            self.broken += 1
            return []


def open_container(av: Any, name: str, **options: Any) -> Any:
    """An open container with a video stream.

    Raises:
        LrfaceError: FFmpeg cannot open it, or it holds no video.
    """
    try:
        container = av.open(name, **options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise LrfaceError(f"{name} cannot be opened as a video: {reason(error)}") from error
    if not container.streams.video:
        container.close()
        raise LrfaceError(f"{name} holds no video")
    return container


def upright(decoded: Any) -> np.ndarray:
    """A decoded frame as uint8 RGB ``[h, w, 3]``, turned as its metadata want it."""
    image: np.ndarray = decoded.to_ndarray(format="rgb24")
    turns = round(getattr(decoded, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def usual_rate(stream: Any) -> float:
    """Frames a second of a stream, as it says."""
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0.1 <= rate <= 1000 else USUAL_RATE


def reason(error: Exception) -> str:
    """What FFmpeg says, in one line."""
    return str(getattr(error, "strerror", None) or error).replace("\n", " ")

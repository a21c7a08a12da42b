"""Decoding with PyAV: frames upright, in order, with true timestamps. Broken parts are skipped and counted."""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.video.frames import Frame

#: Frame rate for videos that do not state one.
USUAL_RATE = 25.0

Log = Callable[[str], None]


def load_av() -> ModuleType:
    """Import PyAV.

    Raises:
        LrfaceError: it is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        raise LrfaceError(f"videos need more packages ({error}): pip install 'lrface[video]'") from error
    # lrface reports FFmpeg's errors itself, so FFmpeg's own output is off. Its messages are not passed through Python (set_level):
    # a decoder that is being closed waits for its threads, and these would wait for the interpreter.
    av.logging.set_libav_level(av.logging.PANIC)
    module: ModuleType = av
    return module


class Reader:
    """Decodes the first video stream of a container.

    Attributes:
        count: number of frames so far.
        broken: number of packets that could not be decoded so far.
        cut: why reading ended early; None if it did not.
    """

    def __init__(self, av: Any, container: Any, rate: float) -> None:
        self._av, self._container, self._rate = av, container, rate
        self.count, self.broken = 0, 0
        self.cut: str | None = None

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order; the first one has the time 0."""
        first: float | None = None
        last = -1.0 / self._rate
        tick = self._container.streams.video[0].time_base
        for decoded in self._decoded():
            time = (
                None if decoded.pts is None else float(decoded.pts * tick)
            )  # frames from the flushed decoder have no time base
            if time is not None and first is None:
                first = time
            # A frame without a timestamp, or with one that goes back, is placed one usual interval after the previous frame.
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
                # The frames that are still in the decoder.
                yield from self._of(lambda: stream.codec_context.decode(None))
                return
            yield from self._of(packet.decode)

    def _of(self, decode: Callable[[], list[Any]]) -> list[Any]:
        """Decode frames; a broken packet gives none and is counted."""
        try:
            return decode()
        except self._av.error.EOFError:
            return []
        except (self._av.error.FFmpegError, ValueError):
            self.broken += 1
            return []


def open_container(av: Any, name: str, **options: Any) -> Any:
    """Open a container with a video stream.

    Raises:
        LrfaceError: FFmpeg cannot open it, or it has no video.
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
    """Convert a decoded frame to uint8 RGB ``[h, w, 3]``, turned as its metadata says."""
    image: np.ndarray = decoded.to_ndarray(format="rgb24")
    turns = round(getattr(decoded, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def usual_rate(stream: Any) -> float:
    """The frame rate that a stream states; ``USUAL_RATE`` if it makes no sense."""
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0.1 <= rate <= 1000 else USUAL_RATE


def reason(error: Exception) -> str:
    """FFmpeg's message in one line."""
    return str(getattr(error, "strerror", None) or error).replace("\n", " ")

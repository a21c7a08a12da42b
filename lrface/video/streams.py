"""Cameras and streams. A broken stream is opened again, with growing pauses."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from lrface.errors import LrfaceError
from lrface.video.decode import Log, Reader, load_av, open_container, reason, usual_rate
from lrface.video.frames import Frame

#: Seconds before a broken stream is opened again: the first and the longest pause.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

#: Number of failed attempts in a row after which a stream is given up.
ATTEMPTS = 8


class Camera:
    """A camera of this machine, by its number. Unplugging it ends the watch with an error; the results so far are kept."""

    live, rate = True, 25.0
    total: int | None = None

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        self._device, self._format = _device(number)
        load_av()

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`."""
        av = load_av()
        try:
            container = av.open(self._device, format=self._format)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise LrfaceError(f"{self.name} ({self._device}) cannot be opened: {reason(error)}") from error
        with container:
            reader = Reader(av, container, self.rate)
            yield from reader.frames()
        raise LrfaceError(f"{self.name} gives no more frames ({reader.cut or 'unplugged?'})")


def _device(number: int) -> tuple[str, str]:
    """FFmpeg's name and format of a camera."""
    if sys.platform == "darwin":
        return f"{number}", "avfoundation"
    if sys.platform == "win32":
        return f"video={number}", "dshow"
    return f"/dev/video{number}", "v4l2"


class Stream:
    """RTSP, HTTP and other streams that FFmpeg opens by URL.

    After a break, times continue with the clock. A stream with a known length ends when it has been read to its end. For
    other streams, and if it ends earlier, the end is treated as a break.

    Args:
        name: the URL.
        log: called with a line for each break.
        timeout: seconds without an answer that count as a break.
        sleep: function that waits; tests replace it.
    """

    live = True

    def __init__(self, name: str, log: Log, timeout: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name, self.rate = name, 25.0
        self.total: int | None = None
        self._log, self._timeout, self._sleep = log, timeout, sleep
        load_av()

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`.

        Raises:
            LrfaceError: the first attempt to open it fails, or ``ATTEMPTS`` in a row after a break.
        """
        av = load_av()
        started, index, last, failed = time.monotonic(), 0, 0.0, 0
        container = self._open(av)
        while True:
            seen = 0
            if container is not None:
                with container:
                    length = None if container.duration is None else container.duration / av.time_base
                    self.rate = usual_rate(container.streams.video[0])
                    base = max(time.monotonic() - started, last + 1 / self.rate) if index else 0.0
                    reader = Reader(av, container, self.rate)
                    for frame in reader.frames():
                        seen, last = seen + 1, base + frame.time
                        yield Frame(index, last, frame.read)
                        index += 1
                if seen and length is not None and frame.time >= length - 1.5 / self.rate - 0.5:
                    return
            failed = 0 if seen else failed + 1
            if failed >= ATTEMPTS:
                raise LrfaceError(f"{self.name} broke off after {index} frames, and does not come back")
            pause = min(FIRST_PAUSE * 2**failed, LONGEST_PAUSE)
            self._log(f"{self.name} broke off after {index} frames; it is opened again in {pause:g} s")
            self._sleep(pause)
            container = self._reopen(av)

    def _open(self, av: Any) -> Any:
        options = {"rtsp_transport": "tcp"} if self.name.lower().startswith("rtsp") else {}
        before = time.monotonic()
        try:
            return open_container(av, self.name, options=options, timeout=(self._timeout, self._timeout))
        except LrfaceError as error:
            if time.monotonic() - before >= 0.9 * self._timeout:
                raise LrfaceError(f"{self.name} gives no answer within {self._timeout:g} s (--timeout)") from error
            raise

    def _reopen(self, av: Any) -> Any:
        try:
            return self._open(av)
        except LrfaceError:
            return None

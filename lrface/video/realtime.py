"""Processing only the newest frame: frames that arrive while the machine is busy are dropped and counted."""

import threading
import time
from collections.abc import Iterator

from lrface.video.frames import Frame, Source


class Newest:
    """Reads a source in its own thread, and yields the newest frame each time.

    Args:
        source: the source; a file or a folder is read as fast as it was filmed.

    Attributes:
        dropped: number of frames that were not processed.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.dropped = 0
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._over = self._stopped = False
        self._changed = threading.Condition()

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`."""
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        try:
            while True:
                with self._changed:
                    while self._frame is None and not self._over:
                        self._changed.wait(0.5)  # the timeout lets Ctrl-C through
                    frame, self._frame = self._frame, None
                if frame is not None:
                    yield frame
                elif self._error is not None:
                    raise self._error
                else:
                    return
        finally:
            self._stopped = True

    def _read(self) -> None:
        started = time.monotonic()
        try:
            for frame in self._source.frames():
                if self._stopped:
                    return
                if not self._source.live:
                    time.sleep(max(0.0, started + frame.time - time.monotonic()))
                with self._changed:
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._changed.notify()
        except BaseException as error:  # every error is raised again in the consumer's thread
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()

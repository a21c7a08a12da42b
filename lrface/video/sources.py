"""Where frames come from: a video file, a folder of images, a camera, a stream."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.images import read_image
from lrface.files import looked_in, require_path
from lrface.video.frames import Frame, Source

#: Frames a second of a folder of images, and of a video that does not tell.
FOLDER_RATE, USUAL_RATE = 25.0, 25.0

Log = Callable[[str], None]


def open_source(text: str | Path | int, log: Log, timeout: float = 10.0) -> Source:
    """The source that a text names.

    Args:
        text: a video file, a folder of images, the number of a camera, or a URL.
        log: called with a line about what was mended or left out.
        timeout: seconds that a stream may take to answer.

    Raises:
        LrfaceError: there is no such file, or PyAV is not installed.
    """
    from lrface.video.streams import Camera, Stream

    name = str(require_path(str(text), "SOURCE"))
    if name.isdecimal() and not Path(name).exists():
        return Camera(int(name))
    if re.match(r"[a-z]+://", name, re.IGNORECASE):
        return Stream(name, log, timeout)
    path = Path(name)
    if path.is_dir():
        return Folder(path, log)
    if not path.is_file():
        raise LrfaceError(f"{name}: no such file, folder, camera number or URL ({looked_in(path)})")
    return VideoFile(path, log)


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
    av.logging.set_level(av.logging.PANIC)  # what the decoder would print in between is told in one line here
    module: ModuleType = av
    return module


class Folder:
    """The images of a folder, in the order of their names' numbers, as many a second as ``FOLDER_RATE``."""

    live = False
    rate = FOLDER_RATE

    def __init__(self, path: Path, log: Log) -> None:
        from lrface.data.folders import Passed, list_folder

        self.name, self._log = str(path), log
        self._paths = sorted((path / name for name in list_folder(path, Passed()).images), key=_natural)
        if not self._paths:
            raise LrfaceError(f"{path} holds no images: give a video, or a folder of frames")
        self.total: int | None = len(self._paths)

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`. An image that cannot be read is left out and told."""
        used = 0
        for index, path in enumerate(self._paths):
            try:
                image = read_image(path, str(path))
            except LrfaceError as error:
                self._log(f"left out {error}")
                continue
            used += 1
            yield Frame(index, index / self.rate, lambda image=image: image)  # type: ignore[misc]
        if not used:
            raise LrfaceError(f"{self.name}: no image of the folder can be read")


class VideoFile:
    """A file that PyAV opens: MP4, MKV, AVI, GIF and what else FFmpeg knows."""

    live = False

    def __init__(self, path: Path, log: Log) -> None:
        self.name, self._log = str(path), log
        av = load_av()
        with open_container(av, self.name) as container:
            stream = container.streams.video[0]
            self.rate = usual_rate(stream)
            self.total: int | None = stream.frames or None

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`. What cannot be decoded is left out and told at the end."""
        av = load_av()
        with open_container(av, self.name) as container:
            reader = Reader(av, container, self.rate)
            for frame in reader.frames():
                yield frame
        if not reader.count:
            raise LrfaceError(f"{self.name}: no frame of the video can be decoded")
        if reader.broken:
            self._log(f"{self.name}: {reader.broken} broken parts of the video were left out")


class Reader:
    """Decodes a container's first video stream.

    Attributes:
        count: frames so far.
        broken: packets that could not be decoded so far.
        cut: why reading ended before the end; None if it did not.
    """

    def __init__(self, av: Any, container: Any, rate: float) -> None:
        self._av, self._container, self._rate = av, container, rate
        self.count, self.broken, self.cut = 0, 0, None

    def frames(self) -> Iterator[Frame]:
        """Frame after frame, the first one's time 0."""
        first, last = None, -1.0 / self._rate
        for decoded in self._decoded():
            time = decoded.time
            if time is not None and first is None:
                first = time
            # A frame without a time, or with one that goes back, comes one usual step after its predecessor.
            time = last + 1 / self._rate if time is None or time - first <= last else time - first
            last = float(time)
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
                return
            try:
                yield from packet.decode()
            except self._av.error.EOFError:
                return
            except (self._av.error.FFmpegError, ValueError):
                self.broken += 1


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


def _natural(path: Path) -> list[Any]:
    """``frame10`` comes after ``frame9``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name) if part]

"""Opening sources of frames: a video file, a folder of images, a camera, a stream."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.faces.images import read_image
from lrface.files import looked_in, require_path
from lrface.video.decode import Log, Reader, load_av, open_container, usual_rate
from lrface.video.frames import Frame, Source
from lrface.video.streams import Camera, Stream

#: Frame rate for a folder of images.
FOLDER_RATE = 25.0


def open_source(text: str | Path | int, log: Log, timeout: float = 10.0) -> Source:
    """Open the source that a text names.

    Args:
        text: a video file, a folder of images, the number of a camera, or a URL.
        log: called with a line about parts that were repaired or left out.
        timeout: seconds that a stream may take to answer.

    Raises:
        LrfaceError: there is no such file, or PyAV is not installed.
    """
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


class Folder:
    """The images of a folder, sorted by the numbers in their names, with the frame rate ``FOLDER_RATE``."""

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
        """See :class:`lrface.video.frames.Source`. An image that cannot be read is left out and logged."""
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
    """A file that PyAV opens: MP4, MKV, AVI, GIF and other formats of FFmpeg."""

    live = False

    def __init__(self, path: Path, log: Log) -> None:
        self.name, self._log = str(path), log
        av = load_av()
        with open_container(av, self.name) as container:
            stream = container.streams.video[0]
            self.rate = usual_rate(stream)
            self.total: int | None = stream.frames or None

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`. Broken parts are left out, and their number is logged at the end."""
        av = load_av()
        with open_container(av, self.name) as container:
            reader = Reader(av, container, self.rate)
            yield from reader.frames()
        if not reader.count:
            raise LrfaceError(f"{self.name}: no frame of the video can be decoded")
        if reader.broken:
            self._log(f"{self.name}: {reader.broken} broken parts of the video were left out")


def _natural(path: Path) -> list[Any]:
    """Sort key for names with numbers: ``frame10`` comes after ``frame9``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name) if part]

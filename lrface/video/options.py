"""What a watch may be asked for."""

from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError


@dataclass(frozen=True)
class WatchOptions:
    """Settings of :func:`lrface.video.watch.watch`.

    Attributes:
        every: look at every so manieth frame.
        realtime: drop frames that the machine has no time for; a file then runs as fast as it was filmed. Cameras and streams
            always do.
        out: folder of what is written; None: nothing is.
        resume: go on in ``out`` where a watch was interrupted.
        faces: write pictures; False leaves every one out.
        video: write ``video.mp4`` with boxes and names; of files and folders.
        far: false accept rate of one comparison with a face of the gallery.
        threshold: a cosine instead.
        patience: seconds that somebody may be unseen and still be the same track.
        looks: fewer looks are no track.
        timeout: seconds that a stream may take to answer.
        progress: show a bar.

    Raises:
        LrfaceError: two of them contradict each other, or a number makes no sense.
    """

    every: int = 1
    realtime: bool = False
    out: Path | None = None
    resume: bool = False
    faces: bool = True
    video: bool = False
    far: float = 0.001
    threshold: float | None = None
    patience: float = 2.0
    looks: int = 3
    timeout: float = 10.0
    progress: bool = False

    def __post_init__(self) -> None:
        if self.every < 1 or self.looks < 1 or self.patience <= 0 or self.timeout <= 0:
            raise LrfaceError("a watch needs every and looks of 1 at least, and patience and timeout above 0")
        if self.out is None and (self.resume or self.video):
            raise LrfaceError(
                f"--{'resume' if self.resume else 'video'} needs the folder of what is written: give --out"
            )
        if self.video and not self.faces:
            raise LrfaceError("--video writes pictures, and --no-faces leaves every one out: give one of the two")

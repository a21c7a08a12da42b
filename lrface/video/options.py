"""The options of a watch."""

from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError

#: Seconds of video between two searches of the whole frame by default: ``benchmarks/results/watch_tracks.md``.
SEARCH = 0.5


#: The options that determine the results, so that a watch can only be resumed with the same ones.
DECIDING = ("every", "search", "realtime", "faces", "far", "threshold", "patience", "looks")


@dataclass(frozen=True)
class WatchOptions:
    """Settings of :func:`lrface.video.watch.watch`.

    Attributes:
        every: process only every n-th frame.
        search: seconds of video between two searches of the whole frame. In between, faces are only looked for where the
            tracked people should be. 0: every frame is searched whole. Detectors that cannot look near a place always do that.
        batch: number of frames that are searched at once, for a GPU; more than one needs a ``search`` of 0. Live sources take
            one frame at a time.
        realtime: skip frames if the machine is too slow, so that a file is processed as fast as it was filmed. Cameras and
            streams always do this.
        out: folder for the results; None: nothing is written.
        resume: continue an interrupted watch in ``out``.
        faces: write images of faces; False writes none.
        video: write ``video.mp4`` with boxes and names, for files and folders.
        far: false accept rate of one comparison with a face of the gallery.
        threshold: a cosine to use instead.
        patience: seconds for which a person may be unseen and still continue the same track.
        looks: smallest number of faces in a track.
        timeout: seconds that a stream may take to answer.
        progress: show a progress bar.

    Raises:
        LrfaceError: two settings contradict each other, or a number makes no sense.
    """

    every: int = 1
    search: float = SEARCH
    batch: int = 1
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
        if min(self.every, self.looks, self.batch) < 1 or self.search < 0 or self.patience <= 0 or self.timeout <= 0:
            raise LrfaceError(
                "a watch needs every, looks and batch of 1 at least, search of 0 at least, and patience and timeout above 0"
            )
        if self.batch > 1 and self.search > 0:
            raise LrfaceError(
                "frames are only searched in batches if each is searched whole: give search 0 with a batch"
            )
        if self.out is None and (self.resume or self.video):
            raise LrfaceError(
                f"--{'resume' if self.resume else 'video'} needs the folder of what is written: give --out"
            )
        if self.video and not self.faces:
            raise LrfaceError("--video writes pictures, and --no-faces leaves every one out: give one of the two")

"""Videos that were uploaded: :mod:`lrface.video` follows the people, and each event becomes one line of the answer."""

import base64
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from lrface.errors import LrfaceError
from lrface.recognition.encoder import ImageError
from lrface.serve.batching import Upright
from lrface.serve.engine import Engine
from lrface.video.decode import Reader, load_av, open_container, usual_rate
from lrface.video.frames import Frame

#: The name of the video in messages.
NAME = "the video"

#: Names of FFmpeg's demuxers that may open a video. Playlists are not among them, as they name other files and addresses.
FORMATS = "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"

#: Maximum number of pixels of a frame. 8K has 33 million.
MOST_PIXELS = 36_000_000

#: Frames per second of video that are searched for faces, unless the request says otherwise.
LOOKS_A_SECOND = 8

#: Minimum seconds between two progress lines.
PROGRESS_SECONDS = 0.5

Tell = Callable[[dict[str, Any]], None]


def can_watch() -> bool:
    """Whether the extra ``video`` is installed."""
    try:
        import av  # noqa: F401
        import trackers  # noqa: F401
    except ImportError:
        return False
    return True


class Clip:
    """A source of frames (:class:`lrface.video.frames.Source`): an open file.

    Args:
        file: the video.
        seconds: maximum time to watch it.
        stopped: returns whether the client has gone.
        notify: called now and then with the time of the newest frame, in seconds of the video.

    Attributes:
        frames_read: number of frames so far.
        time: of the newest frame, in seconds of the video.
        length: of the video in seconds; None: the file does not say.
        cut: whether ``seconds`` were over before the video was.
        broken: number of parts that could not be decoded.

    Raises:
        ImageError: the file is not a video that may be opened, or its frames are too large.
    """

    live, name = False, NAME

    def __init__(
        self, file: IO[bytes], seconds: float, stopped: Callable[[], bool], notify: Callable[[float], None]
    ) -> None:
        av, opened = load_av(), cast(Any, file)  # PyAV takes a path or an open file
        try:
            options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
            self._container = open_container(av, opened, mode="r", options=options)
        except LrfaceError as error:
            raise ImageError(f"{NAME} cannot be read: MP4, MKV, WebM, AVI, GIF and the like are") from error
        stream = self._container.streams.video[0]
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            self._container.close()
            raise ImageError(f"{NAME} has frames of more than {MOST_PIXELS:,} pixels")
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        self.rate = usual_rate(stream)
        self.total: int | None = stream.frames or None
        duration = self._container.duration
        self.length = None if duration is None else float(duration / av.time_base)
        self._end, self._stopped, self._notify = time.monotonic() + seconds, stopped, notify
        self.frames_read, self.time, self.cut, self.broken = 0, 0.0, False, 0

    def frames(self) -> Iterator[Frame]:
        """See :class:`lrface.video.frames.Source`. The frames end early if the time is over or the client has gone.

        Raises:
            ImageError: no frame can be decoded.
        """
        with self._container:
            reader = Reader(load_av(), self._container, self.rate)
            reported = 0.0
            for frame in reader.frames():
                now = time.monotonic()
                self.cut = now > self._end
                if self.cut or self._stopped():
                    break
                self.frames_read, self.time = reader.count + 1, frame.time
                if now - reported > PROGRESS_SECONDS:
                    reported = now
                    self._notify(frame.time)
                yield frame
            self.broken = reader.broken
        if not self.frames_read and not self.cut and not self._stopped():
            raise ImageError(f"{NAME} holds no frame that can be decoded")


def watch_clip(
    engine: Engine, file: IO[bytes], every: int | None, far: float, threshold: float | None, crops: bool, seconds: float,
    tell: Tell, stopped: Callable[[], bool],
) -> None:  # fmt: skip
    """Follow the people in a video and report who was there and when.

    Args:
        engine: the model and the gallery.
        file: the video. It is closed at the end.
        every: search every n-th frame; None: about ``LOOKS_A_SECOND``.
        far, threshold: see :meth:`lrface.recognition.gallery.Gallery.search`.
        crops: add the best look at each person to the answer.
        seconds: maximum time. The answer then covers the video up to there.
        tell: called with each line (:class:`lrface.serve.schema.WatchLine`).
        stopped: returns whether the client has gone.

    Raises:
        LrfaceError: the file is not a video, or the model is not calibrated for ``far``.
    """
    from lrface.video.clusters import group_tracks
    from lrface.video.options import WatchOptions
    from lrface.video.watch import Watch

    with file:
        clip: Clip

        def notify(at: float) -> None:
            tell({"kind": "progress", "time": round(at, 2), "length": clip.length})

        clip = Clip(file, seconds, stopped, notify)
        every = every or max(1, round(clip.rate / LOOKS_A_SECOND))
        options = WatchOptions(every=every, far=far, threshold=threshold, faces=crops)
        notes: list[str] = []
        watch = Watch(clip, Upright(engine.searcher), engine.gallery, options, notes.append)
        shown: dict[int, str | None] = {}
        people = []
        for event in watch.run():
            person = event.person
            if event.kind == "ended":
                people.append(person)
                shown[person.track] = _as_url(event.crop)
            tell({"kind": event.kind, "time": round(event.time, 3), "person": person.as_dict()})
        if stopped():
            return
        groups = [
            {"name": group.name, "tracks": [each.as_dict() | {"crop": shown[each.track]} for each in group.tracks]}
            for group in group_tracks(people, watch.limits)
        ]
        if clip.broken:
            notes.append(f"{clip.broken} broken parts of {NAME} were left out")
        if clip.cut:
            notes.append(f"the watch was ended at {clip.time:.1f} s of {NAME}: it took more than {seconds:g} seconds")
        facts = {"length": round(clip.time, 3), "frames": clip.frames_read, "every": every, "complete": not clip.cut}
        tell({"kind": "done", **facts, "people": groups, "notes": notes})


def _as_url(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()

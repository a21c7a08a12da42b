"""A video that was sent: followed by :mod:`lrface.video`, told line by line."""

import base64
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from lrface.errors import LrfaceError
from lrface.recognition.encoder import ImageError
from lrface.serve.batching import Upright
from lrface.serve.engine import Engine
from lrface.video.decode import Reader, load_av, open_container, usual_rate
from lrface.video.frames import Frame

#: What a video may be called in messages.
NAME = "the video"

#: Kinds of files that are opened. Playlists and lists of files are none of them: those name other files and addresses.
FORMATS = "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"

#: Larger frames are not decoded: 8K has 33 million pixels.
MOST_PIXELS = 36_000_000

#: Looks a second, about, unless a request says otherwise: walking people are followed, and a minute is a few hundred frames.
LOOKS_A_SECOND = 8

#: Seconds between two lines about the progress.
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
    """A source of frames: the file as it came, read in memory or from a file without a name.

    Args:
        file: of the video.
        seconds: that watching may take.
        stopped: whether nobody waits any more.
        notify: called with the time of the newest frame, in seconds, now and then.

    Attributes:
        frames_read: frames so far.
        time: of the newest one, in seconds.
        length: of the video in seconds, if it tells.
        cut: whether the watch ended before the video did, because of ``seconds``.
        broken: parts that could not be decoded.

    Raises:
        ImageError: it is no video.
    """

    live, name = False, NAME

    def __init__(
        self, file: IO[bytes], seconds: float, stopped: Callable[[], bool], notify: Callable[[float], None]
    ) -> None:
        av = load_av()
        try:
            options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
            self._container = open_container(av, file, mode="r", options=options)
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
        """See :class:`lrface.video.frames.Source`. Ends early where the time is up, or nobody waits."""
        with self._container:
            reader = Reader(load_av(), self._container, self.rate)
            told = 0.0
            for frame in reader.frames():
                now = time.monotonic()
                self.cut = now > self._end
                if self.cut or self._stopped():
                    break
                self.frames_read, self.time = reader.count + 1, frame.time
                if now - told > PROGRESS_SECONDS:
                    told = now
                    self._notify(frame.time)
                yield frame
            self.broken = reader.broken
        if not self.frames_read and not self.cut and not self._stopped():
            raise ImageError(f"{NAME} holds no frame that can be decoded")


def watch_clip(
    engine: Engine, file: IO[bytes], every: int | None, far: float, threshold: float | None, crops: bool, seconds: float,
    tell: Tell, stopped: Callable[[], bool],
) -> None:  # fmt: skip
    """Follow the people of a video, and tell who was there when.

    Args:
        engine: the model and the gallery.
        file: of the video; closed at the end.
        every: look at every so manieth frame; None: about ``LOOKS_A_SECOND``.
        far, threshold: see :meth:`lrface.recognition.gallery.Gallery.search`.
        crops: show the best look at each person.
        seconds: that it may take; what was seen until then is told.
        tell: called with each line, as :mod:`lrface.serve.schema` describes them.
        stopped: whether nobody listens any more.

    Raises:
        LrfaceError: it is no video, or the model does not know the rate.
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
        gallery, notes = engine.gallery, []
        watch = Watch(clip, Upright(engine.searcher), gallery, options, notes.append)
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
            for group in group_tracks(people, watch.limits())
        ]
        if clip.broken:
            notes.append(f"{clip.broken} broken parts of {NAME} were left out")
        if clip.cut:
            notes.append(f"the watch was ended at {clip.time:.1f} s of {NAME}: it took more than {seconds:g} seconds")
        facts = {"length": round(clip.time, 3), "frames": clip.frames_read, "every": every, "complete": not clip.cut}
        tell({"kind": "done", **facts, "people": groups, "notes": notes})


def _as_url(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()

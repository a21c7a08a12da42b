"""Watching a source: from frames to events."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.address import shown
from lrface.video.alike import join_limits
from lrface.video.clusters import group_tracks
from lrface.video.events import Event
from lrface.video.eye import Eye
from lrface.video.frames import Frame, Source
from lrface.video.journal import Lines, read_frames, write_frame
from lrface.video.look import Look
from lrface.video.names import Namer, open_people
from lrface.video.options import DECIDING, WatchOptions
from lrface.video.realtime import Newest
from lrface.video.sources import open_source
from lrface.video.track import Track
from lrface.video.tracking import Tracker
from lrface.video.writer import JOURNAL, Writer, claimed


def watch(
    source: str | Path | int,
    gallery: str | Path | Gallery | None = None,
    encoder: FaceEncoder | None = None,
    out: str | Path | None = None,
    log: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[Event]:
    """Track the faces of a video or a camera, and report who they are.

    >>> for event in lrface.watch("door.mp4", gallery="people"):  # doctest: +SKIP
    ...     print(event.kind, event.time, event.person.name)

    Args:
        source: a video file, a folder of images, the number of a camera, or a URL.
        gallery: the known people, a folder, an address (``postgresql://...``) or an open gallery; None: nobody is named.
        encoder: the model and its detector; by default the shipped one. An open gallery has its own.
        out: folder for tracks, crops and the report; None: nothing is written.
        log: called with a line about parts that were left out, breaks, and dropped frames.
        options: see :class:`lrface.video.options.WatchOptions`.

    Yields:
        Events, in the order of their discovery.

    Raises:
        LrfaceError: the source cannot be read, the gallery was made with another model, the folder is in use or cannot be
            written, an option makes no sense, or a package is missing.
    """
    chosen = WatchOptions(out=None if out is None else Path(out), **options)
    log = log or _silent
    opened = open_source(source, log, chosen.timeout)
    if opened.live and (chosen.resume or chosen.video):
        what = "--resume" if chosen.resume else "--video"
        raise LrfaceError(f"{opened.name}: {what} needs a file or a folder of frames; a camera or a stream has gone on")
    with ExitStack() as stack:
        people, model = open_people(stack, gallery, encoder)
        if chosen.out is not None:
            stack.enter_context(claimed(chosen.out))
        name = shown(gallery) if isinstance(gallery, str | Path) else None
        yield from Watch(opened, model, people, chosen, log, name).run()


class Watch:
    """One run over a source; see :func:`watch`.

    Attributes:
        limits: see :mod:`lrface.video.alike`.
    """

    def __init__(
        self, source: Source, encoder: FaceEncoder, gallery: Gallery | None, options: WatchOptions,
        log: Callable[[str], None], gallery_name: str | None = None,
    ) -> None:  # fmt: skip
        self._source, self._encoder, self._options, self._log = source, encoder, options, log
        self._gallery_name = gallery_name
        self._namer = Namer(gallery, options.far, options.threshold)
        self.limits = join_limits(encoder)
        self._tracker = self.new_tracker()
        self._eye = Eye(encoder, options.search, options.faces)
        self._writer: Writer | None = None
        self._last = (-1, 0.0)
        self._looked = 0

    def run(self) -> Iterator[Event]:
        """Run the watch; see :func:`watch`."""
        options = self._options
        journal: Lines | None = None
        if options.out is not None:
            self._writer = Writer(options.out, self._settings(), options.resume, options.faces)
            if self._writer.finished:
                self._writer.close()
                self._log(f"{options.out}: this watch is finished")
                return
            self._replay(options.out / JOURNAL)
            journal = Lines(options.out / JOURNAL)
        try:
            yield from self._follow(journal)
        finally:
            if journal is not None:
                journal.close()
            if self._writer is not None:
                self._writer.close()

    def _follow(self, journal: Lines | None) -> Iterator[Event]:
        trouble = None
        live = self._options.realtime or self._source.live
        newest = Newest(self._source) if live else None
        frames = (newest or self._source).frames()
        try:
            for some in _batches(self._chosen(frames), 1 if live else self._options.batch):
                for frame, looks in zip(some, self._look(some), strict=True):
                    yield from self._take(frame.index, frame.time, looks, journal)
        except LrfaceError as error:
            if not self._looked or not self._source.live:
                raise
            trouble = error  # a camera was unplugged: its results are completed first
        except KeyboardInterrupt:
            if not self._source.live:
                raise
            self._log("stopped")
        yield from self._end(self._tracker.finish())
        if newest is not None and newest.dropped:
            self._log(f"{newest.dropped:,} frames were dropped: the machine had no time for them")
        self._finish(newest.dropped if newest is not None else 0)
        if trouble is not None:
            raise trouble

    def _chosen(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames to process: every n-th, after those in the journal."""
        bar = tqdm(
            total=self._source.total, desc="watching", unit="frame", disable=None if self._options.progress else True
        )
        with bar, contextlib.closing(frames):  # type: ignore[type-var]
            for frame in frames:
                bar.update(frame.index + 1 - bar.n)
                if frame.index > self._last[0] and frame.index % self._options.every == 0:
                    yield frame

    def _look(self, frames: list[Frame]) -> list[list[Look]]:
        if len(frames) > 1:
            return self._eye.look_at_all(frames)
        return [self._eye.look(frames[0], self._tracker.expected(frames[0].time))]

    def _take(self, index: int, time: float, looks: list[Look], journal: Lines | None) -> Iterator[Event]:
        """Process a frame's faces. They are in the journal before any event is reported."""
        ended = self._tracker.update(time, looks)
        self._looked += 1
        self._last = (index, time)
        if journal is not None:
            write_frame(journal, index, time, looks, self._eye.searched >= time)
        yield from self._end(ended)
        for track in self._tracker.tracks:
            if (event := self._namer.look_again(time, track)) is not None:
                yield event

    def _replay(self, path: Path) -> None:
        """Process the faces in a journal. Their events were reported before and are not repeated."""
        for index, time, looks, whole in read_frames(path):
            if whole:
                self._eye.searched = time
            for _ in self._take(index, time, looks, None):
                pass
        if self._looked:
            self._log(f"going on after frame {self._last[0]}, at {self._last[1]:.1f} s")

    def _end(self, tracks: list[Track]) -> Iterator[Event]:
        for track in tracks:
            if track.template.count < self._options.looks:
                self._namer.forget(track)
                continue
            person = self._namer.conclude(track)
            if self._writer is not None:
                self._writer.write(person, track)
            yield Event("ended", self._last[1], person, track.best.jpeg if track.best else None)

    def _finish(self, dropped: int) -> None:
        if self._writer is None:
            return
        from lrface.video.report import write_report

        facts = {"frames": self._last[0] + 1, "looked_at": self._looked, "dropped": dropped, "seconds": self._last[1]}
        groups = group_tracks(self._writer.people, self.limits)
        write_report(self._writer.out, groups, self._settings() | facts, self._gallery_name, self._options.faces)
        if self._options.video:
            from lrface.video.picture import write_video

            write_video(self._source, self._writer, self.new_tracker(), self._tracker.joined, self._options.progress)
        self._writer.finish(facts)

    def _settings(self) -> dict[str, Any]:
        """The settings that determine the results."""
        path = Path(self._source.name)
        return {
            "format": 2,
            "source": self._source.name,
            "bytes": path.stat().st_size if path.is_file() else None,
            "model": self._encoder.embedder.fingerprint,
            "detector": self._encoder.detector,
        } | {name: getattr(self._options, name) for name in DECIDING}

    def new_tracker(self) -> Tracker:
        """A new tracker with the settings of this watch."""
        return Tracker(self._source.rate / self._options.every, self._options.patience, self.limits)


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Lists of so many frames, the last one of the rest."""
    while some := list(islice(frames, size)):
        yield some


def _silent(line: str) -> None:
    """Default ``log``: ignores the line."""

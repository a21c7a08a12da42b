"""The video with boxes and names, made in a second pass over a file, once all names are known."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from tqdm import tqdm

from lrface.errors import LrfaceError
from lrface.faces.draw import INK, KNOWN, UNKNOWN
from lrface.video.decode import load_av, reason
from lrface.video.events import Person
from lrface.video.frames import Source
from lrface.video.journal import read_frames
from lrface.video.tracking import Tracker
from lrface.video.writer import JOURNAL, Writer

VIDEO = "video.mp4"

#: Time units per second of the written file, which makes its times accurate to a millisecond.
_TICKS = 1000


def write_video(source: Source, writer: Writer, tracker: Tracker, joined: Mapping[int, int], progress: bool) -> None:
    """Write ``video.mp4``, H.264, with the frames' true times.

    Args:
        source: of the watch; a file or a folder.
        writer: its folder, with all ended tracks.
        tracker: a new tracker with the same settings; it processes the journal once more.
        joined: of the watch's own tracker, see :class:`lrface.video.tracking.Tracker`.
        progress: show a progress bar.

    Raises:
        LrfaceError: the file cannot be written.
    """
    av = load_av()
    people = {person.track: person for person in writer.people}
    path, beside = writer.out / VIDEO, writer.out / f".{VIDEO}"
    boxes = _boxes(writer, tracker, joined, people)
    upcoming = next(boxes, None)
    shown: list[tuple[np.ndarray, Person]] = []
    stream: Any = None
    try:
        with av.open(str(beside), "w", format="mp4") as container:
            bar = tqdm(source.frames(), "drawing", source.total, unit="frame", disable=None if progress else True)
            for frame in bar:
                if upcoming is not None and upcoming[0] <= frame.index:
                    shown = upcoming[1]
                    upcoming = next(boxes, None)
                image = draw(frame.image, shown)
                if stream is None:
                    stream = _add_stream(container, image, source.rate)
                picture = av.VideoFrame.from_ndarray(image[: stream.height, : stream.width], format="rgb24")
                picture.pts, picture.time_base = round(frame.time * _TICKS), Fraction(1, _TICKS)
                container.mux(stream.encode(picture))
            if stream is not None:
                container.mux(stream.encode())
        beside.replace(path)
    except (av.error.FFmpegError, OSError) as error:
        raise LrfaceError(f"cannot write {path}: {reason(error)}") from error
    finally:
        beside.unlink(missing_ok=True)


def draw(image: np.ndarray, shown: list[tuple[np.ndarray, Person]]) -> np.ndarray:
    """Draw boxes and names on a frame: uint8 RGB ``[h, w, 3]``. Without any, the image itself is returned."""
    from PIL import Image, ImageDraw, ImageFont

    if not shown:
        return image
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(11, image.shape[0] // 45))
    for box, person in shown:
        colour = KNOWN if person.name else UNKNOWN
        left, top, right, bottom = (float(edge) for edge in box)
        canvas.rectangle((left, top, right, bottom), outline=colour, width=2)
        text = person.name or f"unknown, track {person.track}"
        extent = canvas.textbbox((0, 0), text, font=font)
        height = extent[3] + 4
        place = (left, top - height if top >= height else bottom)
        canvas.rectangle((*place, place[0] + extent[2] + 6, place[1] + height), fill=colour)
        canvas.text((place[0] + 3, place[1] + 1), text, fill=INK, font=font)
    return np.asarray(picture)


def _boxes(
    writer: Writer, tracker: Tracker, joined: Mapping[int, int], people: Mapping[int, Person]
) -> Iterator[tuple[int, list[tuple[np.ndarray, Person]]]]:
    """Yield, for each processed frame, its index and the box of each track that was seen."""
    for index, time, looks, _ in read_frames(writer.out / JOURNAL):
        tracker.update(time, looks)
        seen = []
        for track in tracker.tracks:
            number = track.number
            while number in joined:
                number = joined[number]
            if track.end == time and number in people:
                seen.append((track.last.box, people[number]))
        yield index, seen


def _add_stream(container: Any, image: np.ndarray, rate: float) -> Any:
    stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
    height, width = image.shape[:2]
    stream.width, stream.height = width - width % 2, height - height % 2  # yuv420p needs even sides
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    return stream

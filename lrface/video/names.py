"""Naming tracks: comparing their templates with a gallery."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.search import SEARCH_FAR
from lrface.video.events import Event, Person
from lrface.video.template import Template
from lrface.video.track import Track

#: Smallest number of faces for naming a track, and the factor by which they must grow before the next comparison.
FIRST, AGAIN = 4, 1.5


@dataclass(frozen=True)
class Naming:
    """A gallery's answer about a template; see :class:`lrface.video.events.Person`."""

    name: str | None = None
    nearest: str | None = None
    similarity: float | None = None
    threshold: float | None = None
    risk: float | None = None


class Namer:
    """Names tracks, and corrects their names when their templates have become better.

    Args:
        gallery: the known people; None: nobody is named.
        far: false accept rate of one comparison.
        threshold: a cosine to use instead.

    Raises:
        LrfaceError: the model is not calibrated for this rate.
    """

    def __init__(self, gallery: Gallery | None, far: float = SEARCH_FAR, threshold: float | None = None) -> None:
        self._gallery, self._far, self._threshold = gallery, far, threshold
        # Track -> number of faces at the last comparison, and the name then.
        self._named: dict[int, tuple[int, str | None]] = {}
        if gallery is not None and gallery.encoder is not None:
            gallery.encoder.check_threshold(far, threshold)

    def look_again(self, time: float, track: Track) -> Event | None:
        """Compare a track with the gallery if it has grown enough since the last time. Returns the event of a changed name."""
        count = track.template.count
        before, was = self._named.get(track.number, (0, None))
        if count < max(FIRST, AGAIN * before):
            return None
        naming = self._search(track.template)
        self._named[track.number] = (count, naming.name)
        if naming.name == was:
            return None
        return Event("named" if was is None else "corrected", time, _person(track, naming))

    def conclude(self, track: Track) -> Person:
        """The last answer about a track that has ended."""
        self.forget(track)
        return _person(track, self._search(track.template))

    def forget(self, track: Track) -> None:
        """Leave out a track that has ended."""
        self._named.pop(track.number, None)

    def _search(self, template: Template) -> Naming:
        """Find the person of a template. With fewer than ``FIRST`` faces there is no name yet, only the nearest person."""
        if self._gallery is None:
            return Naming()
        answer = self._gallery.search_embedding(
            template.embedding, 1, self._far, self._threshold, template.detail, template.count
        )
        if not answer.matches:
            return Naming()
        best = answer.matches[0]
        name = answer.name if template.count >= FIRST else None
        return Naming(name, best.name, best.similarity, best.threshold, best.risk)


def open_people(
    stack: ExitStack, gallery: str | Path | Gallery | None, encoder: FaceEncoder | None
) -> tuple[Gallery | None, FaceEncoder]:
    """The gallery and the model of its embeddings. If the gallery is opened here, the stack closes it.

    Raises:
        LrfaceError: the gallery cannot be opened, was made with another model, or was opened without one.
    """
    if isinstance(gallery, Gallery):
        if gallery.encoder is None:
            raise LrfaceError("this gallery was opened without a model: open it with an encoder to watch with it")
        return gallery, gallery.encoder
    encoder = encoder or FaceEncoder.load(turn=False)
    if gallery is None:
        return None, encoder
    people = stack.enter_context(Gallery.open(gallery, encoder, create=False))
    return people, people.encoder or encoder


def _person(track: Track, naming: Naming) -> Person:
    best = track.best
    assert best is not None
    return Person(
        track.number, naming.name, track.start, track.end, track.template.count, naming.similarity, naming.threshold,
        naming.risk, naming.nearest, track.template.detail, best.detail, tuple(best.box.tolist()), best.time,
        track.template.embedding,
    )  # fmt: skip

"""Naming tracks: comparing their templates with a gallery."""

from dataclasses import dataclass

from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.search import SEARCH_FAR
from lrface.video.template import Template

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
    """Names templates.

    Args:
        gallery: the known people; None: nobody is named.
        far: false accept rate of one comparison.
        threshold: a cosine to use instead.

    Raises:
        LrfaceError: the model is not calibrated for this rate.
    """

    def __init__(self, gallery: Gallery | None, far: float = SEARCH_FAR, threshold: float | None = None) -> None:
        self._gallery, self._far, self._threshold = gallery, far, threshold
        if gallery is not None and gallery.encoder is not None:
            gallery.encoder.check_threshold(far, threshold)

    def name(self, template: Template) -> Naming:
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

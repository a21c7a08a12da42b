"""Faces that may be enrolled under a wrong name: those that resemble somebody else more than their own person, or nobody."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery.judge import Judge
from lrface.recognition.gallery.protocol import Face, GalleryStore, as_rows
from lrface.recognition.gallery.snapshot import Snapshots

#: A face resembles a person whose faces are, in the median, above the threshold for this false accept rate.
LIKE_FAR = 0.01

#: A face resembles its own person no more than strangers do where they are, in the median, below the threshold for this one.
UNLIKE_FAR = 0.1

#: Among so many other people, those of the nearest faces, somebody is looked for whom a face resembles more.
_OTHERS = 3


@dataclass(frozen=True)
class Suspect:
    """A face to look at.

    Attributes:
        name, photo: whose it is said to be, and where it came from.
        own: the median of its cosines to the other faces of that person; None if there are no others.
        other: whom it resembles more; None for nobody at all.
        similarity: the median of its cosines to the faces of ``other``, or of the nearest other person; None if there are
            no others.
    """

    name: str
    photo: str
    own: float | None
    other: str | None
    similarity: float | None

    def as_dict(self) -> dict[str, Any]:
        """The fields, as JSON writes them."""
        return asdict(self)

    @property
    def reason(self) -> str:
        """In words."""
        own = "the only one of this person" if self.own is None else f"{self.own:.4f} to its own person"
        if self.other is None:
            return f"resembles nobody: {own}"
        return f"resembles {self.other} more: {self.similarity:.4f}, and {own}"


def find_suspects(snapshots: Snapshots, encoder: FaceEncoder, progress: bool = False) -> list[Suspect]:
    """Compare each face with its own person and with the people of the nearest faces.

    The median decides, so that several wrong photos of one other person do not vouch for each other, as long as they are
    the minority.

    Args:
        snapshots, encoder: of the gallery.
        progress: show a bar.

    Returns:
        By name.

    Raises:
        LrfaceError: the model carries no thresholds, or the gallery cannot be read.
    """
    from tqdm import tqdm

    if not encoder.thresholds:
        raise LrfaceError("this model carries no calibrated thresholds: faces of a gallery cannot be checked with it")
    store, found = snapshots.store, list[Suspect]()
    with snapshots.take():
        totals = store.totals()
        left = set(store.ids(totals.last).tolist())
        with tqdm(total=len(left), unit="face", desc="check", disable=None if progress else True) as bar:
            while left:
                (face,) = store.fetch(np.array([min(left)]))
                own = store.of_people([face.person])
                found += _suspects(snapshots, encoder, own)
                left -= {each.id for each in own}
                bar.update(len(own))
    return sorted(found, key=lambda suspect: (suspect.name, suspect.photo))


def _suspects(snapshots: Snapshots, encoder: FaceEncoder, own: list[Face]) -> list[Suspect]:
    """Those among the faces of one person."""
    store, rows, found = snapshots.store, _rows(snapshots.store, own), []
    for at, face in enumerate(own):
        like, unlike = (_judge(encoder, far, face) for far in (LIKE_FAR, UNLIKE_FAR))
        rest = [other for other in range(len(own)) if other != at]
        mine = rows[rest] @ rows[at] if rest else None
        own_margin = -np.inf if mine is None else float(np.median(mine - _limits(like, [own[other] for other in rest])))
        best: tuple[float, float, int] | None = None
        for faces in _nearest_people(snapshots, rows[at], face.person):
            theirs = _rows(store, faces) @ rows[at]
            margin = float(np.median(theirs - _limits(like, faces)))
            if best is None or margin > best[0]:
                best = margin, float(np.median(theirs)), faces[0].id
        resembles = best is not None and best[0] > max(0.0, own_margin)
        alone = mine is not None and float(np.median(mine - _limits(unlike, [own[other] for other in rest]))) < 0
        if resembles or alone:
            name, photo = store.describe(face.id)
            other = store.describe(best[2])[0] if resembles and best else None
            median = None if mine is None else round(float(np.median(mine)), 4)
            found.append(Suspect(name, photo, median, other, round(best[1], 4) if best else None))
    return found


def _nearest_people(snapshots: Snapshots, query: np.ndarray, person: int) -> list[list[Face]]:
    """All faces of each of the other people whose faces are nearest."""
    store = snapshots.store
    ids, _ = snapshots.cache.nearest(query, 0)
    near = store.fetch(ids)
    order = np.argsort(-(_rows(store, near) @ query))
    people = [near[at].person for at in order if near[at].person != person]
    chosen = list(dict.fromkeys(people))[:_OTHERS]
    faces = store.of_people(chosen)
    return [[face for face in faces if face.person == each] for each in chosen]


def _judge(encoder: FaceEncoder, far: float, face: Face) -> Judge:
    """For the rate, or the nearest that the model is calibrated for."""
    known = encoder.thresholds
    return Judge(encoder, float(np.clip(far, min(known), max(known))), None, face.resolution)


def _limits(judge: Judge, faces: list[Face]) -> np.ndarray:
    return judge.thresholds(np.array([face.resolution for face in faces], np.float64))


def _rows(store: GalleryStore, faces: list[Face]) -> np.ndarray:
    """float32 ``[n, dim]``; a damaged face resembles nobody."""
    rows = as_rows([face.embedding for face in faces], store.meta["dim"]).astype(np.float32)
    rows[~np.isfinite(rows).all(axis=1)] = 0
    normalised: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return normalised

"""Faces that may be enrolled under a wrong name: they look more like another person than like their own, or like nobody."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery.decision import DecisionRule
from lrface.recognition.gallery.protocol import Face
from lrface.recognition.gallery.ranking import best_people, unit_rows
from lrface.recognition.gallery.snapshot import Snapshots

#: A face looks like a person if its median margin over the thresholds for this false accept rate is positive.
LIKE_FAR = 0.01

#: A face does not look like its own person if its median margin over the thresholds for this false accept rate is negative.
UNLIKE_FAR = 0.1

#: Number of other people, those with the nearest faces, with whom a face is compared.
_OTHERS = 3


@dataclass(frozen=True)
class Suspect:
    """A face that should be checked.

    Attributes:
        name, photo: the person under whom it is enrolled, and its source.
        own: median cosine to the other faces of that person; None if there are no others.
        other: the person whom it resembles more; None if there is none.
        similarity: median cosine to the faces of ``other``, or of the nearest other person; None without other people.
    """

    name: str
    photo: str
    own: float | None
    other: str | None
    similarity: float | None

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)

    @property
    def reason(self) -> str:
        """The reason in words."""
        own = "the only one of this person" if self.own is None else f"{self.own:.4f} to its own person"
        if self.other is None:
            return f"resembles nobody: {own}"
        return f"resembles {self.other} more: {self.similarity:.4f}, and {own}"


def find_suspects(snapshots: Snapshots, encoder: FaceEncoder, progress: bool = False) -> list[Suspect]:
    """Compare each face with its own person and with the people of the nearest faces.

    The median decides. So several wrong photos of one other person do not support each other, as long as they are the
    minority.

    Args:
        snapshots, encoder: of the gallery.
        progress: show a progress bar.

    Returns:
        The suspects, sorted by name.

    Raises:
        LrfaceError: the model has no thresholds, or the gallery cannot be read.
    """
    from tqdm import tqdm

    if not encoder.thresholds:
        raise LrfaceError("this model carries no calibrated thresholds: faces of a gallery cannot be checked with it")
    store, found = snapshots.store, list[Suspect]()
    with snapshots.take():
        totals = store.totals()
        seen = set[int]()
        with tqdm(total=totals.faces, unit="face", desc="check", disable=None if progress else True) as bar:
            for ids, _ in store.embeddings(0, totals.last):
                for person in dict.fromkeys(face.person for face in store.fetch(ids)):
                    if person not in seen:
                        own = store.of_people([person])
                        found += _suspects(snapshots, encoder, own, totals.people)
                        seen.add(person)
                        bar.update(len(own))
    return sorted(found, key=lambda suspect: (suspect.name, suspect.photo))


def _suspects(snapshots: Snapshots, encoder: FaceEncoder, own: list[Face], people: int) -> list[Suspect]:
    """The suspects among the faces of one person."""
    store, found = snapshots.store, list[Suspect]()
    rows = unit_rows(own, store.meta["dim"])
    for at, (face, row) in enumerate(zip(own, rows, strict=True)):
        like, unlike = (_rule(encoder, far, face) for far in (LIKE_FAR, UNLIKE_FAR))
        rest = own[:at] + own[at + 1 :]
        mine = _compare(row, rest, like)
        near = best_people(store, snapshots.cache, row, min(1 + _OTHERS, people), like)
        chosen = [each.person for each in near if each.person != face.person]
        theirs = [_compare(row, list(group), like) for _, group in _by_person(store.of_people(chosen))]
        best = max(theirs, key=lambda each: each.margin, default=None)
        resembles = best is not None and best.margin > max(0.0, mine.margin if rest else 0.0)
        if resembles or (rest and _compare(row, rest, unlike).margin < 0):
            name, photo = store.describe(face.id)
            other = store.describe(best.face)[0] if resembles and best else None
            found.append(
                Suspect(name, photo, mine.median if rest else None, other, None if best is None else best.median)
            )
    return found


@dataclass(frozen=True)
class _Likeness:
    """Median cosine of a face to a person's faces, median margin over the thresholds, and the id of one of these faces."""

    median: float
    margin: float
    face: int


def _compare(row: np.ndarray, faces: list[Face], rule: DecisionRule) -> _Likeness:
    if not faces:
        return _Likeness(0.0, -np.inf, 0)
    cosines = unit_rows(faces, len(row)) @ row
    margins = cosines - rule.thresholds(np.array([face.resolution for face in faces], np.float64))
    return _Likeness(round(float(np.median(cosines)), 4), float(np.median(margins)), faces[0].id)


def _by_person(faces: list[Face]) -> Iterator[tuple[int, Iterator[Face]]]:
    return groupby(sorted(faces, key=lambda face: face.person), key=lambda face: face.person)


def _rule(encoder: FaceEncoder, far: float, face: Face) -> DecisionRule:
    """The decision rule for the rate, or for the nearest calibrated one."""
    known = encoder.thresholds
    return DecisionRule(encoder, float(np.clip(far, min(known), max(known))), None, face.resolution)

"""From proposals to people: faces are compared exactly, as the database has them, and each person has the best one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrface.gallery.cache import Cache
from lrface.gallery.store import Store, as_rows

#: The threshold for each of some faces, given what is known of their quality: float ``[n]``.
Limits = Callable[[Sequence[dict[str, Any] | None]], np.ndarray]


@dataclass(frozen=True)
class Candidate:
    """A face that may be the one.

    Attributes:
        face, person: ids.
        similarity: cosine.
        threshold: for this face.
    """

    face: int
    person: int
    similarity: float
    threshold: float

    @property
    def margin(self) -> float:
        """How far the similarity is above the threshold."""
        return self.similarity - self.threshold


def best_people(store: Store, cache: Cache, query: np.ndarray, top: int, limits: Limits) -> list[Candidate]:
    """The best face of each of the best people, best first. Within ``store.reading()``, after ``cache.refresh()``.

    Args:
        store, cache: of the gallery.
        query: float32 ``[dim]``, L2-normalised.
        top: how many people, of whom there are so many; faces are looked at until they have been met.
        limits: thresholds.
    """
    count = 0
    while True:
        ids, complete = cache.nearest(query, count)
        best = _best_faces(store, query, ids, limits)
        if len(best) >= top or complete:
            return sorted(best, key=lambda candidate: -candidate.margin)[:top]
        count = 4 * max(count, len(ids))


def _best_faces(store: Store, query: np.ndarray, ids: np.ndarray, limits: Limits) -> list[Candidate]:
    """Of each person among the faces the best one; faces that are gone do not count."""
    faces = store.fetch(ids)
    rows = as_rows([face.embedding for face in faces], len(query)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)  # rounding to float16 changed their length
    similarities = np.clip(rows @ query, -1, 1).tolist()
    thresholds = limits([face.quality for face in faces]).tolist()
    best: dict[int, Candidate] = {}
    for face, similarity, threshold in zip(faces, similarities, thresholds, strict=True):
        candidate = Candidate(face.id, face.person, similarity, threshold)
        if face.person not in best or candidate.margin > best[face.person].margin:
            best[face.person] = candidate
    return list(best.values())

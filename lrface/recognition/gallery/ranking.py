"""Ranking people: proposed faces are compared exactly with the database, and a person's best face and template decide."""

from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from lrface.recognition.gallery.cache import Cache
from lrface.recognition.gallery.decision import Alike, DecisionRule
from lrface.recognition.gallery.index import EXACT
from lrface.recognition.gallery.protocol import Face, GalleryStore, as_rows
from lrface.recognition.template import compare_sets, weigh

#: The people of the best faces, up to this number, are compared with all of their faces.
POOL = 20


@dataclass(frozen=True)
class Candidate:
    """A face that may be a match.

    Attributes:
        face, person: ids.
        similarity: cosine to this face; for a person compared with all faces, see
            :class:`lrface.recognition.template.SetScore`.
        threshold: for this face, or for the person.
        resolution: of this face, in pixels of detail; None if unknown.
    """

    face: int
    person: int
    similarity: float
    threshold: float
    resolution: float | None

    @property
    def margin(self) -> float:
        """Similarity minus threshold."""
        return self.similarity - self.threshold


def rank_people(
    store: GalleryStore, cache: Cache, query: np.ndarray, top: int, people: int, rule: DecisionRule
) -> list[Candidate]:
    """The best people, best first: those with the best faces (see :func:`best_people`), compared with all of their faces.

    A person with one face is judged by this face; with several, by the best one and the template of all. ``people`` is the
    number of people in the gallery.
    """
    best = {each.person: each for each in best_people(store, cache, query, min(max(top, POOL), people), rule)}
    ranked = []
    faces = sorted(store.of_people(list(best)), key=lambda face: face.person)
    for person, group in groupby(faces, key=lambda face: face.person):
        own = list(group)
        limits = rule.thresholds(np.array([face.resolution for face in own], np.float64))
        weights = weigh([face.recognisability for face in own])
        score = compare_sets(query[None], unit_rows(own, len(query)), limits[None], (np.ones(1), weights))
        ranked.append(replace(best[person], similarity=score.similarity, threshold=score.threshold))
    return sorted(ranked, key=lambda candidate: -candidate.margin)[:top]


def best_people(
    store: GalleryStore, cache: Cache, query: np.ndarray, top: int, rule: DecisionRule | Alike
) -> list[Candidate]:
    """The best face of each of the best people, best first. Call it within ``store.reading()``, after ``cache.refresh()``.

    People are ranked by the margin over the thresholds of their faces. More faces are fetched until there are enough people,
    and until no farther face could change the first person. So many blurred faces, all of them similar but below their
    threshold, cannot hide a sharp one.

    Args:
        store, cache: of the gallery.
        query: float32 ``[dim]``, L2-normalised.
        top: number of people; not more than there are.
        rule: of the query.
    """
    count = 0
    while True:
        ids, complete = cache.nearest(query, count)
        candidates = _compare(store, query, ids, rule)
        best: dict[int, Candidate] = {}
        for candidate in candidates:
            if candidate.person not in best or candidate.margin > best[candidate.person].margin:
                best[candidate.person] = candidate
        ranked = sorted(best.values(), key=lambda candidate: -candidate.margin)
        if complete or (len(ranked) >= top and not _may_change(ranked[0].margin, candidates, cache, rule)):
            return ranked[:top]
        count = 4 * max(count, len(ids))


def _compare(store: GalleryStore, query: np.ndarray, ids: np.ndarray, rule: DecisionRule | Alike) -> list[Candidate]:
    """Compare faces exactly; removed ones are skipped."""
    faces = store.fetch(ids)
    rows = unit_rows(faces, len(query))
    similarities = np.clip(rows @ query, -1, 1).tolist()
    thresholds = rule.thresholds(np.array([face.resolution for face in faces], np.float64)).tolist()
    return [
        Candidate(face.id, face.person, similarity, threshold, face.resolution)
        for face, similarity, threshold in zip(faces, similarities, thresholds, strict=True)
    ]


def unit_rows(faces: list[Face], dim: int) -> np.ndarray:
    """The embeddings of faces, L2-normalised again after rounding to float16: float32 ``[n, dim]``."""
    rows = as_rows([face.embedding for face in faces], dim).astype(np.float32)
    rows[~np.isfinite(rows).all(axis=1)] = 0  # a damaged face is similar to nobody, and must not hide others
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit


def _may_change(best: float, candidates: list[Candidate], cache: Cache, rule: DecisionRule | Alike) -> bool:
    """Whether a face that was not proposed could be better than the best margin among the proposals."""
    similarities = [candidate.similarity for candidate in candidates]
    # An approximate index also proposes some faces that are farther away, so the median is used.
    farthest = min(similarities) if cache.kind == EXACT else float(np.median(similarities))
    return farthest - rule.lowest > max(best, 0)

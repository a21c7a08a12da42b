"""Searching a gallery: from an embedding to an answer."""

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery.answers import Answer, Match
from lrface.recognition.gallery.decision import DecisionRule
from lrface.recognition.gallery.ranking import Candidate, rank_people
from lrface.recognition.gallery.risk import find_risk, percent, stranger_risk
from lrface.recognition.gallery.snapshot import Snapshots

#: Default false accept rate of one comparison; a search makes many.
SEARCH_FAR = 0.001

#: From this risk of naming a stranger on, an answer has a note about it.
RISK = 0.1


def search_embedding(
    snapshots: Snapshots,
    encoder: FaceEncoder | None,
    embedding: np.ndarray,
    top: int,
    far: float,
    threshold: float | None,
    resolution: float | None,
    looks: int | None = None,
) -> Answer:
    """See :meth:`lrface.recognition.gallery.gallery.Gallery.search_embedding`."""
    if top < 1:
        raise LrfaceError(f"top {top}: name one person at least")
    rule, store = DecisionRule(encoder, far, threshold, resolution, looks), snapshots.store
    query = np.asarray(embedding, np.float32)
    with snapshots.take():
        totals = store.totals()
        best = rank_people(store, snapshots.index, query, top, totals.people, rule)
        described = store.describe([candidate.face for candidate in best])
        matches = tuple(
            _match(candidate, *who, rule, totals.faces) for candidate, who in zip(best, described, strict=True)
        )
        method = snapshots.index.kind
    promised = far if threshold is None else None
    risk = None if promised is None else stranger_risk(promised, totals.faces)
    notes = [] if totals.faces else ["the gallery is empty"]
    if promised is not None and encoder is not None:
        notes += encoder.rate_notes(promised)
    if risk is not None and risk > RISK:
        notes.append(
            f"a search compares with {totals.faces:,} faces: at a false accept rate of {far:g} each, a stranger gets "
            f"some name with a chance of up to {percent(risk)}; a stricter rate lowers it"
        )
    if (similar := sum(match.same for match in matches)) > 1:
        notes.append(f"{similar} people are similar enough: the best one is named, and may be mistaken for another")
    name = matches[0].name if matches and matches[0].same else None
    return Answer(name, matches, promised, totals.people, totals.faces, method, risk, tuple(notes), resolution)


def _match(best: Candidate, name: str, photo: str, rule: DecisionRule, faces: int) -> Match:
    rate = rule.rate(best.similarity, best.resolution)
    chance, bound = None, None
    if rate is not None:
        risk = find_risk(rate, faces)
        chance, bound = risk.chance, risk.bound
    same = best.margin > 0
    return Match(name, best.similarity, best.threshold, same, photo, chance, bound, best.resolution)

"""The ranks of each probe's mates, that is the gallery images of the same person."""

from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError
from lrface.eval.blocks import TIE, Features, each_block, pair_scores


@dataclass(frozen=True, eq=False)
class Mates:
    """All pairs of a probe and one of its mates, ordered by probe, and for each probe by falling score.

    Attributes:
        probe, gallery: int64 ``[pairs]``, numbers of the two images.
        score: float64 ``[pairs]``, cosine.
        count: int64 ``[probes]``, number of mates of each probe.
    """

    probe: NDArray[np.int64]
    gallery: NDArray[np.int64]
    score: NDArray[np.float64]
    count: NDArray[np.int64]

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Position of each mate among the mates of its probe, from 0 for the best one: int64 ``[pairs]``."""
        return np.arange(len(self.probe)) - np.repeat(np.cumsum(self.count) - self.count, self.count)


def find_mates(probe: Features, probe_ids: ArrayLike, gallery: Features, gallery_ids: ArrayLike) -> Mates:
    """Pair probes with their mates. Images with a negative id have no mates.

    Raises:
        LrfaceError: ids are not whole numbers, or their number differs from that of the embeddings.
    """
    wanted, known = _ids(probe_ids, probe), _ids(gallery_ids, gallery)
    order = np.argsort(known, kind="stable")
    first, last = (np.searchsorted(known[order], wanted, side=side) for side in ("left", "right"))
    count = np.where(wanted >= 0, last - first, 0)
    probes = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(probes)) - np.repeat(np.cumsum(count) - count, count)
    mates = order[np.repeat(first, count) + within]
    score = pair_scores(probe, gallery, probes, mates)
    best_first = np.lexsort((-score, probes))
    return Mates(probes, mates[best_first], score[best_first], count)


def find_ranks(
    probe: Features, gallery: Features, mates: Mates, device: str, best_only: bool = False
) -> NDArray[np.int64]:
    """The rank of each mate for its probe, from 0: int64 ``[pairs]``, or only that of each probe's best mate.

    Other images with a score above, or within ``TIE`` of, a mate's score are ranked before it.
    """
    levels = _levels(mates, best_only)
    by_gallery = np.argsort(mates.gallery, kind="stable")
    mate_columns, mate_rows = mates.gallery[by_gallery], mates.probe[by_gallery]
    lock = Lock()

    def visit(rows: slice, columns: slice, scores: NDArray[np.float32]) -> None:
        here = slice(*np.searchsorted(mate_columns, (columns.start, columns.stop)))
        row, column = mate_rows[here] - rows.start, mate_columns[here] - columns.start
        inside = (row >= 0) & (row < len(scores))
        scores[row[inside], column[inside]] = -np.inf  # mates do not count against each other
        for level in levels:
            part = slice(*np.searchsorted(level.rows, (rows.start, rows.stop)))
            chosen = level.rows[part] - rows.start
            if not len(chosen):
                continue
            rivals = scores if len(chosen) == len(scores) else scores[chosen]
            before = np.count_nonzero(rivals >= level.thresholds[part, None], axis=1)
            with lock:
                level.before[part] += before

    each_block(probe, gallery, visit, device)
    result = np.empty(sum(len(level.pairs) for level in levels), np.int64)
    if best_only:
        return levels[0].before if levels else result
    for place, level in enumerate(levels):
        result[level.pairs] = level.before + place
    return result


@dataclass(frozen=True, eq=False)
class _Level:
    """The k-th best mates of all probes with at least k mates.

    Attributes:
        pairs: their numbers among the pairs.
        rows: their probes, ascending.
        thresholds: float32, the scores from which on another image is ranked before them.
        before: number of such images seen so far.
    """

    pairs: NDArray[np.int64]
    rows: NDArray[np.int64]
    thresholds: NDArray[np.float32]
    before: NDArray[np.int64]


def _levels(mates: Mates, best_only: bool) -> list[_Level]:
    order = np.argsort(mates.place, kind="stable")
    sizes = np.bincount(mates.place)
    groups = np.split(order, np.cumsum(sizes)[:-1]) if len(order) else []
    return [
        _Level(pairs, mates.probe[pairs], (mates.score[pairs] - TIE).astype(np.float32), np.zeros(len(pairs), np.int64))
        for pairs in groups[: 1 if best_only else None]
    ]


def _ids(ids: ArrayLike, features: Features) -> NDArray[np.int64]:
    array = np.asarray(ids)
    if array.shape != (len(features),):
        raise LrfaceError(
            f"{len(features)} {features.kind} embeddings with ids {list(array.shape)}: one each is needed"
        )
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise LrfaceError(f"{features.kind} ids must be whole numbers, got {array.dtype}")
    return array.astype(np.int64)

"""1:N retrieval: the ranks of a person's other images in a gallery sorted by cosine (TinyFace, SCface).

These are the official TinyFace scores, computed from features. CMC is the share of probes with a mate among the first k. Mean
average precision uses the trapezoid rule, with the precision 1 before the first rank (Cheng, Zhu, Gong, "Low-resolution face
recognition"; ``compute_AP`` from Market-1501's code). It differs from scikit-learn's average precision.

The official code sorts the full matrix of scores. But both figures depend only on the ranks of the mates. A rank is the number of
higher scores, and it is counted block by block; see :mod:`lrface.eval.blocks`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError
from lrface.eval.blocks import Features, comparable
from lrface.eval.mates import Mates, find_mates, find_ranks

RANKS = (1, 5, 10, 20, 50)


@dataclass(frozen=True)
class RetrievalResult:
    """Scores of one search, as fractions in [0, 1], over the probes that have a mate.

    Attributes:
        cmc: rank -> share of probes with a mate at this rank or before.
        mean_ap: mean over the probes of the trapezoid average precision.
        probes: number of all probes, including those without a mate.
        without_mate: number of probes whose person is not in the gallery; they count in no score.
        gallery: number of images searched.
        distractors: number of gallery images with a negative id.
        first_ranks: int64 ``[probes - without_mate]``, from 1: the rank of each probe's best mate, in the probes' order.
    """

    cmc: dict[int, float]
    mean_ap: float
    probes: int
    without_mate: int
    gallery: int
    distractors: int
    first_ranks: NDArray[np.int64] = field(repr=False, compare=False)

    def curve(self, last: int) -> NDArray[np.float64]:
        """CMC at the ranks 1 to ``last``, float64 ``[last]``."""
        return np.searchsorted(np.sort(self.first_ranks), np.arange(1, last + 1), side="right") / len(self.first_ranks)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary for JSON, without ``first_ranks``."""
        return {
            "cmc": {str(rank): share for rank, share in self.cmc.items()},
            "mean_ap": self.mean_ap,
            "probes": self.probes,
            "without_mate": self.without_mate,
            "gallery": self.gallery,
            "distractors": self.distractors,
        }


def evaluate(
    probe: ArrayLike,
    probe_ids: ArrayLike,
    gallery: ArrayLike,
    gallery_ids: ArrayLike,
    ranks: Iterable[int] = RANKS,
    device: str = "auto",
) -> RetrievalResult:
    """Search every probe in the gallery.

    Ties count as wrong: an image of another person is ranked before a mate with the same score. Scores within
    :data:`lrface.eval.blocks.TIE` are the same. The result does not depend on the number of threads.

    Args:
        probe: float ``[p, dim]`` embeddings, of any norm; preferably float32 and contiguous. May be memory-mapped.
        probe_ids: int ``[p]``, persons. A probe with a negative id, or of a person outside the gallery, is counted in
            ``without_mate`` and in no score (the official code has no such probes).
        gallery: float ``[g, dim]``.
        gallery_ids: int ``[g]``; negative for distractors, -100 in TinyFace.
        ranks: of the CMC.
        device: see :func:`lrface.eval.blocks.each_block`.

    Raises:
        LrfaceError: empty, not finite or zero embeddings, embeddings of different lengths, wrong ids, a rank below 1, or no
            probe with a mate.
    """
    wanted = list(ranks)
    if any(rank < 1 or rank != int(rank) for rank in wanted):
        raise LrfaceError(f"ranks count from 1, got {wanted}")
    probes, faces = Features(probe, "probe"), Features(gallery, "gallery")
    comparable(probes, faces)
    mates = find_mates(probes, probe_ids, faces, gallery_ids)
    if not len(mates.probe):
        raise LrfaceError(f"none of the {len(probes)} probes has a mate in the gallery of {len(faces)} images")
    found = find_ranks(probes, faces, mates, device)
    first = found[mates.place == 0]
    return RetrievalResult(
        cmc={int(rank): float(np.mean(first < rank)) for rank in wanted},
        mean_ap=float(np.mean(average_precision(found, mates))),
        probes=len(probes),
        without_mate=int(np.sum(mates.count == 0)),
        gallery=len(faces),
        distractors=int(np.sum(np.asarray(gallery_ids) < 0)),
        first_ranks=first + 1,
    )


def average_precision(found: NDArray[np.int64], mates: Mates) -> NDArray[np.float64]:
    """Trapezoid average precision of each probe with mates, from the ranks (from 0) of its mates.

    Recall rises only at the mates, by equal steps. At a mate with k mates before it, the precision goes from ``k / rank``
    (or 1 at the very first rank) to ``(k + 1) / (rank + 1)``.
    """
    before = np.where(found > 0, mates.place / np.maximum(found, 1), 1.0)
    after = (mates.place + 1) / (found + 1)
    sums = np.bincount(mates.probe, (before + after) / 2, len(mates.count))
    return sums[mates.count > 0] / mates.count[mates.count > 0]

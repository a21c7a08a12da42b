"""Open-set identification: find the people on a watch list, and raise no alarm for others (QMUL-SurvFace).

A search raises an alarm if its best score in the gallery is above a threshold. FPIR is the share of searches for people outside
the gallery that raise an alarm. TPIR at rank r is the share of searches for people in the gallery whose mate is among the first
r and has a score above the threshold. QMUL-SurvFace reports TPIR at rank 20 for an FPIR of 30, 20, 10 and 1 %, and the area under
this curve (Cheng, Zhu, Gong, "Surveillance face recognition challenge"; NIST's FRVT 1:N).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError
from lrface.eval.blocks import TIE, Features, comparable, each_block
from lrface.eval.mates import find_mates, find_ranks
from lrface.eval.thresholds import accepted, exceeded_by

FPIRS = (0.01, 0.1, 0.2, 0.3)


@dataclass(frozen=True)
class OpenSetResult:
    """Scores of one watch list, as fractions in [0, 1].

    Attributes:
        tpir: FPIR -> TPIR; ``nan`` for an FPIR that is less than one of the unmated searches.
        thresholds: FPIR -> cosine above which a search raises an alarm; ``nan`` likewise.
        auc: area under the curve of TPIR over FPIR: the probability that a mated search is found within ``rank`` and has
            a higher score than an unmated one.
        rank: a mate must be among the first ``rank`` images.
        mated: number of searches for people in the gallery.
        without_mate: number of mated searches whose person is not in the gallery after all; they count in no score.
        unmated: number of searches for people outside the gallery.
        gallery: number of images searched.
        hits: float64, ascending: the mate's score of each mated search that is found within ``rank``.
        alarms: float64 ``[unmated]``, ascending: the best score of each unmated search.
    """

    tpir: dict[float, float]
    thresholds: dict[float, float]
    auc: float
    rank: int
    mated: int
    without_mate: int
    unmated: int
    gallery: int
    hits: NDArray[np.float64] = field(repr=False, compare=False)
    alarms: NDArray[np.float64] = field(repr=False, compare=False)

    def curve(self, fpirs: ArrayLike) -> NDArray[np.float64]:
        """TPIR at each of these FPIRs from 0 to 1, for a plot. At 0 the threshold is the highest alarm."""
        allowed = np.floor(np.asarray(fpirs, np.float64) * self.unmated * (1 + 1e-12)).astype(np.int64)
        falling = np.append(self.alarms[::-1], -np.inf)
        return _share_above(self.hits, falling[np.minimum(allowed, self.unmated)], self.mated - self.without_mate)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary for JSON, without ``hits`` and ``alarms``. Values that are ``nan`` become ``None``."""
        return {
            "tpir": {f"{fpir:g}": None if np.isnan(tpir) else tpir for fpir, tpir in self.tpir.items()},
            "thresholds": {
                f"{fpir:g}": None if np.isnan(cosine) else cosine for fpir, cosine in self.thresholds.items()
            },
            "auc": self.auc,
            "rank": self.rank,
            "mated": self.mated,
            "without_mate": self.without_mate,
            "unmated": self.unmated,
            "gallery": self.gallery,
        }


def evaluate(
    mated: ArrayLike,
    mated_ids: ArrayLike,
    unmated: ArrayLike,
    gallery: ArrayLike,
    gallery_ids: ArrayLike,
    rank: int = 20,
    fpirs: Iterable[float] = FPIRS,
    device: str = "auto",
) -> OpenSetResult:
    """Search mated and unmated probes in the gallery. Ties count as wrong, as in retrieval.

    Args:
        mated, mated_ids: float ``[m, dim]`` and int ``[m]``, probes of people in the gallery.
        unmated: float ``[u, dim]``, probes of people outside the gallery.
        gallery, gallery_ids: float ``[g, dim]`` and int ``[g]``; the best one of a person's images counts.
        rank: a mate must be among the first ``rank`` images.
        fpirs: false positive identification rates, between 0 and 1.
        device: see :func:`lrface.eval.blocks.each_block`.

    Raises:
        LrfaceError: empty, not finite or zero embeddings, embeddings of different lengths, wrong ids, no mated probe with
            a mate, or a rate outside (0, 1).
    """
    wanted = list(fpirs)
    if rank < 1 or not all(0 < fpir < 1 for fpir in wanted):
        raise LrfaceError(f"a rank counts from 1 and an FPIR lies between 0 and 1, got {rank} and {wanted}")
    known, strangers = Features(mated, "mated probe"), Features(unmated, "unmated probe")
    faces = Features(gallery, "gallery")
    for probes in (known, strangers):
        comparable(probes, faces)
    mates = find_mates(known, mated_ids, faces, gallery_ids)
    if not len(mates.probe):
        raise LrfaceError(f"none of the {len(known)} mated probes has a mate in the gallery of {len(faces)} images")
    searches = int(np.sum(mates.count > 0))
    within = find_ranks(known, faces, mates, device, best_only=True) < rank
    hits = np.sort(mates.score[mates.place == 0][within])
    alarms = np.sort(_best_scores(strangers, faces, device))
    allowed = {fpir: accepted(fpir, len(alarms)) for fpir in wanted}
    thresholds = {fpir: exceeded_by(alarms, count) if count else float("nan") for fpir, count in allowed.items()}
    tpirs = _share_above(hits, np.array(list(thresholds.values())), searches)
    return OpenSetResult(
        tpir=dict(zip(thresholds, tpirs.tolist(), strict=True)),
        thresholds=thresholds,
        auc=float(np.mean(_share_above(hits, alarms, searches))),
        rank=rank,
        mated=len(known),
        without_mate=len(known) - searches,
        unmated=len(strangers),
        gallery=len(faces),
        hits=hits,
        alarms=alarms,
    )


def _best_scores(probe: Features, gallery: Features, device: str) -> NDArray[np.float64]:
    best = np.full(len(probe), -np.inf)
    lock = Lock()

    def visit(rows: slice, _columns: slice, scores: NDArray[np.float32]) -> None:
        highest = scores.max(axis=1)
        with lock:
            np.maximum(best[rows], highest, out=best[rows])

    each_block(probe, gallery, visit, device)
    return best


def _share_above(hits: NDArray[np.float64], thresholds: NDArray[np.float64], searches: int) -> NDArray[np.float64]:
    """Share of the searches whose hit is above each threshold. A tie counts as below. ``nan`` stays ``nan``."""
    share = (len(hits) - np.searchsorted(hits, thresholds + TIE, side="right")) / searches
    return np.where(np.isnan(thresholds), np.nan, share)

"""Verification: same person or not, by the protocol of LFW and similar sets.

Embeddings are L2-normalised. The distance of a pair is the squared L2 distance in [0, 4]. A pair counts as same if its distance is
below a threshold. For each of ten contiguous folds, the threshold is the first of ``arange(0, 4, 0.01)`` with the best accuracy
on the other nine (insightface ``eval/verification.py``; Huang et al., LFW, View 2). The folds must be contiguous, because in
``pairs.txt`` they share no people.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError
from lrface.eval.thresholds import Threshold, accepted, at_far, exceeded_by, threshold_at_far

__all__ = ["FARS", "VerificationResult", "evaluate", "similarities", "threshold_at_far"]

FARS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class VerificationResult:
    """Scores of one set of pairs, as fractions in [0, 1].

    Attributes:
        accuracy: mean over the folds.
        std: standard deviation over the folds (``ddof=0``).
        auc: area under the ROC curve of all pairs.
        eer: equal error rate, where the ROC curve with straight lines between its points has FAR = 1 - TAR.
        tar_at_far: true accept rate for each false accept rate of ``FARS``; ``nan`` for a rate that is less than one of
            the impostor pairs. For example, 3,000 of them cannot measure 1e-4.
        thresholds: squared L2 distance of each fold.
        pairs: number of pairs.
        threshold_at_far: cosine threshold over all pairs, for each of those rates that can be measured.
    """

    accuracy: float
    std: float
    auc: float
    eer: float
    tar_at_far: dict[float, float]
    thresholds: tuple[float, ...]
    pairs: int
    threshold_at_far: dict[float, Threshold] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary for JSON: rates become strings such as ``0.001``, and a missing value becomes ``None``."""
        rates = {f"{far:g}": None if np.isnan(tar) else tar for far, tar in self.tar_at_far.items()}
        return {
            "accuracy": self.accuracy,
            "std": self.std,
            "auc": self.auc,
            "eer": self.eer,
            "tar_at_far": rates,
            "thresholds": list(self.thresholds),
            "pairs": self.pairs,
            "threshold_at_far": {f"{far:g}": known.as_dict() for far, known in self.threshold_at_far.items()},
        }


def evaluate(
    emb_a: ArrayLike,
    emb_b: ArrayLike,
    same: ArrayLike,
    folds: int = 10,
    thresholds: Literal["grid", "exact"] = "grid",
) -> VerificationResult:
    """Score pairs of embeddings.

    Args:
        emb_a: float ``[N, D]``, one side of each pair in the order of the file; any norm, normalised here.
        emb_b: float ``[N, D]``, the other side.
        same: bool ``[N]``.
        folds: number of contiguous folds.
        thresholds: ``grid``, the protocol; or ``exact``, which tries every threshold that makes a difference and takes
            the middle between two distances.

    Raises:
        LrfaceError: nothing to score, wrong shapes, NaN, infinite or zero embeddings, fewer pairs than folds, or pairs of
            one kind only, in all pairs or outside one of the folds.
    """
    from sklearn.metrics import roc_auc_score

    unit_a, unit_b = _unit_pairs(emb_a, emb_b)
    truth = _truth(same, len(unit_a), folds)
    # (a - b)^2 as in the reference code: with 2 - 2ab a distance of 0 would become slightly more or less.
    distances = np.square(unit_a - unit_b).sum(axis=1)
    accuracies, chosen = [], []
    for start, stop in _folds(len(truth), folds):
        train = np.r_[0:start, stop : len(truth)]
        if truth[train].all() or not truth[train].any():
            raise LrfaceError(
                f"without pairs {start} to {stop - 1} all others are of one kind: mix them, or more folds"
            )
        threshold = _best_threshold(distances[train], truth[train], thresholds)
        chosen.append(threshold)
        accuracies.append(np.mean((distances[start:stop] < threshold) == truth[start:stop]))
    impostors = _cosines(unit_a, unit_b)[~truth]
    return VerificationResult(
        accuracy=float(np.mean(accuracies)),
        std=float(np.std(accuracies)),
        auc=float(roc_auc_score(truth, -distances)),
        eer=_equal_error_rate(distances, truth),
        tar_at_far={far: _tar_at_far(-distances, truth, far) for far in FARS},
        thresholds=tuple(chosen),
        pairs=len(truth),
        threshold_at_far={far: at_far(impostors, far) for far in FARS if accepted(far, len(impostors))},
    )


def similarities(emb_a: ArrayLike, emb_b: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarity of each pair, float64 ``[N]`` in [-1, 1], from embeddings ``[N, D]`` of any norm.

    Raises:
        LrfaceError: nothing to score, wrong shapes, NaN, infinite or zero embeddings.
    """
    return _cosines(*_unit_pairs(emb_a, emb_b))


def _cosines(unit_a: NDArray[np.float64], unit_b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(np.einsum("nd,nd->n", unit_a, unit_b), -1.0, 1.0)


def _tar_at_far(scores: NDArray[np.float64], truth: NDArray[np.bool_], far: float) -> float:
    impostors = scores[~truth]
    allowed = accepted(far, len(impostors))
    return float(np.mean(scores[truth] > exceeded_by(impostors, allowed))) if allowed else float("nan")


def _equal_error_rate(distances: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_curve

    false_accepts, true_accepts, _ = roc_curve(truth, -distances, drop_intermediate=False)
    excess = false_accepts - (1 - true_accepts)  # rises from -1 to 1
    after = int(np.argmax(excess >= 0))
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return float(false_accepts[after - 1] + share * (false_accepts[after] - false_accepts[after - 1]))


def _best_threshold(distances: NDArray[np.float64], truth: NDArray[np.bool_], kind: str) -> float:
    """The first threshold with the best accuracy. A pair is accepted if ``distance < threshold``."""
    if kind == "grid":
        candidates = np.arange(0, 4, 0.01)
    else:
        steps = np.unique(distances)
        candidates = np.concatenate([[0.0], (steps[:-1] + steps[1:]) / 2, [4.0 + 1e-6]])
    accepted_same = np.searchsorted(np.sort(distances[truth]), candidates, side="left")
    accepted_different = np.searchsorted(np.sort(distances[~truth]), candidates, side="left")
    return float(candidates[np.argmax(accepted_same - accepted_different)])


def _folds(count: int, folds: int) -> Iterator[tuple[int, int]]:
    """Start and end of the contiguous test folds. If they cannot all be equal, the first ones have one pair more."""
    from sklearn.model_selection import KFold

    for _, test in KFold(folds, shuffle=False).split(np.empty(count)):
        yield int(test[0]), int(test[-1]) + 1


def _truth(same: ArrayLike, count: int, folds: int) -> NDArray[np.bool_]:
    truth = np.asarray(same)
    if truth.shape != (count,) or not np.isin(truth, (0, 1)).all():
        raise LrfaceError(f"expected {count} flags, same or different, one for each pair; got shape {truth.shape}")
    truth = truth.astype(np.bool_)
    if truth.all() or not truth.any():
        raise LrfaceError(
            f"all {count} pairs are {'same' if truth.all() else 'different'}: verification needs both kinds"
        )
    if not 2 <= folds <= count:
        raise LrfaceError(f"{count} pairs cannot be split into {folds} folds: take 2 to {count}")
    return truth


def _unit_pairs(emb_a: ArrayLike, emb_b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sides = [np.asarray(side, dtype=np.float64) for side in (emb_a, emb_b)]
    if sides[0].ndim != 2 or sides[0].shape != sides[1].shape:
        raise LrfaceError(
            f"expected two arrays [pairs, dimensions] of one shape, got {sides[0].shape}, {sides[1].shape}"
        )
    if not sides[0].size:
        raise LrfaceError("there are no pairs to score")
    for side in sides:
        finite = np.isfinite(side).all(axis=1)
        if not finite.all():
            raise LrfaceError(f"the embedding of pair {int(np.argmin(finite))} is not finite: the model is damaged")
    units = []
    for side in sides:
        scale = np.abs(side).max(axis=1, keepdims=True)  # scaled first, so that the squares neither overflow nor vanish
        if not scale.all():
            raise LrfaceError(f"the embedding of pair {int(np.argmin(scale))} is zero: it has no direction")
        side = side / scale
        units.append(side / np.linalg.norm(side, axis=1, keepdims=True))
    return units[0], units[1]

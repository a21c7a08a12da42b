"""Thresholds: the cosine that keeps a false accept rate, and its confidence interval."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError


@dataclass(frozen=True)
class Threshold:
    """A cosine above which a pair is accepted.

    Attributes:
        far: largest share of impostor pairs that is accepted.
        cosine: the threshold; a pair is accepted if its similarity is strictly greater.
        low, high: the interval around it.
        confidence: of the interval, between 0 and 1.
        impostors: number of impostor pairs.
    """

    far: float
    cosine: float
    low: float
    high: float
    confidence: float
    impostors: int

    def as_dict(self) -> dict[str, float]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)


def at_far(impostor_similarities: ArrayLike, far: float, confidence: float = 0.95) -> Threshold:
    """The threshold for a false accept rate, with its bootstrap interval.

    The interval is that of the percentile bootstrap over the impostor pairs with infinitely many resamples, so that there is
    no random seed. The threshold of a resample of n pairs is its (a + 1)-th highest score. This is the score at position
    ``floor(n U)`` of all scores, where U has the beta distribution of the (a + 1)-th smallest of n uniform numbers. The
    bootstrap assumes independent pairs; if each person is in many pairs, the interval is too narrow.

    Args:
        impostor_similarities: ``[N]`` cosine similarities of pairs of different people.
        far: in [1 / N, 1).
        confidence: of the interval.

    Raises:
        LrfaceError: as :func:`threshold_at_far`; or a confidence outside (0, 1).
    """
    from scipy.special import betaincinv

    if not 0 < confidence < 1:
        raise LrfaceError(f"a confidence lies between 0 and 1, got {confidence}")
    cosine = threshold_at_far(impostor_similarities, far)
    falling = np.sort(np.asarray(impostor_similarities, dtype=np.float64).ravel())[::-1]
    count = len(falling)
    allowed = accepted(far, count)
    tails = np.array([1 - confidence, 1 + confidence]) / 2
    places = np.floor(count * betaincinv(allowed + 1, count - allowed, tails)).astype(np.int64)
    high, low = falling[np.minimum(places, count - 1)]
    return Threshold(far, cosine, float(low), float(high), confidence, count)


def threshold_at_far(impostor_similarities: ArrayLike, far: float) -> float:
    """Cosine threshold that falsely accepts at most a share ``far`` of impostor pairs.

    A pair is accepted if its similarity is strictly greater. So a threshold on tied scores accepts none of them, and the
    share is never above ``far``.

    Args:
        impostor_similarities: ``[N]`` cosine similarities of pairs of different people.
        far: in [1 / N, 1).

    Raises:
        LrfaceError: no pairs, NaN among them, a rate outside (0, 1), or too few pairs for this rate.
    """
    scores = np.asarray(impostor_similarities, dtype=np.float64).ravel()
    if not scores.size or not np.isfinite(scores).all():
        raise LrfaceError("a threshold needs similarities of different people, all of them finite numbers")
    if not 0 < far < 1:
        raise LrfaceError(f"a false accept rate lies between 0 and 1, got {far}")
    allowed = accepted(far, len(scores))
    if not allowed:
        raise LrfaceError(
            f"a false accept rate of {far:g} needs {int(np.ceil(1 / far))} impostor pairs, not {len(scores)}"
        )
    return exceeded_by(scores, allowed)


def accepted(far: float, count: int) -> int:
    """Number of ``count`` impostors that may be accepted at a rate of ``far``."""
    return int(np.floor(far * count * (1 + 1e-12)))  # in floating point 0.1 * 30 need not be exactly 3


def exceeded_by(scores: NDArray[np.float64], count: int) -> float:
    """The score that exactly the ``count`` highest scores may exceed: the next lower one. There must be more than ``count``."""
    return float(np.partition(scores, -count - 1)[-count - 1])

"""The separation of the similarities of positive and negative pairs (the paper's Fig. 5).

A model separates people better if the expectation margin is larger and the intersection of the histograms is smaller.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError

#: Number of bins of the histograms, over cosines from -1 to 1. The paper does not give its own.
BINS = 100


def expectation_margin(positive: ArrayLike, negative: ArrayLike) -> float:
    """Mean cosine of positive pairs minus that of negative pairs, from ``[N]`` and ``[M]`` cosines.

    Raises:
        LrfaceError: no pairs of one kind, or numbers that are not cosines.
    """
    return float(np.mean(_cosines(positive, "positive")) - np.mean(_cosines(negative, "negative")))


def histogram_intersection(positive: ArrayLike, negative: ArrayLike, bins: int = BINS) -> float:
    """The common share, from 0 to 1, of the normalised histograms of both kinds of pairs.

    Args:
        positive, negative: ``[N]`` and ``[M]`` cosines.
        bins: see :func:`histogram`.

    Raises:
        LrfaceError: no pairs of one kind, or numbers that are not cosines.
    """
    shares = [histogram(scores, bins, kind) for scores, kind in ((positive, "positive"), (negative, "negative"))]
    return float(np.minimum(*shares).sum())


def histogram(cosines: ArrayLike, bins: int = BINS, kind: str = "") -> NDArray[np.float64]:
    """Share of the pairs in each of ``bins`` equal bins from -1 to 1, float64 ``[bins]``, with the sum 1.

    A cosine on the border of two bins belongs to the upper one.

    Raises:
        LrfaceError: no pairs, or numbers that are not cosines; ``kind`` names the pairs in the error.
    """
    scores = _cosines(cosines, kind)
    return np.histogram(scores, bins, (-1.0, 1.0))[0] / len(scores)


def _cosines(cosines: ArrayLike, kind: str) -> NDArray[np.float64]:
    scores = np.asarray(cosines, dtype=np.float64).ravel()
    if not scores.size:
        raise LrfaceError(f"there are no {kind} pairs".replace("  ", " "))
    if not (np.abs(scores) <= 1 + 1e-6).all():  # also refuses NaN
        raise LrfaceError(
            f"similarities of {kind} pairs are cosines, -1 to 1: others are among them".replace("  ", " ")
        )
    return np.clip(scores, -1.0, 1.0)

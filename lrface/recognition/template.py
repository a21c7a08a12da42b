"""Comparing several faces of one person with one or several faces of another: the best pair and the templates decide together.

A template is the L2-normalised mean of a person's embeddings, weighted by the recognisability of the faces. The score is the
mean of two margins over the threshold: that of the best pair and that of the templates. On LFW View 1
(``benchmarks/results/templates.md``) this names more people correctly than either margin alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Smallest weight of a face, so that an unrecognisable face still counts if it is the only one.
_LEAST = 0.01


@dataclass(frozen=True)
class SetScore:
    """The similarity of two people.

    Attributes:
        similarity: mean of the best pair's cosine and the templates' cosine.
        threshold: mean of the best pair's threshold and the weighted mean of all pairs' thresholds.
        best: the pair of faces, one of each side, with the largest margin over its threshold.
    """

    similarity: float
    threshold: float
    best: tuple[int, int]


def weigh(recognisability: Sequence[float | None]) -> np.ndarray:
    """The weights of faces in a template, float64 ``[n]``; all equal if the model is not calibrated by quality."""
    return np.array([1.0 if part is None else max(part, _LEAST) for part in recognisability])


def compare_sets(a: np.ndarray, b: np.ndarray, limits: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> SetScore:
    """Compare the faces of one person with those of another. With one face each, the similarity is their cosine.

    Args:
        a, b: float32 ``[n, dim]`` and ``[m, dim]``, L2-normalised.
        limits: the threshold of each pair, float64 ``[n, m]``.
        weights: of the faces of each side, float64 ``[n]`` and ``[m]``, positive; see :func:`weigh`.
    """
    cosines = np.clip(a @ b.T, -1, 1)
    left, right = np.unravel_index(int(np.argmax(cosines - limits)), limits.shape)
    shares = [weight / weight.sum() for weight in weights]
    template = float(np.clip(_normalised(shares[0] @ a) @ _normalised(shares[1] @ b), -1, 1))
    similarity = (float(cosines[left, right]) + template) / 2
    threshold = (float(limits[left, right]) + float(shares[0] @ limits @ shares[1])) / 2
    return SetScore(similarity, threshold, (int(left), int(right)))


def _normalised(row: np.ndarray) -> np.ndarray:
    unit: np.ndarray = row / max(float(np.linalg.norm(row)), 1e-12)
    return unit

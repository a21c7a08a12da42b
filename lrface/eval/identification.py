"""Closed-set identification by a classifier: is the right person among its first k answers (UCCS, 180 subjects)?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lrface.errors import LrfaceError

TOPS = (1, 5)


@dataclass(frozen=True)
class IdentificationResult:
    """Scores of one classifier.

    Attributes:
        top: k -> share of images whose person is among the k highest logits.
        images: number of images scored.
        classes: number of people in the classifier.
        people: number of these people that the images show.
    """

    top: dict[int, float]
    images: int
    classes: int
    people: int

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return {
            "top": {str(k): share for k, share in self.top.items()},
            "images": self.images,
            "classes": self.classes,
            "people": self.people,
        }


@dataclass(frozen=True)
class Summary:
    """Several runs with different seeds, as one row.

    Attributes:
        mean: k -> mean share over the runs.
        spread: k -> standard deviation over the runs (``ddof=1``); ``nan`` for a single run.
        runs: number of runs.
    """

    mean: dict[int, float]
    spread: dict[int, float]
    runs: int

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold; the spread of a single run becomes ``None``."""
        return {
            "mean": {str(k): share for k, share in self.mean.items()},
            "spread": {str(k): None if np.isnan(share) else share for k, share in self.spread.items()},
            "runs": self.runs,
        }


def evaluate(logits: ArrayLike, labels: ArrayLike, tops: Iterable[int] = TOPS) -> IdentificationResult:
    """Score a classifier's answers. Ties count as wrong: an equal logit is ranked before the right person's.

    Args:
        logits: float ``[n, classes]``; anything with the same order, such as cosines or probabilities.
        labels: int ``[n]``, the right person, from 0 to ``classes - 1``.
        tops: values of k; a k of all classes or more always counts as right.

    Raises:
        LrfaceError: nothing to score, wrong shapes, NaN, a label that is not a class, or a k below 1.
    """
    scores, truth, wanted = np.asarray(logits), np.asarray(labels), list(tops)
    if scores.ndim != 2 or not scores.size or truth.shape != scores.shape[:1]:
        raise LrfaceError(
            f"expected logits [images, classes] and a label for each image, got {scores.shape} and {truth.shape}"
        )
    if any(k < 1 or k != int(k) for k in wanted):
        raise LrfaceError(f"top k counts from 1, got {wanted}")
    bad = np.isnan(scores).any(axis=1)
    if bad.any():
        raise LrfaceError(f"the logits of image {int(bad.argmax())} are not numbers: the model is damaged")
    outside = (truth < 0) | (truth >= scores.shape[1])
    if truth.dtype.kind not in "iu" or outside.any():
        found = truth[outside.argmax()] if outside.any() else truth.dtype
        raise LrfaceError(f"labels are whole numbers from 0 to {scores.shape[1] - 1}, one a class; found {found}")
    right = np.take_along_axis(scores, truth[:, None].astype(np.int64), axis=1)
    place = np.count_nonzero(scores >= right, axis=1) - 1
    top = {int(k): float(np.mean((place < k) | (k >= scores.shape[1]))) for k in wanted}
    return IdentificationResult(top, len(scores), scores.shape[1], len(np.unique(truth)))


def summarise(results: Sequence[IdentificationResult]) -> Summary:
    """Mean and spread over runs of the same protocol with several seeds.

    Raises:
        LrfaceError: no runs, or runs of different protocols.
    """
    if not results:
        raise LrfaceError("there are no runs to summarise")
    protocols = {(tuple(result.top), result.images, result.classes) for result in results}
    if len(protocols) > 1:
        raise LrfaceError(f"the runs are not of one protocol (top k, images, classes): {sorted(protocols)}")
    shares = np.array([list(result.top.values()) for result in results])
    spread = shares.std(axis=0, ddof=1) if len(results) > 1 else np.full(shares.shape[1], np.nan)
    keys = list(results[0].top)
    return Summary(
        dict(zip(keys, shares.mean(axis=0).tolist(), strict=True)),
        dict(zip(keys, spread.tolist(), strict=True)),
        len(results),
    )

"""The oracle of the interval draws the resamples that the formula does without."""

import math

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.eval.thresholds import accepted, at_far, threshold_at_far


def resampled(scores, far, confidence, resamples=20_000):
    """Percentiles of the threshold over resamples of the pairs, drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(scores, (resamples, len(scores))), axis=1)
    thresholds = drawn[:, -accepted(far, len(scores)) - 1]
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    return np.quantile(thresholds, tails, method="inverted_cdf")


@pytest.mark.parametrize("confidence", [0.95, 0.5])
@pytest.mark.parametrize(("count", "far"), [(40, 0.1), (40, 0.5), (200, 0.01), (200, 0.3), (7, 0.9)])
def test_the_interval_is_the_bootstraps(count, far, confidence):
    scores = np.random.default_rng(count).permutation(np.arange(count) / count)
    found = at_far(scores, far, confidence)
    low, high = resampled(scores, far, confidence)
    assert found.low == pytest.approx(low, abs=1.01 / count)  # the resamples' own error is one pair
    assert found.high == pytest.approx(high, abs=1.01 / count)
    assert found.low < found.high
    assert (found.far, found.confidence, found.impostors) == (far, confidence, count)
    assert found.cosine == threshold_at_far(scores, far)


def test_the_interval_narrows_with_pairs_and_widens_with_confidence():
    scores = np.random.default_rng(0).normal(size=100_000) / 10

    def width(count, confidence):
        found = at_far(scores[:count], 0.01, confidence)
        return found.high - found.low

    assert width(100_000, 0.95) < width(1_000, 0.95) / 5
    assert width(1_000, 0.5) < width(1_000, 0.95) < width(1_000, 0.999)


def test_the_interval_covers_the_truth():
    """Over many sets of impostors the 90 % interval should hold the true quantile about 90 times of 100."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(500):
        found = at_far(rng.uniform(-1, 1, 400), 0.1, 0.9)
        inside += found.low <= 0.8 <= found.high
    assert 0.85 <= inside / 500 <= 0.95


def test_ties():
    found = at_far([0.5] * 100, 0.1)
    assert (found.low, found.cosine, found.high) == (0.5, 0.5, 0.5)


def test_one_impostor_may_pass():
    """At the lowest rate that so many pairs can measure, the highest score alone lies above; the interval reaches it."""
    found = at_far(np.arange(100) / 100, 0.01)
    assert found.cosine == 0.98
    assert found.high == 0.99
    assert 0.9 < found.low < 0.97


def test_as_dict():
    found = at_far(np.arange(100) / 100, 0.1)
    assert found.as_dict() == {
        "far": 0.1, "cosine": found.cosine, "low": found.low, "high": found.high, "confidence": 0.95, "impostors": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "far", "confidence", "message"),
    [
        ([], 0.1, 0.95, "similarities of different people"),
        ([0.1, math.nan], 0.5, 0.95, "finite"),
        ([0.1, 0.2], 0.1, 0.95, "needs 10 impostor pairs, not 2"),
        ([0.1, 0.2], 1.0, 0.95, "between 0 and 1"),
        ([0.1, 0.2], 0.5, 1.0, "a confidence lies between 0 and 1"),
    ],
)
def test_bad_input(scores, far, confidence, message):
    with pytest.raises(LrfaceError, match=message):
        at_far(scores, far, confidence)

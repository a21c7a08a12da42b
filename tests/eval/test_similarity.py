import math

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.eval.similarity import BINS, expectation_margin, histogram, histogram_intersection


def slow_shares(scores, bins):
    """Count pair after pair; the last bin holds a cosine of 1, too."""
    counts = [0] * bins
    for score in scores:
        counts[min(int((score + 1) * bins / 2), bins - 1)] += 1
    return [count / len(scores) for count in counts]


@pytest.mark.parametrize("bins", [4, BINS])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(seed, bins):
    rng = np.random.default_rng(seed)
    positive, negative = np.tanh(rng.normal(0.5, 0.4, 301)), np.tanh(rng.normal(0, 0.3, 777))
    shares = slow_shares(positive, bins), slow_shares(negative, bins)
    expected = sum(min(own, other) for own, other in zip(*shares, strict=True))
    assert histogram_intersection(positive, negative, bins) == pytest.approx(expected, abs=1e-12)
    assert histogram(positive, bins).tolist() == pytest.approx(shares[0])
    margin = math.fsum(positive) / 301 - math.fsum(negative) / 777
    assert expectation_margin(positive, negative) == pytest.approx(margin, abs=1e-12)


def test_extremes():
    same = np.linspace(-1, 1, 50)
    assert histogram_intersection(same, same) == pytest.approx(1.0)
    assert expectation_margin(same, same) == 0.0
    assert histogram_intersection([0.9, 1.0], [-1.0, 0.1, 0.2]) == 0.0
    assert expectation_margin([1.0], [-1.0]) == 2.0
    assert histogram([1.0 + 1e-7, -1.0 - 1e-7], 2).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("scores", [[], [0.5, math.nan], [1.5], [-2.0]])
@pytest.mark.parametrize("measure", [expectation_margin, histogram_intersection])
def test_bad_input(measure, scores):
    with pytest.raises(LrfaceError, match="positive pairs"):
        measure(scores, [0.5])
    with pytest.raises(LrfaceError, match="negative pairs"):
        measure([0.5], scores)

"""Reading what similarities mean out of a model's card."""

import json

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.calibration import (
    Calibration,
    Rate,
    bilinear_terms,
    find_rate,
    hat_weights,
    interpolation_note,
    rate_weights,
)

KNOTS = np.array([4.0, 8.0, 16.0])


def symmetric(values):
    a, b, c, d, e, f = values
    return np.array([[a, b, c], [b, d, e], [c, e, f]])


@pytest.fixture
def calibration():
    different = {0.01: symmetric([0.9, 0.8, 0.7, 0.75, 0.65, 0.6]), 0.5: symmetric([0.5, 0.4, 0.3, 0.3, 0.2, 0.1])}
    same = {0.5: symmetric([0.9, 0.85, 0.8, 0.8, 0.75, 0.7])}
    logistic = np.array([[-4.0, 1.0, 0.0, 0.5], [6.0, 2.0, 1.0, 0.0]])
    return Calibration(KNOTS, different, same, logistic, np.array([0.1, 0.5, 1.0]), {"faces": 3})


def test_a_card_brings_it_back(calibration):
    card = json.loads(json.dumps({"quality": calibration.as_dict(), "thresholds": {}}))
    again = Calibration.from_card(card)
    assert again.as_dict() == calibration.as_dict()
    assert float(again.threshold(0.01, 5, 9)) == pytest.approx(float(calibration.threshold(0.01, 5, 9)))
    assert again.facts == {"faces": 3}
    assert Calibration.from_card({"thresholds": {}}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2}, {"knots": None}, {"knots": [1, 2]}, {"recognisable": [0.1, 0.5]}, {"different": [1]},
        {"different": {"x": [[1]]}}, {"same": {"0.5": [[0.5] * 3] * 2}}, {"logistic": [[float("nan")] * 4] * 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_card(calibration, change):
    with pytest.raises(LrfaceError, match="calibration by quality"):
        Calibration.from_card({"quality": {**calibration.as_dict(), **change}})
    with pytest.raises(LrfaceError, match="calibration by quality"):
        Calibration.from_card({"quality": [1]})


def test_thresholds_between_knots(calibration):
    for a, b, expected in (
        (4, 4, 0.9), (16, 4, 0.7), (4, 16, 0.7), (8, 16, 0.65), (1, 100, 0.7), (500, 500, 0.6),
        (4 * 2**0.5, 16, 0.675), (4 * 2**0.5, 4 * 2**0.5, (0.9 + 2 * 0.8 + 0.75) / 4),
    ):  # fmt: skip
        assert float(calibration.threshold(0.01, a, b)) == pytest.approx(expected), (a, b)
    many = calibration.threshold(0.01, 8.0, np.array([4.0, 8.0, 16.0]))
    np.testing.assert_allclose(many, [0.8, 0.75, 0.65])
    with pytest.raises(LrfaceError, match=r"rate of 0\.6"):
        calibration.threshold(0.6, 8, 8)


def test_probabilities(calibration):
    similarities = np.linspace(-1, 1, 21)
    for a, b in ((4, 4), (4, 16), (16, 16), (2, 300), (9, 5)):
        low, high = (np.log2(np.clip(sorted((a, b)), 4, 16)) - 2) / 2
        expected = [1 / (1 + np.exp(-(-4 + low + 0.5 * low * high + (6 + 2 * low + high) * s))) for s in similarities]
        np.testing.assert_allclose(calibration.probability(similarities, a, b), expected)
        np.testing.assert_allclose(calibration.probability(similarities, b, a), expected)


def test_a_probability_never_falls_with_the_similarity(calibration):
    steep = Calibration(
        KNOTS, calibration.different, calibration.same, np.array([[0.0] * 4, [-3.0, 4, 0, 0]]), np.ones(3)
    )
    for side in (4, 8, 16):
        assert (np.diff(steep.probability(np.linspace(-1, 1, 9), side, side)) >= 0).all()


def test_recognisability(calibration):
    values = [calibration.recognisability(side) for side in (0.1, 1, 2, 4, 8, 12, 16, 200)]
    np.testing.assert_allclose(values, [0, 0, 0.05, 0.1, 0.5, 0.5 + 0.5 * np.log2(1.5), 1, 1])


def test_quantiles(calibration):
    below, values = calibration.quantiles("different", 8, 8)
    np.testing.assert_allclose(below, [0.5, 0.99])
    np.testing.assert_allclose(values, [0.3, 0.75])
    np.testing.assert_allclose(calibration.quantiles("same", 4, 16), [[0.5], [0.8]])


def test_interpolation_weights():
    rng = np.random.default_rng(0)
    sides = 2 ** rng.uniform(1, 5, 200)
    weights = hat_weights(sides, KNOTS)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights @ np.log2(KNOTS), np.log2(np.clip(sides, 4, 16)))
    np.testing.assert_array_equal(hat_weights(KNOTS, KNOTS), np.eye(3))
    a, b = rng.uniform(size=(2, 5))
    expected = [[1, min(x, y), max(x, y), x * y] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(bilinear_terms(a, b), expected)


def test_a_rate_between_two_is_interpolated_in_its_logarithm(calibration):
    middle = (0.01 * 0.5) ** 0.5
    assert float(calibration.threshold(middle, 8, 8)) == pytest.approx((0.75 + 0.3) / 2)
    assert rate_weights([0.1, 0.001, 0.01], 10**-2.25) == pytest.approx({0.001: 0.25, 0.01: 0.75})
    assert rate_weights([0.1, 0.01], 0.1) == {0.1: 1.0}
    for outside in (0.0, -0.01, 0.009, 0.11, 1.0, float("nan")):
        assert rate_weights([0.1, 0.01], outside) == {}
    values = [float(calibration.threshold(far, 8, 8)) for far in np.geomspace(0.01, 0.5, 20)]
    assert values == sorted(values, reverse=True)


def test_what_was_interpolated_is_said():
    assert interpolation_note([0.1, 0.01], 0.01) == ()
    assert interpolation_note([0.1, 0.01], 0.5) == ()
    (note,) = interpolation_note([0.1, 0.01], 0.03)
    assert "rate of 0.03" in note
    assert "between 0.01 and 0.1" in note


def test_a_rate_is_the_threshold_read_backwards():
    thresholds = {0.1: 0.3, 0.01: 0.5, 0.001: 0.6}
    for share, threshold in thresholds.items():
        assert find_rate(thresholds, threshold).share == pytest.approx(share)
    assert find_rate(thresholds, 0.4).share == pytest.approx(10**-1.5)
    assert find_rate(thresholds, 0.2) == Rate(0.1, "above")
    assert find_rate(thresholds, 0.7) == Rate(0.001, "below")
    assert find_rate({0.01: 0.5}, 0.6) == Rate(0.01, "below")

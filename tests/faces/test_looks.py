"""What many looks do to a threshold."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.calibration import Calibration
from lrface.faces.looks import LooksShift

KNOTS = np.array([4.0, 16.0])


@pytest.fixture
def shift():
    counts = np.array([1.0, 4.0, 16.0])
    return LooksShift(counts, {0.01: np.array([0.0, 0.1, 0.2]), 0.5: np.array([0.0, 0.02, 0.06])}, {"people": 2})


@pytest.fixture
def calibration(shift):
    tables = {0.01: np.array([[0.6, 0.5], [0.5, 0.4]]), 0.5: np.array([[0.3, 0.2], [0.2, 0.1]])}
    return Calibration(KNOTS, tables, {0.5: tables[0.5] + 0.5}, np.zeros((2, 4)), np.ones(2), looks=shift)


@pytest.mark.parametrize(("looks", "expected"), [(1, 0.0), (2, 0.05), (4, 0.1), (8, 0.15), (16, 0.2), (400, 0.2)])
def test_between_counts_it_is_interpolated_in_the_logarithm(shift, looks, expected):
    assert float(shift.of(0.01, looks)) == pytest.approx(expected)


def test_a_rate_in_between_takes_the_nearest(shift):
    assert float(shift.of(0.02, 4)) == pytest.approx(0.1)
    assert float(shift.of(0.3, 4)) == pytest.approx(0.02)


def test_thresholds_and_rates_move_together(calibration):
    single = float(calibration.threshold(0.01, 4, 16))
    many = float(calibration.threshold(0.01, 4, 16, 16))
    assert (single, many) == (pytest.approx(0.5), pytest.approx(0.7))
    assert float(calibration.threshold(0.01, 4, 16, 16, 4)) == pytest.approx(0.8)  # both sides are templates
    assert calibration.false_accept_rate(0.5, 4, 16).share == pytest.approx(0.01)
    assert calibration.false_accept_rate(0.7, 4, 16, 16).share == pytest.approx(0.01)
    assert calibration.false_accept_rate(0.5, 4, 16, 16).share > 0.01


def test_nobody_measured_it(calibration):
    without = replace(calibration, looks=None)
    assert float(without.threshold(0.01, 4, 16, 16)) == float(without.threshold(0.01, 4, 16))
    assert "looks" not in without.as_dict()


def test_the_card_carries_it(calibration):
    again = Calibration.from_card(json.loads(json.dumps({"quality": calibration.as_dict()})))
    assert float(again.threshold(0.01, 4, 4, 8)) == pytest.approx(0.75)
    assert again.looks.facts == {"people": 2}


@pytest.mark.parametrize(
    "change", [{"counts": None}, {"shifts": {"0.1": [1]}}, {"shifts": {"x": [1, 2, 3]}}, {"shifts": 3}]
)
def test_a_damaged_card(calibration, change):
    record = calibration.as_dict()
    with pytest.raises(LrfaceError, match="calibration by quality"):
        Calibration.from_card({"quality": record | {"looks": record["looks"] | change}})

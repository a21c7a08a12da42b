"""The learning rate against the paper's numbers."""

import math

import pytest

from lrface.train.recipe import OptimSection
from lrface.train.schedule import learning_rate

STEPS = 5150  # of an epoch of CASIA-WebFace at batch 96


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.05), (20, 0.05), (21, 0.005), (27, 0.005), (28, 0.0005), (31, 0.0005), (32, 0.00005), (34, 0.00005)],
)
def test_the_papers_steps(epoch, expected):
    for step in (epoch * STEPS, epoch * STEPS + STEPS - 1):
        assert learning_rate(OptimSection(), step, STEPS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 7, 49, 5150])
def test_a_milestone_begins_with_the_first_step_of_its_epoch(steps):
    section = OptimSection(lr=1.0, milestones=(3,), gamma=0.5)
    assert [learning_rate(section, step, steps) for step in (3 * steps - 1, 3 * steps)] == [1.0, 0.5]


def test_cosine_goes_from_the_full_rate_to_none():
    section = OptimSection(lr=0.2, epochs=4, schedule="cosine")
    rates = [learning_rate(section, step, 10) for step in range(41)]
    assert rates[0] == 0.2
    assert rates[10] == pytest.approx(0.2 * (1 + math.sqrt(0.5)) / 2)
    assert rates[20] == pytest.approx(0.1)
    assert rates[40] == pytest.approx(0, abs=1e-12)
    assert rates == sorted(rates, reverse=True)


def test_warm_up_rises_by_equal_steps_and_then_the_schedule_begins():
    section = OptimSection(lr=0.4, epochs=3, schedule="cosine", warmup_epochs=1)
    rates = [learning_rate(section, step, 4) for step in range(12)]
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert rates[8] == pytest.approx(0.2)  # half of the two epochs that are left


def test_warm_up_leaves_the_steps_where_they_are():
    section = OptimSection(warmup_epochs=2)
    assert learning_rate(section, 21 * 10, 10) == pytest.approx(0.005)
    assert learning_rate(section, 21 * 10 - 1, 10) == pytest.approx(0.05)


@pytest.mark.parametrize(("warmup", "steps"), [(0.5, 5), (0.5, 1), (0.3, 1), (1.5, 3)])
def test_a_warm_up_that_ends_within_a_step_never_goes_beyond_the_full_rate(warmup, steps):
    section = OptimSection(lr=1.0, warmup_epochs=warmup)
    assert max(learning_rate(section, step, steps) for step in range(4 * steps)) == 1.0

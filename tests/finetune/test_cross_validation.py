"""Thresholds, scale and figures from held-out images."""

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.finetune import cross_validation
from lrface.finetune.cross_validation import RATES, SCALES, cross_validate, held_out_images
from lrface.finetune.softmax_layer import LayerSettings, fit_layer

MEANS = LayerSettings(epochs=0)


def clouds(counts, dim=16, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    embeddings = rng.normal(size=(len(counts), dim))[labels] + noise * rng.normal(size=(len(labels), dim))
    order = rng.permutation(len(labels))
    return embeddings[order].astype(np.float32), labels[order]


@pytest.fixture
def rounds(monkeypatch):
    """The rounds of the next check, as training labels and, by round, what was asked of the layer."""
    seen = []
    fit = cross_validation.fit_layer

    def spy(embeddings, labels, classes, *rest):
        seen.append(embeddings)
        return fit(embeddings, labels, classes, *rest)

    monkeypatch.setattr(cross_validation, "fit_layer", spy)
    return seen


def rows_in(part, whole):
    """Positions of the rows of ``part`` in ``whole``."""
    return [int(np.flatnonzero((whole == row).all(1))[0]) for row in part]


def test_everybody_is_a_stranger_once_and_nobody_is_tested_on_what_was_learnt(rounds, monkeypatch):
    embeddings, labels = clouds([5, 4, 1, 2, 7, 3, 6])
    asked = []
    cosines = cross_validation.cosines
    monkeypatch.setattr(
        cross_validation, "cosines", lambda rows, weight: (asked.append(rows), cosines(rows, weight))[1]
    )
    check = cross_validate(embeddings, labels, MEANS, seed=1)
    assert len(rounds) == 5
    strangers, known = [], []
    for number, train in enumerate(rounds):
        learnt = rows_in(train, embeddings)
        tested, strange = (rows_in(asked[2 * number + kind], embeddings) for kind in (0, 1))
        assert not set(learnt) & set(tested + strange)
        assert set(labels[tested]) <= set(labels[learnt])  # somebody of theirs was learnt
        assert not set(labels[strange]) & set(labels[learnt])  # nobody of theirs was
        strangers += strange
        known += tested
    assert sorted(strangers) == list(range(len(labels)))
    assert len(known) == len(set(known)) == check.images
    assert 2 not in labels[known]  # the only image of a person is never held out
    assert check.strangers == len(labels)


def literal(embeddings, labels, held, layer):
    """Best similarity of each held image among all people, and among all but its own."""
    known, strange, right = [], [], []
    for row, label in zip(embeddings[held], labels[held], strict=True):
        similarity = layer @ (row / np.linalg.norm(row))
        known.append(similarity.max())
        right.append(similarity.argmax() == label)
        strange.append(np.delete(similarity, label).max())
    return np.array(known), np.array(right), np.array(strange)


def test_class_means_after_training_are_checked_as_by_hand():
    """Class means do not depend on each other: leaving a person out is leaving out their row."""
    embeddings, labels = clouds([12] * 10)
    held = held_out_images(labels, 0.25, seed=2)
    assert held.sum() == 30
    check = cross_validate(embeddings, labels, MEANS, seed=3, share=0.25, held=held)
    layer = fit_layer(embeddings[~held], labels[~held], 10, MEANS, seed=0)
    known, right, strange = literal(embeddings, labels, held, layer)
    assert (check.images, check.strangers) == (30, 30)
    assert check.top1 == pytest.approx(right.mean())
    # one turn of four leaves out two or three people at a time, so that strangers have fewer to be taken for
    assert list(check.thresholds) == ["0.2", "0.1", "0.05"]
    for rate, threshold in check.thresholds.items():
        assert threshold <= np.sort(strange)[::-1][int(float(rate) * 30)] + 1e-6
        outcome = check.outcomes[rate]
        assert outcome["right"] == pytest.approx(np.mean((known > threshold) & right))
        assert outcome["wrong"] == pytest.approx(np.mean((known > threshold) & ~right))
        assert sum(outcome.values()) == pytest.approx(1)


def test_a_threshold_keeps_its_rate_among_new_strangers():
    embeddings, labels = clouds([10] * 60, noise=0.8)
    mine = labels < 30
    check = cross_validate(embeddings[mine], labels[mine], LayerSettings(), seed=1)
    layer = fit_layer(embeddings[mine], labels[mine], 30, LayerSettings(), seed=1)
    others = embeddings[~mine] / np.linalg.norm(embeddings[~mine], axis=1, keepdims=True)
    best = (others @ layer.T).max(1)
    assert np.mean(best > check.thresholds["0.2"]) == pytest.approx(0.2, abs=0.1)
    assert np.mean(best > check.thresholds["0.05"]) == pytest.approx(0.05, abs=0.05)
    assert list(check.thresholds) == [f"{rate:g}" for rate in RATES if rate * 300 >= 1]
    assert list(check.thresholds.values()) == sorted(check.thresholds.values())


def test_the_scale_is_the_most_nearly_true_one():
    rng = np.random.default_rng(0)
    similarity = rng.uniform(-1, 1, (40, 5)).astype(np.float32)
    truth = np.where(rng.random(40) < 0.7, similarity.argmax(1), rng.integers(5, size=40))
    got = cross_validation._losses(similarity, truth, smoothing=0.05)
    for scale, value in zip(SCALES, got, strict=True):
        total = 0.0
        for row, label in zip(similarity.astype(np.float64), truth, strict=True):
            logs = scale * row - np.log(np.sum(np.exp(scale * row)))
            targets = [0.95 if person == label else 0.05 / 4 for person in range(5)]
            total -= np.dot(targets, logs)
        assert value == pytest.approx(total)


def test_a_few_images_that_are_all_right_do_not_prove_certainty():
    embeddings, labels = clouds([3, 3, 3], noise=0.05)
    check = cross_validate(embeddings, labels, MEANS, seed=1)
    assert check.top1 == 1
    assert SCALES[0] < check.scale < SCALES[-1]


def test_so_few_strangers_give_one_threshold_and_its_rate():
    embeddings, labels = clouds([2, 2], noise=0.1)
    check = cross_validate(embeddings, labels, MEANS, seed=1)
    assert check.strangers == 4
    assert list(check.thresholds) == ["0.2"]
    single = clouds([2, 1], noise=0.1)
    assert list(cross_validate(*single, MEANS, seed=1).thresholds) == ["0.25"]


def test_the_seed_decides():
    embeddings, labels = clouds([6] * 5, noise=1.0)
    assert cross_validate(embeddings, labels, MEANS, seed=1) == cross_validate(embeddings, labels, MEANS, seed=1)
    assert cross_validate(embeddings, labels, MEANS, seed=1) != cross_validate(embeddings, labels, MEANS, seed=2)


def test_nobody_with_two_images():
    embeddings, labels = clouds([1, 1, 1])
    with pytest.raises(LrfaceError, match="nobody has two images"):
        cross_validate(embeddings, labels, MEANS, seed=1)
    assert not held_out_images(labels, 0.2, seed=1).any()


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_held_images_leave_everybody_something(share):
    labels = clouds([1, 2, 3, 10, 40])[1]
    held = held_out_images(labels, share, seed=1)
    for person, count in enumerate([1, 2, 3, 10, 40]):
        own = held[labels == person].sum()
        assert own < count
        assert own == (0 if count == 1 else min(max(1, round(share * count)), count - 1))

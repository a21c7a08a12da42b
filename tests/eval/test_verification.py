"""The oracles loop over thresholds, folds and pairs exactly as the protocol is told."""

import itertools
import json
import math

import numpy as np
import pytest
from sklearn.model_selection import KFold

from lrface.errors import LrfaceError
from lrface.eval.verification import FARS, evaluate, similarities, threshold_at_far


def made_pairs(pairs, seed=0, dims=16, noise=1.2, coarse=None):
    """Embeddings of uneven length; with ``coarse`` their entries are few, so that distances tie."""
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.5
    a = rng.normal(size=(pairs, dims))
    b = np.where(same[:, None], a + noise * rng.normal(size=a.shape), rng.normal(size=a.shape))
    if coarse is not None:
        a, b = np.sign(np.round(a * coarse) + 0.5), np.sign(np.round(b * coarse) + 0.5)
    return a * rng.uniform(0.1, 30, (pairs, 1)), b * rng.uniform(0.1, 30, (pairs, 1)), same


def slow_distances(a, b):
    out = []
    for x, y in zip(a, b, strict=True):
        x, y = x / math.sqrt(math.fsum(x * x)), y / math.sqrt(math.fsum(y * y))
        out.append(math.fsum((x - y) ** 2))
    return np.array(out)


def slow_protocol(distances, same, folds, candidates):
    accuracies, thresholds = [], []
    distances, same = distances.tolist(), same.tolist()
    for train, test in KFold(n_splits=folds, shuffle=False).split(distances):
        best, best_accuracy = None, -1.0
        for threshold in candidates([distances[i] for i in train]):
            right = sum((distances[i] < threshold) == same[i] for i in train)
            if right / len(train) > best_accuracy:
                best, best_accuracy = threshold, right / len(train)
        thresholds.append(best)
        accuracies.append(sum((distances[i] < best) == same[i] for i in test) / len(test))
    return np.mean(accuracies), np.std(accuracies), thresholds


def slow_auc(distances, same):
    """The chance that a pair of one person is closer than a pair of two, ties counting half."""
    wins = [1.0 if s < d else 0.5 if s == d else 0.0 for s in distances[same] for d in distances[~same]]
    return math.fsum(wins) / len(wins)


def slow_eer(distances, same):
    before = (0.0, 1.0)
    for threshold in [*np.unique(distances), 9.0]:
        accepted = distances <= threshold
        now = (np.mean(accepted[~same]), np.mean(~accepted[same]))
        if now[0] >= now[1]:
            share = (before[1] - before[0]) / ((now[0] - before[0]) + (before[1] - now[1]))
            return before[0] + share * (now[0] - before[0])
        before = now
    raise AssertionError


def slow_tar(distances, same, far):
    """The most accepts of one person among the thresholds that accept few enough of two."""
    if far * np.sum(~same) < 1 - 1e-9:
        return math.nan
    tars = [0.0]
    for threshold in distances:
        if np.mean(distances[~same] < threshold) <= far + 1e-12 and threshold in distances[~same]:
            tars.append(np.mean(distances[same] < threshold))
    return max(tars)


@pytest.mark.parametrize("coarse", [None, 1])
@pytest.mark.parametrize(("pairs", "folds"), [(120, 10), (63, 10), (40, 4), (31, 2)])
def test_grid_is_the_protocol(pairs, folds, coarse):
    # In 11 dimensions coarse distances are multiples of 4/11: they tie, but never fall on the grid's own values.
    a, b, same = made_pairs(pairs, seed=pairs, coarse=coarse, dims=11)
    result = evaluate(a, b, same, folds=folds)
    accuracy, std, thresholds = slow_protocol(slow_distances(a, b), same, folds, lambda _: np.arange(0, 4, 0.01))
    assert result.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert result.std == pytest.approx(std, abs=1e-12)
    assert result.thresholds == tuple(thresholds)
    assert result.pairs == pairs


@pytest.mark.parametrize("coarse", [None, 1])
def test_exact_thresholds(coarse):
    def candidates(distances):
        steps = sorted(set(distances))
        return [0.0, *((low + high) / 2 for low, high in itertools.pairwise(steps)), 5.0]

    a, b, same = made_pairs(120, seed=3, coarse=coarse)
    if coarse:  # entries are all of one size: distances are multiples of 1/4, whichever way they are rounded
        a, b = np.sign(a), np.sign(b)
    result = evaluate(a, b, same, thresholds="exact")
    accuracy, std, thresholds = slow_protocol(slow_distances(a, b), same, 10, candidates)
    assert result.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert result.std == pytest.approx(std, abs=1e-12)
    assert result.thresholds == pytest.approx(thresholds, abs=1e-12)


def test_exact_splits_what_the_grid_cannot():
    angles = np.where(np.arange(40) % 2 == 0, 1e-3, 2e-3)
    a, b = np.tile([1.0, 0.0], (40, 1)), np.stack([np.cos(angles), np.sin(angles)], axis=1)
    same = np.arange(40) % 2 == 0
    assert evaluate(a, b, same).accuracy == 0.5
    assert evaluate(a, b, same, thresholds="exact").accuracy == 1.0


@pytest.mark.parametrize("coarse", [None, 1])
def test_rates(coarse):
    a, b, same = made_pairs(400, seed=5, coarse=coarse)
    if coarse:
        a, b = np.sign(a), np.sign(b)
    result, distances = evaluate(a, b, same), slow_distances(a, b)
    assert result.auc == pytest.approx(slow_auc(distances, same), abs=1e-12)
    assert result.eer == pytest.approx(slow_eer(distances, same), abs=1e-12)
    assert list(result.tar_at_far) == list(FARS)
    for far in FARS:
        assert result.tar_at_far[far] == pytest.approx(slow_tar(distances, same, far), abs=1e-12, nan_ok=True)
    assert math.isnan(result.tar_at_far[1e-3])
    assert not math.isnan(result.tar_at_far[1e-2])


@pytest.mark.parametrize("coarse", [None, 1])
def test_thresholds_for_each_rate(coarse):
    a, b, same = made_pairs(600, seed=6, coarse=coarse)
    found = evaluate(a, b, same).threshold_at_far
    scores = similarities(a, b)
    assert list(found) == [0.1, 0.01]
    for far, threshold in found.items():
        assert threshold.cosine == threshold_at_far(scores[~same], far)
        assert np.mean(scores[~same] > threshold.cosine) <= far
        assert threshold.low <= threshold.cosine <= threshold.high


def test_perfect_and_useless():
    eye, same = np.eye(20), np.arange(20) % 2 == 0
    other = np.where(same[:, None], eye, np.roll(eye, 1, axis=1))
    perfect = evaluate(eye, other, same)
    assert (perfect.accuracy, perfect.std, perfect.auc, perfect.eer) == (1.0, 0.0, 1.0, 0.0)
    assert perfect.tar_at_far[0.1] == 1.0
    ones = evaluate(np.ones((20, 3)), np.ones((20, 3)), same)
    assert (ones.accuracy, ones.auc, ones.eer, ones.tar_at_far[0.1]) == (0.5, 0.5, 0.5, 0.0)


def test_opposite_pairs_are_beyond_the_grid():
    """The distance of opposite embeddings is 4; nothing of the grid accepts them, though all are of one person."""
    a = np.tile([1.0, 0.0], (20, 1))
    same = np.arange(20) % 4 > 0
    b = np.where(same[:, None], -a, np.array([0.0, 1.0]))
    assert evaluate(a, b, same).accuracy == 0.25
    assert evaluate(a, b, same, thresholds="exact").accuracy == 0.75


def test_a_distance_equal_to_the_threshold_is_rejected():
    """Right angles have a distance of exactly 2, which the grid contains: 2.01 is the first to accept them."""
    a = np.tile([1.0, 0.0], (20, 1))
    same = np.arange(20) % 2 == 0
    result = evaluate(a, np.where(same[:, None], np.array([0.0, 1.0]), -a), same)
    assert result.accuracy == 1.0
    assert result.thresholds == pytest.approx([2.01] * 10)


def test_length_and_type_of_embeddings_do_not_matter():
    a, b, same = made_pairs(100, seed=8)
    expected = evaluate(a, b, same)
    for change in (lambda x: x * 1e-200, lambda x: x * 1e200, lambda x: x.tolist()):
        other = evaluate(change(a), change(b), same.astype(int).tolist())
        assert other.thresholds == expected.thresholds
        assert other.auc == pytest.approx(expected.auc)
    assert evaluate(a.astype(np.float32), b.astype(np.float32), same).accuracy == expected.accuracy


def test_as_dict_is_json():
    result = evaluate(*made_pairs(60, seed=1))
    content = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert list(content) == ["accuracy", "std", "auc", "eer", "tar_at_far", "thresholds", "pairs", "threshold_at_far"]
    assert content["tar_at_far"] == {"0.1": result.tar_at_far[0.1], "0.01": None, "0.001": None, "0.0001": None}
    assert content["accuracy"] == result.accuracy
    assert content["pairs"] == 60
    assert list(content["threshold_at_far"]) == ["0.1"]
    assert content["threshold_at_far"]["0.1"]["cosine"] == result.threshold_at_far[0.1].cosine


def test_similarities():
    a, b, _ = made_pairs(50, seed=2)
    np.testing.assert_allclose(similarities(a, b), 1 - slow_distances(a, b) / 2, atol=1e-12)
    assert similarities([[3.0, 4.0]], [[3.0, 4.0]])[0] <= 1
    assert similarities([[1.0, 0.0]], [[-2.0, 0.0]])[0] == -1


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [10, 30, 999, 1000, 3000])
@pytest.mark.parametrize("far", [0.3, 0.1, 1e-2, 1e-3])
def test_threshold_at_far(count, far, ties):
    scores = np.random.default_rng(count).uniform(-1, 1, count)
    scores = np.round(scores * 10) / 10 if ties else scores
    if round(far * count, 9) < 1:
        with pytest.raises(
            LrfaceError, match=f"needs {round(1 / far) if far != 0.3 else 4} impostor pairs, not {count}"
        ):
            threshold_at_far(scores, far)
        return
    threshold = threshold_at_far(scores, far)
    accepted = sum(score > threshold for score in scores)
    assert accepted <= round(far * count, 9)
    below = max((score for score in scores if score < threshold), default=None)
    if below is not None:  # the next lower threshold would accept too many
        assert sum(score > below for score in scores) > far * count
    if not ties:
        assert accepted == math.floor(round(far * count, 9))


@pytest.mark.parametrize(
    ("scores", "far", "message"),
    [
        ([], 0.1, "similarities of different people"),
        ([0.1, float("nan")], 0.5, "finite"),
        ([0.1, 0.2], 0.0, "between 0 and 1"),
        ([0.1, 0.2], 1.0, "between 0 and 1"),
        ([0.1, 0.2], 0.1, "needs 10 impostor pairs, not 2"),
    ],
)
def test_threshold_that_cannot_be_set(scores, far, message):
    with pytest.raises(LrfaceError, match=message):
        threshold_at_far(scores, far)


def changed(array, row, value):
    array = array.copy()
    array[row] = value
    return array


A, B, SAME = made_pairs(40, seed=4)


@pytest.mark.parametrize(
    ("a", "b", "same", "message"),
    [
        (A[:0], B[:0], SAME[:0], "no pairs"),
        (A[:0, :0], B[:0, :0], SAME[:0], "no pairs"),
        (A, B[:-1], SAME, "one shape"),
        (A, B[:, :-1], SAME, "one shape"),
        (A[0], B[0], SAME, "one shape"),
        (A, B, SAME[:-1], "40 flags"),
        (A, B, np.arange(40), "40 flags"),
        (A, B, SAME[:, None], "40 flags"),
        (changed(A, 7, np.nan), B, SAME, "pair 7 is not finite"),
        (A, changed(B, 39, np.inf), SAME, "pair 39 is not finite"),
        (A, changed(B, 0, 0.0), SAME, "pair 0 is zero"),
        (A, B, np.ones(40, bool), "all 40 pairs are same"),
        (A, B, np.zeros(40, bool), "all 40 pairs are different"),
    ],
)
def test_bad_input(a, b, same, message):
    with pytest.raises(LrfaceError, match=message):
        evaluate(a, b, same)


@pytest.mark.parametrize("folds", [0, 1, 41])
def test_bad_folds(folds):
    with pytest.raises(LrfaceError, match=f"40 pairs cannot be split into {folds} folds"):
        evaluate(A, B, SAME, folds=folds)


def test_folds_without_both_kinds_to_learn_from():
    with pytest.raises(LrfaceError, match="without pairs 0 to 19 all others are of one kind"):
        evaluate(A, B, np.arange(40) < 20, folds=2)

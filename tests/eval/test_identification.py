import json
import math

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.eval.identification import evaluate, summarise


def slow(logits, labels, k):
    """Sort the classes of each image by logit, the right one last among equals."""
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(len(row)), key=lambda c: (-row[c], c == label))
        right += label in ranked[:k]
    return right / len(labels)


def answers(images, classes, seed, coarse):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(images, classes)), rng.integers(0, classes, images)
    logits[np.arange(images), labels] += 1
    return (np.round(logits) if coarse else logits), labels


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(("images", "classes"), [(200, 30), (50, 6), (1, 180)])
def test_equals_sorting(images, classes, coarse):
    logits, labels = answers(images, classes, seed=images, coarse=coarse)
    result = evaluate(logits, labels, tops=(1, 2, 5))
    assert result.top == {k: pytest.approx(slow(logits, labels, k)) for k in (1, 2, 5)}
    assert (result.images, result.classes, result.people) == (images, classes, len(set(labels.tolist())))


def test_a_classifier_that_says_the_same_of_all_knows_nobody():
    result = evaluate(np.zeros((10, 6)), np.arange(10) % 6)
    assert result.top == {1: 0.0, 5: 0.0}


def test_more_answers_than_classes():
    assert evaluate(np.zeros((4, 3), np.float32), [0, 1, 2, 0]).top == {1: 0.0, 5: 1.0}
    assert evaluate([[-np.inf, 0.0, -np.inf]], [1]).top == {1: 1.0, 5: 1.0}


def test_summary_over_seeds():
    results = [evaluate(*answers(100, 20, seed, coarse=False)) for seed in range(4)]
    summary = summarise(results)
    for k in (1, 5):
        shares = [result.top[k] for result in results]
        mean = math.fsum(shares) / 4
        assert summary.mean[k] == pytest.approx(mean)
        assert summary.spread[k] == pytest.approx(math.sqrt(sum((share - mean) ** 2 for share in shares) / 3))
    assert summary.runs == 4
    assert json.loads(json.dumps(summary.as_dict(), allow_nan=False))["spread"]["5"] == summary.spread[5]


def test_one_run_has_no_spread():
    result = evaluate(*answers(100, 20, 0, coarse=False))
    summary = summarise([result])
    assert summary.mean == result.top
    assert math.isnan(summary.spread[1])
    assert json.loads(json.dumps(summary.as_dict(), allow_nan=False))["spread"] == {"1": None, "5": None}
    assert json.loads(json.dumps(result.as_dict()))["top"]["1"] == result.top[1]


L, Y = answers(10, 4, seed=0, coarse=False)


@pytest.mark.parametrize(
    ("logits", "labels", "tops", "message"),
    [
        (L[:0], Y[:0], (1,), "expected logits"),
        (L, Y[:-1], (1,), "expected logits"),
        (L[0], Y, (1,), "expected logits"),
        (np.where(np.arange(10)[:, None] == 6, np.nan, L), Y, (1,), "logits of image 6 are not numbers"),
        (L, Y + 1, (1,), "labels are whole numbers from 0 to 3, one a class; found 4"),
        (L, Y - 9, (1,), "found -"),
        (L, Y.astype(float), (1,), "found float64"),
        (L, Y, (0,), "top k counts from 1"),
    ],
)
def test_bad_input(logits, labels, tops, message):
    with pytest.raises(LrfaceError, match=message):
        evaluate(logits, labels, tops)


def test_runs_of_different_protocols():
    with pytest.raises(LrfaceError, match="no runs"):
        summarise([])
    with pytest.raises(LrfaceError, match="not of one protocol"):
        summarise([evaluate(L, Y), evaluate(L[:5], Y[:5])])

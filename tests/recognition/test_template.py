"""Several faces decide together."""

import numpy as np
import pytest

from lrface.recognition.template import compare_sets, weigh


def rows(count, seed):
    drawn = np.random.default_rng(seed).standard_normal((count, 16)) + 1
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_one_face_each_is_the_cosine():
    a, b = rows(1, 0), rows(1, 1)
    score = compare_sets(a, b, np.array([[0.3]]), (np.ones(1), np.ones(1)))
    assert score.similarity == pytest.approx(float(a[0] @ b[0]), abs=1e-6)
    assert (score.threshold, score.best) == (0.3, (0, 0))


@pytest.mark.parametrize(("n", "m"), [(1, 4), (3, 2), (5, 5)])
def test_as_an_oracle_computes_it(n, m):
    a, b = rows(n, 2), rows(m, 3)
    rng = np.random.default_rng(4)
    limits, weights = rng.uniform(0, 0.5, (n, m)), (rng.uniform(0.1, 1, n), rng.uniform(0.1, 1, m))
    pairs = [(float(a[i] @ b[j]) - limits[i, j], i, j) for i in range(n) for j in range(m)]
    _, i, j = max(pairs)
    left = sum(weights[0][k] * a[k].astype(float) for k in range(n))
    right = sum(weights[1][k] * b[k].astype(float) for k in range(m))
    cosine = float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
    shares = np.outer(weights[0] / weights[0].sum(), weights[1] / weights[1].sum())
    score = compare_sets(a, b, limits, weights)
    assert score.best == (i, j)
    assert score.similarity == pytest.approx((float(a[i] @ b[j]) + cosine) / 2, abs=1e-6)
    assert score.threshold == pytest.approx((limits[i, j] + (limits * shares).sum()) / 2)


def test_weights_follow_what_can_be_told_of_a_face():
    assert weigh([None, 0.5, 0.0]).tolist() == [1.0, 0.5, 0.01]

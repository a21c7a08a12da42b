"""The metric of a student and of its prediction of a teacher, against the sum of both written out."""

import numpy as np
import pytest

from lrface.train.teacher_metric import teacher_metric

N, DIM, OUT = 50, 6, 4


@pytest.fixture
def faces():
    rng = np.random.default_rng(5)
    embeddings = rng.normal(size=(N, DIM))
    targets = embeddings[:, :OUT] @ rng.normal(size=(OUT, OUT)) + rng.normal(0, 0.1, (N, OUT)) + 2.0
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), targets


def slow_prediction(embeddings, targets, ridge):
    """Ridge regression as least squares with extra rows."""
    y = np.array([row / np.linalg.norm(row) for row in targets])
    x, y = embeddings - embeddings.mean(0), y - y.mean(0)
    lam = ridge * np.trace(x.T @ x / N) / DIM
    stacked = np.concatenate([x, np.sqrt(N * lam) * np.eye(DIM)])
    return np.linalg.lstsq(stacked, np.concatenate([y, np.zeros((DIM, OUT))]), rcond=None)[0]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_cosine_becomes_the_weighted_sum_of_two(faces, weight):
    embeddings, targets = faces
    matrix = teacher_metric(embeddings, targets, 0.1, weight)
    predicted = embeddings @ slow_prediction(embeddings, targets, 0.1)
    predicted /= np.sqrt(np.mean([row @ row for row in predicted]))
    expected = np.array(
        [[weight * a @ b + (1 - weight) * p @ q for b, q in zip(embeddings, predicted, strict=True)]
         for a, p in zip(embeddings, predicted, strict=True)]
    )  # fmt: skip
    found = (embeddings @ matrix) @ (embeddings @ matrix).T
    np.testing.assert_allclose(found / found[0, 0], expected / expected[0, 0], atol=1e-6)


def test_it_keeps_the_scale_and_changes_nothing_for_the_student_alone(faces):
    matrix = teacher_metric(*faces, 0.1, 0.5)
    assert np.trace(matrix) == pytest.approx(DIM)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(teacher_metric(*faces, 0.1, 1.0), np.eye(DIM), atol=1e-9)

"""What is said of the approximate index is true."""

import numpy as np
import pytest
from gallery_stub import embeddings

from lrface.recognition.gallery import recall


def test_queries_are_faces_disturbed():
    faces = embeddings(500).astype(np.float16)
    queries = recall.queries(faces, 100)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
    own = np.random.default_rng(5).choice(500, 100, replace=False)
    cosine = (faces[own].astype(np.float32) * queries).sum(axis=1)
    assert cosine.min() > recall.LOWEST - 0.01
    assert cosine.min() < recall.LOWEST + 0.1
    assert cosine.max() > 0.9
    np.testing.assert_array_equal(queries, recall.queries(faces, 100))


@pytest.mark.parametrize("faces", [embeddings(3), np.repeat(embeddings(1), 50, axis=0)])
def test_queries_of_few_or_equal_faces(faces):
    queries = recall.queries(faces, 20)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)


def test_the_nearest_are_found_in_parts():
    faces, queries, ids = embeddings(1000).astype(np.float16), embeddings(7, seed=1), 2 * np.arange(1000) + 9
    nearest = recall.Nearest(queries, 10)
    for start, stop in ((0, 3), (3, 3), (3, 700), (700, 1000)):
        nearest.see(ids[start:stop], faces[start:stop])
    expected = ids[np.argsort(-(queries.astype(np.float64) @ faces.astype(np.float64).T), axis=1)[:, :10]]
    np.testing.assert_array_equal(nearest.ids, expected)


def proposer(rows):
    """A search whose proposals are known."""
    return lambda queries, count: np.array(rows)[:, :count]


TRUTH = np.array([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 2, 0, 0], [4, 3, 0, 0]], (2, 1, 1)),  # two proposals suffice
        ([[1, 0, 2, 0], [3, 4, 0, 0]], (4, 1, 1)),
        ([[2, 0, 0, 1], [3, 4, 0, 0]], (4, 1, 1)),
        ([[2, 0, 0, 0], [3, 0, 0, 4]], (4, 0.5, 0.75)),  # nothing suffices
        ([[2], [3]], (4, 0.5, 0.5)),  # a small index has no more
    ],
)
def test_the_least_depth_that_suffices_is_chosen(rows, expected):
    measured = recall.measure(proposer(rows), 1000, np.zeros((2, 1)), TRUTH, (2, 4))
    assert (measured.depth, measured.first, measured.ten) == expected
    assert (measured.queries, measured.faces) == (2, 1000)

"""Recall of the approximate index: how often it proposes the faces that an exact search finds. Measured at every build."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lrface.recognition.gallery.index import Index

#: Number of queries for the measurement.
QUERIES = 200

#: Smallest cosine of a query to its face. Thresholds are rarely lower, and a similarity below them means "unknown".
LOWEST = 0.3

#: Candidates for the number of proposals that are compared exactly; the smallest sufficient one is chosen.
DEPTHS = (256, 512, 1024, 2048)

#: Sufficient shares of the nearest face, and of the ten nearest, among the proposals.
WANTED = (1.0, 0.99)

#: Number of faces whose random sum disturbs a query; none of them is near the query.
_MIXED = 32


@dataclass(frozen=True)
class Recall:
    """The measured recall.

    Attributes:
        depth: number of proposals that are compared exactly.
        first: share of the queries whose nearest face is among these.
        ten: share of the ten nearest faces among these.
        queries: number of queries.
        faces: number of faces in the index.
    """

    depth: int
    first: float
    ten: float
    queries: int
    faces: int


def queries(faces: np.ndarray, count: int = QUERIES, seed: int = 5) -> np.ndarray:
    """Faces disturbed as in a new photo: float32 ``[count, dim]``, L2-normalised.

    Each query is at a cosine between ``LOWEST`` and 1 from a face, evenly distributed. The rest is a mixture of many other
    faces, so that it varies in the same directions as faces do.

    Args:
        faces: float ``[n, dim]``, L2-normalised, in any order.
        count: number of queries.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    faces = faces.astype(np.float32)
    own = faces[rng.choice(len(faces), count, replace=len(faces) < count)]
    signs = rng.choice(np.array([-1, 1], np.float32), (count, _MIXED, 1))
    rest = (faces[rng.integers(len(faces), size=(count, _MIXED))] * signs).sum(axis=1)
    rest += rng.normal(0, 1e-3, rest.shape).astype(np.float32)  # for the case that all faces are equal
    rest -= (rest * own).sum(axis=1, keepdims=True) * own
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    cosine = rng.uniform(LOWEST, 1, (count, 1)).astype(np.float32)
    mixed = cosine * own + np.sqrt(1 - cosine**2) * rest
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


class Nearest:
    """The exact nearest faces of some queries, updated while all faces are read once.

    Args:
        queries: float32 ``[n, dim]``.
        count: number of faces for each query.
    """

    def __init__(self, queries: np.ndarray, count: int = 10) -> None:
        self._queries, self._count = queries, count
        self._scores = np.empty((len(queries), 0), np.float32)
        self.ids = np.empty((len(queries), 0), np.int64)

    def see(self, ids: np.ndarray, rows: np.ndarray) -> None:
        """Add faces: int64 ``[n]`` and float16 ``[n, dim]``. Afterwards ``self.ids`` has the nearest so far, best first."""
        scores = np.concatenate([self._scores, self._queries @ rows.astype(np.float32).T], axis=1)
        known = np.concatenate([self.ids, np.broadcast_to(ids, (len(self.ids), len(ids)))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self._count]
        self._scores, self.ids = (np.take_along_axis(values, best, axis=1) for values in (scores, known))


def measure(index: Index, probes: np.ndarray, nearest: np.ndarray, depths: Iterable[int] = DEPTHS) -> Recall:
    """Compare an index with the exact result, and choose the number of proposals to compare exactly.

    Args:
        index: of all faces.
        probes: float32 ``[n, dim]``.
        nearest: ids of the nearest faces of each probe, best first: int64 ``[n, k]``.
        depths: candidates, ascending.
    """
    depths = list(depths)
    proposed = index.search(probes, depths[-1])
    for depth in depths:
        found = np.stack([np.isin(truth, row[:depth]) for truth, row in zip(nearest, proposed, strict=True)])
        recall = Recall(depth, float(found[:, 0].mean()), float(found.mean()), len(probes), len(index))
        if recall.first >= WANTED[0] and recall.ten >= WANTED[1]:
            break
    return recall

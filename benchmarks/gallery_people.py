"""Made-up people for the benchmarks of galleries, the faces that are asked for, and how well a search answers.

Each person is a random direction with a spectrum that falls as ``1 / i``, like that of real embeddings. A person's faces are
disturbed with the same spectrum, so that they have a cosine of about 0.3 to 0.8 to one another. Queries are further faces of
some of the people.
"""

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.recognition.encoder import FaceEncoder

DIM = 512

#: Number of people in one part, which is drawn at once.
PEOPLE = 100
QUERIES = 200
TOP = 5
SPECTRUM = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)


def encoder() -> FaceEncoder:
    """An encoder whose network is never used."""

    def network(batch: np.ndarray) -> np.ndarray:
        return np.ones((len(batch), DIM), np.float32)

    card = {"name": "benchmark", "thresholds": {"0.001": 0.5}}
    return FaceEncoder(Embedder(network, Preprocessing(16), "benchmark", card), "none")


def unit(rows: np.ndarray) -> np.ndarray:
    """L2-normalise rows, as float32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def faces(part: int, each: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Faces of the people of one part.

    Args:
        part: number of the part.
        each: number of faces per person.
        seed: another seed gives other faces of the same people.

    Returns:
        Embeddings float32 ``[n, DIM]``, and the names of their people.
    """
    centres = unit(np.random.default_rng([5, part]).standard_normal((PEOPLE, DIM), np.float32) * SPECTRUM)
    rng = np.random.default_rng([seed, part])
    owner = np.repeat(np.arange(PEOPLE), each)
    rest = unit(rng.standard_normal((len(owner), DIM), np.float32) * SPECTRUM)
    share = rng.uniform(0.6, 0.9, (len(owner), 1)).astype(np.float32)
    rows = unit(share * centres[owner] + np.sqrt(1 - share**2) * rest)
    return rows, [f"person {part * PEOPLE + number}" for number in owner]


def queries(parts: int) -> tuple[np.ndarray, list[str]]:
    """Queries, float32 ``[QUERIES, DIM]``, and whose faces they are, of people of the first ``parts`` parts."""
    rng = np.random.default_rng(7)
    rows, names = [], []
    for part in rng.integers(parts, size=QUERIES).tolist():
        found, who = faces(part, 1, seed=9)
        chosen = int(rng.integers(len(found)))
        rows.append(found[chosen])
        names.append(who[chosen])
    return np.stack(rows), names


def nearest_people(
    probes: np.ndarray, everybody: Iterable[tuple[np.ndarray, list[str]]], each: int = 1
) -> list[list[str]]:
    """The nearest people of each query, best first, by an exact comparison with the embeddings as they are stored (float16).

    People are compared as a gallery does: by the mean of the cosine to the best face and that to the template.

    Args:
        probes: the queries.
        everybody: embeddings and names, in parts; the faces of a person follow one another.
        each: number of faces per person.
    """
    owners, scores, people = list[str](), [], []
    for rows, names in everybody:
        stored = unit(rows.astype(np.float16).astype(np.float32))
        best = (probes @ stored.T).reshape(len(probes), -1, each).max(axis=2)
        templates = unit(stored.reshape(-1, each, DIM).mean(axis=1))
        score = (best + probes @ templates.T) / 2
        first = np.argsort(-score, axis=1)[:, :TOP]
        scores.append(np.take_along_axis(score, first, axis=1))
        people.append(first + len(owners))
        owners += names[::each]
    order = np.argsort(-np.concatenate(scores, axis=1), axis=1)[:, :TOP]
    chosen = np.take_along_axis(np.concatenate(people, axis=1), order, axis=1)
    return [[owners[person] for person in row] for row in chosen.tolist()]


def recall(answers: list[list[str]], expected: list[list[str]]) -> tuple[float, float]:
    """The share of answers that name the nearest person first, and the share of the ``TOP`` nearest that are named."""
    both = list(zip(answers, expected, strict=True))
    first = [got[0] == wanted[0] for got, wanted in both]
    return float(np.mean(first)), float(np.mean([len({*got} & {*wanted}) / TOP for got, wanted in both]))


class IndexTimer:
    """Counts the seconds that a gallery spends on its index."""

    def __init__(self, gallery: Any) -> None:
        self.seconds = 0.0
        builder = gallery._builder
        maintain = builder.maintain

        def timed() -> None:
            start = time.perf_counter()
            maintain()
            self.seconds += time.perf_counter() - start

        builder.maintain = timed

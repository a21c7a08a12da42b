"""Fitting a calibration by resolution, from embeddings of faces with known resolutions and people."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrface.errors import LrfaceError
from lrface.eval.verification import FARS
from lrface.faces.calibration import Calibration, bilinear_terms, hat_weights

#: Resolutions of the tables in pixels of detail. Networks with an input of 16 pixels do no better beyond the last one.
KNOTS = np.array([4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0])

#: The same for a family of networks, some of which have a larger input.
FAMILY_KNOTS = np.array([4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 36.0, 64.0])

#: Shares of pairs above a similarity, for the tables. Thresholds use the first ones, figures use all.
DIFFERENT_SHARES = (*sorted(FARS), 0.25, 0.5, 0.75, 0.9, 0.99)
SAME_SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)

#: Largest number of faces of one source on each side of a cell; they make half a million pairs.
FACES_A_KNOT = 700

#: The false accept rate at which recognisability is defined.
RECOGNISED_AT = 0.01

#: Smallest number of pairs of each kind in a cell; with fewer, nothing can be fitted.
FEWEST = 20


@dataclass(frozen=True)
class QualitySamples:
    """Embeddings of faces at known resolutions, several per person and per image.

    Attributes:
        embeddings: float32 ``[n, dim]``, L2-normalised.
        people: int64 ``[n]``, numbered over all sources.
        images: int64 ``[n]``; two rows of one image are never paired.
        sources: int64 ``[n]``. All sources have the same weight. Pairs are made within a source only, because faces of
            two sets differ in more than the person.
        conditions: int64 ``[n]``; faces with the same number were made under the same conditions, as if by one camera.
        resolutions: float64 ``[n]``, pixels of detail.
    """

    embeddings: NDArray[np.float32]
    people: NDArray[np.int64]
    images: NDArray[np.int64]
    sources: NDArray[np.int64]
    conditions: NDArray[np.int64]
    resolutions: NDArray[np.float64]

    def subset(self, mask: NDArray[np.bool_]) -> "QualitySamples":
        """The samples in the mask, bool ``[n]``."""
        return QualitySamples(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Pairs:
    """Pairs of one kind: similarities and weights, float64 ``[m]``, and resolutions float64 ``[m, 2]``."""

    similarities: NDArray[np.float64]
    weights: NDArray[np.float64]
    resolutions: NDArray[np.float64]


def fit(seen: QualitySamples, seed: int = 0, knots: NDArray[np.float64] = KNOTS) -> Calibration:
    """Fit a calibration.

    In each cell of the tables, the weight of a pair is the interpolation weight of this cell at the pair's resolutions. The
    entries are weighted quantiles. Faces under the same conditions are more alike than other faces of their resolutions, and
    real galleries are full of them. If a cell has such pairs of different people, they get half of its weight. Then neither
    kind of pair is accepted more than twice as often as promised.

    Args:
        seen: the faces.
        seed: of the draw of pairs.
        knots: resolutions of the tables, float64 ``[k]``, pixels of detail, rising.

    Raises:
        LrfaceError: too few faces, people, or images of one person.
    """
    rng = np.random.default_rng(seed)
    same = _same_pairs(seen)
    if len(same.weights) < FEWEST:
        raise LrfaceError("a calibration needs people with two images or more")
    count = len(knots)
    tables = {share: np.zeros((count, count)) for share in DIFFERENT_SHARES}
    same_tables = {share: np.zeros((count, count)) for share in SAME_SHARES}
    logistic: list[tuple[Pairs, bool]] = []
    for i, j, pairs in _cells_of_different(seen, rng, knots):
        chosen = _in_cell(same, i, j, knots)
        if min(len(pairs.weights), len(chosen.weights)) < FEWEST:
            raise LrfaceError(
                f"there are too few pairs of faces of about {knots[i]:g} and {knots[j]:g} pixels: give more images"
            )
        for target, shares, members in ((tables, DIFFERENT_SHARES, pairs), (same_tables, SAME_SHARES, chosen)):
            for share, value in zip(shares, _exceeded(members, shares), strict=True):
                target[share][i, j] = target[share][j, i] = value
        logistic += [(_sample(pairs, rng), False), (_sample(chosen, rng), True)]
    weights = _fit_logistic(logistic, knots)
    draft = Calibration(knots, tables, same_tables, weights, np.ones(count))
    return Calibration(knots, tables, same_tables, weights, _recognisable(draft, same))


def _same_pairs(seen: QualitySamples) -> Pairs:
    """All pairs of different images of one person. The weights of each source have the sum 1."""
    order = np.argsort(seen.people, kind="stable")
    ends = np.flatnonzero(np.diff(seen.people[order])) + 1
    found = [np.empty((0, 2), np.int64)]
    for group in np.split(order, ends):
        a, b = np.triu_indices(len(group), 1)
        other = seen.images[group[a]] != seen.images[group[b]]
        found.append(np.stack([group[a[other]], group[b[other]]], 1))
    pairs = np.concatenate(found)
    sources = seen.sources[pairs[:, 0]]
    return Pairs(
        np.einsum("nd,nd->n", seen.embeddings[pairs[:, 0]], seen.embeddings[pairs[:, 1]]).astype(np.float64),
        1 / np.maximum(np.bincount(sources, minlength=1)[sources], 1),
        seen.resolutions[pairs],
    )


def _cells_of_different(
    seen: QualitySamples, rng: np.random.Generator, knots: NDArray[np.float64]
) -> Iterator[tuple[int, int, Pairs]]:
    """Yield the pairs of different people in each cell i <= j of the tables."""
    hats = hat_weights(seen.resolutions, knots)
    order = np.argsort(
        rng.permutation(seen.conditions.max() + 1)[seen.conditions], kind="stable"
    )  # all faces of one condition stay together
    chosen = []
    for i in range(len(knots)):
        groups = [order[(hats[order, i] > 0) & (seen.sources[order] == source)] for source in np.unique(seen.sources)]
        chosen.append([group[:FACES_A_KNOT] for group in groups])
    for i in range(len(knots)):
        for j in range(i, len(knots)):
            parts = [_different(seen, hats, a, b, i, j) for a, b in zip(chosen[i], chosen[j], strict=True)]
            yield (
                i,
                j,
                Pairs(*(np.concatenate([getattr(part, n) for part in parts]) for n in Pairs.__dataclass_fields__)),
            )


def _different(
    seen: QualitySamples, hats: NDArray[np.float64], a: NDArray[np.int64], b: NDArray[np.int64], i: int, j: int
) -> Pairs:
    """Pairs of faces ``a`` and ``b`` of one source and of different people. Their weights in cell i, j have the sum 1.

    A pair has no order: it counts whether ``a`` or ``b`` is the worse face.
    """
    other = seen.people[a][:, None] != seen.people[b][None]
    if i == j:
        other &= a[:, None] < b[None]
    rows, columns = np.nonzero(other)
    weights = hats[a[rows], i] * hats[b[columns], j]
    alike = seen.conditions[a[rows]] == seen.conditions[b[columns]]
    if (weights[alike] > 0).sum() >= FEWEST:
        weights[alike] *= weights[~alike].sum() / weights[alike].sum()
    similarities = (seen.embeddings[a] @ seen.embeddings[b].T)[rows, columns].astype(np.float64)
    resolutions = np.stack([seen.resolutions[a[rows]], seen.resolutions[b[columns]]], 1)
    return Pairs(similarities, weights / max(weights.sum(), 1e-12), resolutions)


def _in_cell(pairs: Pairs, i: int, j: int, knots: NDArray[np.float64]) -> Pairs:
    """The pairs with a weight above 0 in a cell, and these weights."""
    weights = _weights_in(pairs, i, j, knots)
    inside = weights > 0
    return Pairs(pairs.similarities[inside], weights[inside] / max(weights.sum(), 1e-12), pairs.resolutions[inside])


def _weights_in(pairs: Pairs, i: int, j: int, knots: NDArray[np.float64]) -> NDArray[np.float64]:
    hats = hat_weights(pairs.resolutions, knots)
    weights = hats[:, 0, i] * hats[:, 1, j]
    if i != j:
        weights = weights + hats[:, 0, j] * hats[:, 1, i]
    return weights * pairs.weights


def _exceeded(pairs: Pairs, shares: tuple[float, ...]) -> NDArray[np.float64]:
    """The similarity that each share of the pairs' weight exceeds."""
    order = np.argsort(-pairs.similarities)
    cumulated = np.cumsum(pairs.weights[order])
    places = np.searchsorted(cumulated, np.array(shares) * cumulated[-1])
    exceeded: NDArray[np.float64] = pairs.similarities[order][np.minimum(places, len(order) - 1)]
    return exceeded


def _sample(pairs: Pairs, rng: np.random.Generator, count: int = 2000) -> Pairs:
    """Draw ``count`` pairs according to the weights. They get equal weights with the sum 1."""
    chosen = rng.choice(len(pairs.weights), count, p=pairs.weights / pairs.weights.sum())
    return Pairs(pairs.similarities[chosen], np.full(count, 1 / count), pairs.resolutions[chosen])


def _fit_logistic(parts: list[tuple[Pairs, bool]], knots: NDArray[np.float64], steps: int = 50) -> NDArray[np.float64]:
    """Offset and slope of the log-odds, float64 ``[2, 4]``, by Newton's method. Both kinds have the same weight in each cell."""
    resolutions = np.concatenate([pairs.resolutions for pairs, _ in parts])
    similarities = np.concatenate([pairs.similarities for pairs, _ in parts])
    weights = np.concatenate([pairs.weights for pairs, _ in parts]) / len(parts)
    truth = np.concatenate([np.full(len(pairs.weights), same, np.float64) for pairs, same in parts])
    ends = np.log2(knots[[0, -1]])
    places = (np.log2(np.clip(resolutions, knots[0], knots[-1])) - ends[0]) / (ends[1] - ends[0])
    form = bilinear_terms(places[:, 0], places[:, 1])
    terms = np.concatenate([form, form * similarities[:, None]], 1)
    values = np.zeros(8)
    ridge = 1e-6 * np.eye(8)  # pairs that can be separated without error would need an infinite slope
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-np.clip(terms @ values, -50, 50)))
        gradient = terms.T @ (weights * (truth - probability)) - ridge @ values
        curvature = (terms * (weights * probability * (1 - probability))[:, None]).T @ terms + ridge
        step = np.linalg.solve(curvature, gradient)
        values += step
        if np.abs(step).max() < 1e-8:
            break
    return values.reshape(2, 4)


def _recognisable(draft: Calibration, same: Pairs) -> NDArray[np.float64]:
    """Compute ``recognisable`` of :class:`lrface.faces.calibration.Calibration`, float64 ``[k]``."""
    accepted = same.similarities > draft.threshold(RECOGNISED_AT, same.resolutions[:, 0], same.resolutions[:, 1])
    last = len(draft.knots) - 1
    rates = np.array([_accepted_in(same, accepted, i, last, draft.knots) for i in range(last + 1)])
    parts = np.maximum.accumulate(rates) / max(rates.max(), 1e-12)
    result: NDArray[np.float64] = np.clip(parts, 0.0, 1.0)
    return result


def _accepted_in(same: Pairs, accepted: NDArray[np.bool_], i: int, j: int, knots: NDArray[np.float64]) -> float:
    weights = _weights_in(same, i, j, knots)
    return float(np.average(accepted, weights=weights))

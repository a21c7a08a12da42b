"""Fitting what similarities mean, on embeddings whose distribution is known."""

import itertools

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.eval import quality_tables as module
from lrface.eval.quality_tables import KNOTS, Pairs, QualitySamples, fit
from lrface.eval.verification import FARS


def simulate(people=300, images=2, each=3, seed=0, dim=24, sources=1):
    """People are directions; the fewer pixels, the more all faces share one direction."""
    rng = np.random.default_rng(seed)
    common = np.zeros(dim)
    common[0] = 1
    rows = []
    for person in range(people):
        own = rng.normal(size=dim) / np.sqrt(dim)
        for image in range(images):
            seen = own + 0.3 * rng.normal(size=dim) / np.sqrt(dim)
            for _ in range(each):
                side = 2 ** rng.uniform(np.log2(3.5), np.log2(30))
                value = seen + (6 / side) * common
                rows.append((value / np.linalg.norm(value), person, person * images + image, person % sources, side))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return QualitySamples(columns[0].astype(np.float32), *columns[1:4], np.arange(len(rows)), columns[4])


@pytest.fixture(scope="module")
def seen():
    return simulate(sources=2)


@pytest.fixture(scope="module")
def calibration(seen):
    return fit(seen)


def test_the_rates_promised_come_true_on_others(calibration):
    others = simulate(people=400, images=1, each=2, seed=7)
    a, b = np.triu_indices(len(others.people), 1)
    different = others.people[a] != others.people[b]
    a, b = a[different], b[different]
    similarities = np.einsum("nd,nd->n", others.embeddings[a], others.embeddings[b])
    for far in (0.1, 0.01):
        accepted = similarities > calibration.threshold(far, others.resolutions[a], others.resolutions[b])
        for low, high in ((3, 6), (6, 12), (12, 31)):
            inside = [(others.resolutions[side] > low) & (others.resolutions[side] < high) for side in (a, b)]
            assert far / 2 < accepted[inside[0] & inside[1]].mean() < 2 * far, (far, low)


def test_thresholds_are_symmetric_and_rise_with_the_rate_refused(calibration):
    for far in FARS:
        np.testing.assert_array_equal(calibration.different[far], calibration.different[far].T)
    assert calibration.different[0.01][0, 0] > calibration.different[0.01][-1, -1] + 0.2
    for low, high in itertools.pairwise(FARS):
        assert (calibration.different[low] <= calibration.different[high]).all()


def test_faces_of_one_condition_have_half_of_a_cell():
    """Strangers of one camera are all alike here: a rate below one half has to come from them, one above from others."""
    rng = np.random.default_rng(5)
    seen = simulate(people=400, images=2, each=2)
    cameras = rng.integers(40, size=len(seen.people))
    resolutions = np.full(len(cameras), 8.0)
    marks = np.eye(40)[cameras]
    vectors = np.concatenate([0.1 * seen.embeddings, marks], axis=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    told = QualitySamples(vectors.astype(np.float32), seen.people, seen.images, 0 * seen.sources, cameras, resolutions)
    weights = {}
    at = int(np.argmax(KNOTS == 8))
    for conditions in (cameras, np.arange(len(cameras))):
        observed = QualitySamples(told.embeddings, told.people, told.images, told.sources, conditions, resolutions)
        cells = {(i, j): pairs for i, j, pairs in module._cells_of_different(observed, np.random.default_rng(0), KNOTS)}
        pairs = cells[at, at]
        weights[len(np.unique(conditions))] = pairs.weights[pairs.similarities > 0.5].sum() / pairs.weights.sum()
    assert weights[40] == pytest.approx(0.5)
    assert weights[len(cameras)] < 0.1  # where nobody knows, they count as what they are, few


def test_recognisability_rises_to_one(calibration):
    assert (np.diff(calibration.recognisable) >= 0).all()
    assert calibration.recognisable[-1] == 1
    assert calibration.recognisable[0] < 0.9


def test_probabilities_are_true(calibration):
    others = simulate(people=150, images=2, each=2, seed=9)
    a, b = np.triu_indices(len(others.people), 1)
    pairs = others.images[a] != others.images[b]
    a, b = a[pairs], b[pairs]
    truth = others.people[a] == others.people[b]
    similarities = np.einsum("nd,nd->n", others.embeddings[a], others.embeddings[b])
    said = calibration.probability(similarities, others.resolutions[a], others.resolutions[b])
    weights = np.where(truth, 1 / truth.sum(), 1 / (~truth).sum())
    for low, high in ((0, 0.2), (0.3, 0.7), (0.8, 1)):
        inside = (said >= low) & (said <= high)
        assert np.average(truth[inside], weights=weights[inside]) == pytest.approx(
            np.average(said[inside], weights=weights[inside]), abs=0.12
        )


def test_the_same_faces_give_the_same_tables(seen, calibration):
    assert fit(seen).as_dict() == calibration.as_dict()


def test_sources_weigh_the_same(seen):
    """A second source of many faces that all look alike takes half of each cell, not nearly all."""
    alike = simulate(people=600, each=3, seed=3)
    alike.embeddings[:, 0] += 3
    alike.embeddings[:] = alike.embeddings / np.linalg.norm(alike.embeddings, axis=1, keepdims=True)
    both = QualitySamples(
        np.concatenate([seen.embeddings, alike.embeddings]), np.concatenate([seen.people, alike.people + 10_000]),
        np.concatenate([seen.images, alike.images + 10_000]), np.concatenate([0 * seen.sources, alike.sources + 1]),
        np.concatenate([seen.conditions, alike.conditions + len(seen.people)]),
        np.concatenate([seen.resolutions, alike.resolutions]),
    )  # fmt: skip
    table = fit(both).different[0.5]
    assert fit(seen).different[0.01][-1, -1] < table[-1, -1] < fit(alike).different[0.9][-1, -1] + 0.05


def test_quantiles_of_weighted_pairs():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=500), rng.integers(1, 5, 500).astype(float)
    pairs = Pairs(values, weights / weights.sum(), np.zeros((500, 2)))
    repeated = np.sort(np.repeat(values, weights.astype(int)))[::-1]
    for share, found in zip((0.01, 0.1, 0.5), module._exceeded(pairs, (0.01, 0.1, 0.5)), strict=True):
        assert np.mean(repeated > found) <= share + 1e-9
        assert np.mean(repeated >= found) >= share - 1e-9


def test_pairs_are_of_two_images_and_within_one_source():
    found = QualitySamples(
        np.eye(6, 8, dtype=np.float32), np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 2, 3, 4]),
        np.array([0, 0, 0, 1, 1, 1]), np.arange(6), np.full(6, 8.0),
    )  # fmt: skip
    assert len(module._same_pairs(found).weights) == 3  # two of person 0, whose first image comes twice, and one of 1
    np.testing.assert_allclose(sorted(module._same_pairs(found).weights), [0.5, 0.5, 1])
    cells = {(i, j): pairs for i, j, pairs in module._cells_of_different(found, np.random.default_rng(0), KNOTS)}
    at = int(np.argmax(KNOTS == 8))
    assert len(cells[at, at].weights) == 2  # of source 1, person 1's images with person 2's


def test_too_few(seen):
    alone = simulate(people=30, images=1)
    with pytest.raises(LrfaceError, match="two images"):
        fit(alone)
    large = seen.subset(seen.resolutions > 12)
    with pytest.raises(LrfaceError, match="about 4 and 4 pixels"):
        fit(large)

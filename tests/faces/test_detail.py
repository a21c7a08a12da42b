"""Pixels of detail, of faces that were reduced to known sizes."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.degrade import resize
from lrface.faces.detail import ERROR, LARGE, SMALL, crop_detail, detail
from lrface.files import read_json


@pytest.fixture(scope="module")
def portrait():
    """A real face: the portrait that scikit-image carries, cut as an aligner cuts it."""
    data = pytest.importorskip("skimage.data")
    return resize(data.astronaut()[48:176, 160:288], 112)


@pytest.mark.parametrize(("name", "estimator", "count"), [("small", SMALL, 28), ("large", LARGE, 55)])
def test_the_coefficients_are_those_of_the_measured_fit(name, estimator, count):
    results = read_json(Path(__file__).parents[2] / "benchmarks" / "results" / "detail.json")[name]
    assert list(estimator.coefficients) == results["coefficients"]
    powers = np.ones(len(estimator.rings) - 1)
    assert len(estimator.coefficients) == estimator.terms(powers).shape[-1] == count
    assert results["error_log2"]["quadratic"] == pytest.approx(ERROR, abs=0.03)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [6, 8, 12, 16, 24])
def test_an_enlarged_face_has_the_detail_it_was_reduced_to(portrait, side, kernel):
    small = resize(portrait, side)
    for image in (small, resize(small, 112, kernel), resize(small, 200, kernel)):
        assert side / 1.5 < detail(image) < side * 1.5


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [24, 32, 45, 64])
def test_an_enlarged_crop_is_told_from_a_sharp_one(portrait, side, kernel):
    crop = resize(resize(portrait, side), 112, kernel)
    assert side / 1.6 < crop_detail(crop) < side * 1.6
    assert crop_detail(crop) < 0.8 * crop_detail(portrait)


def test_blur_counts_as_a_smaller_face(portrait):
    import cv2

    small = resize(portrait, 24)
    values = [detail(cv2.GaussianBlur(small, (0, 0), sigma) if sigma else small) for sigma in (0, 0.5, 1, 1.5, 2)]
    assert all(a > b for a, b in itertools.pairwise(values)), values
    assert 24 / np.sqrt(1 + 3 * 1) / 1.5 < values[2] < 24 / np.sqrt(1 + 3 * 1) * 1.5


def test_contrast_and_colour_do_not_matter(portrait):
    small = resize(resize(portrait, 10), 112)
    darker = (small * 0.5 + 20).round().astype(np.uint8)
    grey = np.repeat(small.mean(2, keepdims=True).round().astype(np.uint8), 3, axis=2)
    for other in (darker, grey):
        assert detail(other) == pytest.approx(detail(small), rel=0.15)


def test_any_image_has_a_number(portrait):
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 40), (14, 17), (64, 64), (300, 20)]
    images = [np.full((20, 20, 3), 77, np.uint8), *(rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes)]
    for image in images:
        assert SMALL.lowest <= detail(image) <= SMALL.highest
        assert LARGE.lowest <= crop_detail(image) <= LARGE.highest
    assert not SMALL.ring_powers(images[0]).any()
    assert detail(portrait) > 0.8 * SMALL.highest


@pytest.mark.parametrize("estimator", [SMALL, LARGE])
def test_ring_powers_are_the_means_of_the_cosine_transform(estimator):
    from scipy.fft import dctn

    side = estimator.side
    image = resize(face(0, 0, seed=1), side)
    grey = np.round(image @ np.array([0.299, 0.587, 0.114]))
    power = dctn(grey - grey.mean(), norm="ortho") ** 2
    expected = []
    for low, high in itertools.pairwise(estimator.rings):
        ring = [power[y, x] for y in range(side) for x in range(side) if low <= (y * y + x * x) ** 0.5 < high]
        expected.append(np.mean(ring) / power.mean())
    np.testing.assert_allclose(
        estimator.ring_powers(image), expected, rtol=0.02, atol=0 if estimator is SMALL else 2e-5
    )

"""Faces of which the truth is known."""

import cv2
import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.data.variants import Variant, draw_variant
from lrface.faces.degrade import resize


@pytest.fixture(scope="module")
def crop():
    return face(0, 0, seed=1)


def test_routes_show_the_same_face(crop):
    native, pixels = Variant(12, route="native")(crop)
    assert (native.shape, pixels) == ((12, 12, 3), 12)
    np.testing.assert_array_equal(native, resize(crop, 12))
    photo, known = Variant(12, route="photo")(crop)
    enlarged, said = Variant(12, route="enlarged")(crop)
    assert photo.shape == enlarged.shape == (112, 112, 3)
    assert (known, said) == (12, 112)
    # one is enlarged by an aligner's bicubic warp, the other by Pillow's bilinear kernel
    cubic = cv2.resize(cv2.copyMakeBorder(native, 1, 1, 1, 1, cv2.BORDER_REPLICATE), None, fx=112 / 12, fy=112 / 12,
                       interpolation=cv2.INTER_CUBIC)  # fmt: skip
    inner = slice(8, -8)
    rim = (len(cubic) - 112) // 2
    shown = cubic[rim : rim + 112, rim : rim + 112]
    assert np.abs(photo.astype(int) - shown)[inner, inner].mean() <= 2
    np.testing.assert_array_equal(enlarged, resize(native, 112))


def test_nothing_is_done_to_a_face_as_it_is(crop):
    image, pixels = Variant()(crop)
    assert image is crop
    assert pixels == 112


def test_blur_and_compression(crop):
    sharp, _ = Variant(16, route="native")(crop)
    blurred, _ = Variant(16, 1.0, "native")(crop)
    packed, _ = Variant(16, route="native", jpeg=60)(crop)
    assert np.abs(np.diff(blurred.astype(int), axis=1)).mean() < 0.6 * np.abs(np.diff(sharp.astype(int), axis=1)).mean()
    assert 0 < np.abs(packed.astype(int) - sharp).mean() < 12
    assert np.abs(packed.astype(int) - sharp).mean() < np.abs(packed[..., ::-1].astype(int) - sharp).mean()


def test_what_blur_leaves_of_the_detail():
    assert Variant(16).detail == 16
    assert Variant(16, 1.0).detail == pytest.approx(8)
    assert Variant(48, 1.0).detail == pytest.approx(48 / np.sqrt(1 + 3 * 4))  # a blur of two of its pixels
    assert Variant(None, 1.0).detail == pytest.approx(112 / np.sqrt(1 + 3 * (112 / 24) ** 2))


def test_draws_are_the_seeds():
    drawn = [[draw_variant(np.random.default_rng(seed)) for _ in range(3)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    rng = np.random.default_rng(0)
    many = [draw_variant(rng) for _ in range(400)]
    sides = [variant.side for variant in many if variant.side is not None]
    assert (min(sides), max(sides)) == (5, 48)
    assert {variant.route for variant in many} == {"native", "photo", "enlarged"}
    assert 0.3 < np.mean([variant.blur > 0 for variant in many]) < 0.6

"""What becomes of one crop: size, framing, landmarks that follow it, and the same bytes for the same seed."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lrface.data.rehearse.degrade import Camera
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, norm_crop
from lrface.faces.images import read_image

STILL = Camera(rotation=0, zoom=0, shift=0, blur=0, noise=0, quality=(100, 100))


@pytest.fixture(scope="module")
def crop():
    """In grey: JPEG halves the resolution of colours."""
    small = np.repeat(np.random.default_rng(1).integers(60, 200, (9, 9, 1), dtype=np.uint8), 3, 2)
    return cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC)


def shoot(camera, crop, seed=0, kind="jpg"):
    return camera(crop, np.random.default_rng(seed), kind)


def test_every_size_of_the_range_occurs_and_no_other(crop):
    camera = replace(STILL, smallest=8, largest=12)
    captures = [shoot(camera, crop, seed) for seed in range(60)]
    assert {capture.size for capture in captures} == set(range(8, 13))
    assert all(read_image(capture.encoded).shape == (capture.size, capture.size, 3) for capture in captures)


def test_the_same_seed_gives_the_same_bytes(crop):
    first, again, other = (shoot(Camera(), crop, seed) for seed in (3, 3, 4))
    assert first.encoded == again.encoded
    assert np.array_equal(first.landmarks, again.landmarks)
    assert first.encoded != other.encoded


def test_without_any_conditions_it_is_the_reduced_crop(crop):
    capture = shoot(replace(STILL, smallest=28, largest=28), crop)
    expected = crop.reshape(28, 4, 28, 4, 3).mean((1, 3))
    assert np.abs(read_image(capture.encoded).astype(float) - expected).mean() < 4
    assert np.allclose(capture.landmarks, (TEMPLATE + 0.5) / 4 - 0.5, atol=1e-4)


def test_landmarks_follow_the_face(crop):
    """Aligning by them undoes the framing."""
    camera = replace(STILL, smallest=112, largest=112, rotation=20, zoom=0.15, shift=0.05)
    middle = slice(30, 82)
    for seed in range(5):
        capture = shoot(camera, crop, seed)
        image = read_image(capture.encoded)
        back = norm_crop(image, capture.landmarks)
        moved = np.abs(image.astype(float) - crop)[middle, middle].mean()
        assert np.abs(back.astype(float) - crop)[middle, middle].mean() < 0.35 * moved


def test_each_condition_leaves_its_trace(crop):
    sharp = read_image(shoot(replace(STILL, smallest=32, largest=32), crop).encoded).astype(float)

    def roughness(**conditions):
        image = read_image(shoot(replace(STILL, smallest=32, largest=32, **conditions), crop).encoded).astype(float)
        return np.abs(np.diff(image, axis=1)).mean(), np.abs(image - sharp).mean()

    still = np.abs(np.diff(sharp, axis=1)).mean()
    assert roughness(blur=8.0)[0] < still
    assert roughness(noise=40.0)[0] > still
    assert roughness(quality=(5, 5))[1] > 1
    assert roughness()[1] == 0


def test_png_holds_what_jpeg_left(crop):
    jpeg, png = (shoot(Camera(), crop, 1, kind) for kind in ("jpg", "png"))
    assert png.encoded.startswith(b"\x89PNG")
    assert np.array_equal(read_image(png.encoded), read_image(jpeg.encoded))


def test_a_mugshot_is_sharp_and_large(crop):
    capture = shoot(Camera().sharp(), crop)
    assert capture.size == 112
    assert Camera().sharp().rotation == Camera().rotation


@pytest.mark.parametrize("sizes", [(3, 8), (9, 8), (8, 113)])
def test_sizes_that_make_no_sense(sizes):
    with pytest.raises(LrfaceError, match="native sizes"):
        Camera(*sizes)

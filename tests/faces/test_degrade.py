import json

import cv2
import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.degrade import KERNELS, Degradation, resize


def triangle(x):
    return np.maximum(0.0, 1.0 - np.abs(x))


def cubic(x, a):
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def antialias_weights(source, target, kernel):
    """``[target, source]``: the kernel widened by the reduction factor, cut off at the border and normalised."""
    ratio = source / target
    centres = (np.arange(target) + 0.5) * ratio
    weights = kernel((np.arange(source) + 0.5 - centres[:, None]) / max(ratio, 1.0))
    return weights / weights.sum(1, keepdims=True)


def sampled_weights(source, target, kernel, reach):
    """``[target, source]``: the kernel as it is, the border repeated."""
    weights = np.zeros((target, source))
    for row, centre in enumerate((np.arange(target) + 0.5) * source / target - 0.5):
        for place in range(int(np.floor(centre)) - reach + 1, int(np.floor(centre)) + reach + 1):
            weights[row, np.clip(place, 0, source - 1)] += kernel(place - centre)
    return weights


def apply(image, make):
    """Columns, then rows; no value leaves 0...255 in between, as both libraries keep 8 bits there."""
    rows, columns = make(image.shape[0]), make(image.shape[1])
    wide = np.clip(np.einsum("ij,hjc->hic", columns, image.astype(np.float64)), 0, 255)
    return np.clip(np.einsum("ij,jwc->iwc", rows, wide), 0, 255)


def pictures():
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    wide = rng.integers(0, 256, (90, 130, 3), dtype=np.uint8)
    y, x = np.mgrid[:112, :112]
    smooth = np.stack([x * 2, y * 2, (x + y)], axis=2).astype(np.uint8)
    return {"noise": noise, "wide": wide, "smooth": smooth, "tiny": noise[:9, :9]}


def assert_within_one_level(found, expected):
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.float64) - np.rint(expected)).max() <= 1


@pytest.mark.parametrize("picture", ["noise", "wide", "smooth", "tiny"])
@pytest.mark.parametrize("size", [8, 16, 24, 112])
def test_bilinear_antialias_is_a_triangle_filter(picture, size):
    image = pictures()[picture]
    expected = apply(image, lambda source: antialias_weights(source, size, triangle))
    assert_within_one_level(resize(image, size), expected)


@pytest.mark.parametrize("size", [8, 16, 24])
def test_bicubic_antialias_is_a_widened_cubic(size):
    image = pictures()["noise"]
    expected = apply(image, lambda source: antialias_weights(source, size, lambda x: cubic(x, -0.5)))
    assert_within_one_level(resize(image, size, "bicubic"), expected)


@pytest.mark.parametrize("picture", ["noise", "wide", "smooth"])
@pytest.mark.parametrize("size", [15, 16, 24])
def test_bilinear_sampled_reads_the_four_nearest(picture, size):
    image = pictures()[picture]
    expected = apply(image, lambda source: sampled_weights(source, size, triangle, 1))
    assert_within_one_level(resize(image, size, "bilinear", antialias=False), expected)


@pytest.mark.parametrize("size", [15, 24])
def test_bicubic_sampled_reads_the_sixteen_nearest(size):
    image = pictures()["smooth"]
    expected = apply(image, lambda source: sampled_weights(source, size, lambda x: cubic(x, -0.75), 2))
    assert_within_one_level(resize(image, size, "bicubic", antialias=False), expected)


@pytest.mark.parametrize(
    ("kernel", "flag"),
    [("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC), ("area", cv2.INTER_AREA)],
)
@pytest.mark.parametrize("size", [14, 16, 20, 112])
def test_sampled_kernels_are_those_of_opencv(kernel, flag, size):
    image = pictures()["wide"]
    assert np.array_equal(
        resize(image, size, kernel, antialias=False), cv2.resize(image, (size, size), interpolation=flag)
    )


@pytest.mark.parametrize("antialias", [True, False])
def test_area_is_the_mean_and_nearest_the_middle_of_a_pixel(antialias):
    image = pictures()["noise"]
    blocks = image.reshape(16, 7, 16, 7, 3).astype(np.float64).mean((1, 3))
    assert_within_one_level(resize(image, 16, "area", antialias), blocks)
    assert np.array_equal(resize(image, 16, "nearest", antialias), image[3::7, 3::7])


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_sampling_112_to_16_reads_one_pixel_of_49(kernel):
    image = pictures()["noise"]
    assert np.array_equal(resize(image, 16, kernel, antialias=False), image[3::7, 3::7])
    assert not np.array_equal(resize(image, 16, kernel, antialias=True), image[3::7, 3::7])


@pytest.mark.parametrize("picture", ["noise", "wide", "smooth", "tiny"])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_antialias_agrees_with_torchvision(picture, kernel):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    image = pictures()[picture]
    mode = functional.InterpolationMode(kernel)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    expected = functional.resize(tensor, [16, 16], interpolation=mode, antialias=True).permute(1, 2, 0).numpy()
    assert_within_one_level(resize(image, 16, kernel), expected)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_a_flat_picture_stays_flat(kernel, antialias, value):
    image = np.full((112, 112, 3), value, np.uint8)
    assert (Degradation(16, kernel, antialias)(image) == value).all()


def test_values_are_rounded_not_cut_off():
    image = np.array([[10, 11], [11, 11]], np.uint8)[:, :, None].repeat(3, 2)
    for kernel in ("bilinear", "area"):
        assert (resize(image, 1, kernel) == 11).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_image_of_the_size_is_left_alone(kernel):
    image = pictures()["noise"][:16, :16]
    assert np.array_equal(Degradation(16, kernel)(image), image)


def test_channels_are_not_mixed():
    image = np.zeros((112, 112, 3), np.uint8)
    image[..., 0] = 200
    for kernel in KERNELS:
        assert (resize(image, 16, kernel) == [200, 0, 0]).all()


@pytest.mark.parametrize(
    ("degradation", "name"),
    [
        (Degradation(), "16px-bilinear-antialias"),
        (Degradation(16, "bilinear", False), "16px-bilinear-sampled"),
        (Degradation(24, "bicubic"), "24px-bicubic-antialias"),
        (Degradation(24, "bicubic", False), "24px-bicubic-sampled"),
        (Degradation(8, "area"), "8px-area"),
        (Degradation(8, "area", False), "8px-area"),
        (Degradation(8, "nearest"), "8px-nearest"),
    ],
)
def test_name(degradation, name):
    assert degradation.name == name


def test_fields_survive_json():
    degradation = Degradation(24, "bicubic", False)
    assert Degradation(**json.loads(json.dumps(degradation.as_dict()))) == degradation


def test_unknown_kernels_are_refused():
    with pytest.raises(LrfaceError, match=r"'lanczos'.*bilinear, area, bicubic, nearest"):
        Degradation(16, "lanczos")
    with pytest.raises(LrfaceError, match="'lanczos'"):
        resize(pictures()["noise"], 16, "lanczos")


@pytest.mark.parametrize("size", [0, -16, 4097])
def test_senseless_sizes_are_refused(size):
    with pytest.raises(LrfaceError, match="1 to 4096"):
        Degradation(size)

import numpy as np
import pytest
import torch

from lrface.faces.degrade import Degradation
from lrface.objects.view import View, augment, planes, turned

CPU = torch.device("cpu")


def pictures(count=3, side=32):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("kernel", "antialias"),
    [("bilinear", True), ("bilinear", False), ("bicubic", True), ("area", True), ("nearest", False)],
)
@pytest.mark.parametrize("low", [8, 16])
def test_low_resolution_is_that_of_the_package(kernel, antialias, low):
    images = pictures()
    found = View(32, low, kernel, antialias)(planes(images, CPU)).permute(0, 2, 3, 1).numpy().astype(int)
    expected = np.stack([Degradation(low, kernel, antialias)(image) for image in images]).astype(int)
    assert np.abs(found - expected).max() <= 1  # rounding


def test_no_low_resolution_leaves_the_pixels():
    given = planes(pictures(), CPU)
    assert View(32)(given) is given
    assert View(32).name == "32px"
    assert View(32, 8).name == "8px-bilinear-antialias"


def test_augmentation_is_a_window_of_the_mirrored_or_plain_picture():
    given = planes(pictures(8, 6) | 1, CPU)  # no black pixel but the border's
    found, mirrored = augment(given, 2, True, torch.Generator().manual_seed(0))
    for before, after, told in zip(given, found, mirrored.tolist(), strict=True):
        places = []
        for flip in (False, True):
            padded = torch.nn.functional.pad(before.flip(-1) if flip else before, (2, 2, 2, 2))
            places += [flip for y in range(5) for x in range(5) if torch.equal(padded[:, y : y + 6, x : x + 6], after)]
        assert places == [told]
    assert 0 < mirrored.sum() < 8
    assert torch.equal(augment(given, 0, False, torch.Generator())[0], given)


def test_turned_pictures_follow_one_another():
    given = planes(pictures(2, 4), CPU)
    found = turned(given)
    for number in range(2):
        for turns in range(4):
            assert torch.equal(found[4 * number + turns], torch.rot90(given[number], turns, (1, 2)))

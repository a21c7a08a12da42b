"""Random views: what is drawn, and what the drawn numbers do to a face."""

import math

import numpy as np
import pytest
import torch

from lrface.faces.degrade import resize
from lrface.train.augment import degrade_views, draw
from lrface.train.recipe import AugmentSection

SIDE, SIZE = 64, 16
EVERYTHING = AugmentSection(
    rotate=10, scale=0.2, shift=0.1, sides=(10, 24), kernels=("bilinear", "bicubic", "area"),
    brightness=0.1, contrast=0.3, grey=0.3, noise=0.05, erase=0.4, probability=0.7,
)  # fmt: skip


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def smooth():
    """uint8 [6, 3, 64, 64], smooth enough that operators may differ in the last bits only."""
    coarse = np.random.default_rng(1).integers(30, 226, (6, 8, 8, 3), dtype=np.uint8)
    return torch.from_numpy(np.stack([resize(each, SIDE) for each in coarse])).permute(0, 3, 1, 2).contiguous()


def identity(count):
    """Draws that change nothing."""
    section = AugmentSection(noise=0.0, sides=(SIZE, SIZE))
    drawn = draw(section, count, SIZE, generator())
    assert drawn["angle"].abs().max() == 0
    return section, drawn


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "area"])
def test_a_view_without_changes_is_the_plain_degradation(smooth, kernel):
    section, drawn = identity(6)
    section = section.model_copy(update={"kernels": (kernel,)})
    views = degrade_views(smooth, drawn, section, SIZE)
    assert views.dtype == torch.uint8
    assert views.shape == (6, 3, SIZE, SIZE)
    for view, source in zip(views, smooth, strict=True):
        plain = resize(source.permute(1, 2, 0).numpy(), SIZE, kernel)
        assert np.abs(view.permute(1, 2, 0).numpy().astype(int) - plain.astype(int)).max() <= 1


def dot(row, column):
    """A bright dot on black, 8 pixels wide in 64."""
    image = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    image[..., row - 4 : row + 4, column - 4 : column + 4] = 255
    return image


def centre(view):
    """Centre of mass as row and column in parts of the side, from the middle of the image."""
    weight = view[0].float().mean(0)
    at = (torch.arange(len(weight)) + 0.5) / len(weight) - 0.5
    return float((weight.sum(1) * at).sum() / weight.sum()), float((weight.sum(0) * at).sum() / weight.sum())


def test_a_shift_moves_by_parts_of_the_side():
    section, drawn = identity(1)
    drawn["shift"] = torch.tensor([[2 * 0.125, 2 * -0.25]])  # where the view looks: right, and up
    assert centre(degrade_views(dot(32, 32), drawn, section, SIZE)) == pytest.approx((0.25, -0.125), abs=0.01)


def test_a_rotation_turns_about_the_centre():
    section, drawn = identity(1)
    drawn["angle"] = torch.tensor([math.radians(90)])
    row, column = centre(degrade_views(dot(32, 48), drawn, section, SIZE))  # from three o'clock
    assert (row, column) == pytest.approx((-0.25, 0), abs=0.01)  # to twelve


def test_a_scale_enlarges():
    section, drawn = identity(1)
    drawn["scale"] = torch.tensor([1.5])
    assert centre(degrade_views(dot(32, 48), drawn, section, SIZE)) == pytest.approx((0, 0.375), abs=0.01)


def test_brightness_and_contrast(smooth):
    section, drawn = identity(6)
    plain = degrade_views(smooth, drawn, section, SIZE).float()
    brighter = degrade_views(smooth, drawn | {"brightness": torch.full((6,), 20.0)}, section, SIZE).float()
    assert (brighter - (plain + 20).clamp(0, 255)).abs().max() <= 1
    flatter = degrade_views(smooth, drawn | {"contrast": torch.full((6,), 0.5)}, section, SIZE).float()
    mean = plain.mean((1, 2, 3), keepdim=True)
    assert (flatter - ((plain - mean) / 2 + mean)).abs().max() <= 1.1


def test_grey_is_the_mean_of_the_colours_where_drawn(smooth):
    section, drawn = identity(6)
    plain = degrade_views(smooth, drawn, section, SIZE)
    drawn["grey"] = torch.tensor([True, False] * 3)
    views = degrade_views(smooth, drawn, section, SIZE)
    assert torch.equal(views[1::2], plain[1::2])
    assert (views[::2] == views[::2, :1]).all()
    assert (views[::2, :1].float() - plain[::2].float().mean(1, keepdim=True)).abs().max() <= 1


def test_an_erased_rectangle_is_the_images_grey_and_has_no_noise(smooth):
    section, drawn = identity(6)
    plain = degrade_views(smooth, drawn, section, SIZE)
    drawn["erased"] = torch.tensor([[0.25, 0.5, 0.25, 0.125]]).repeat(6, 1)  # top, left, height, width
    drawn["noise"] = torch.full((6, 3, SIZE, SIZE), 9.0)
    views = degrade_views(smooth, drawn, section, SIZE)
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[4:8, 8:10] = True
    grey = plain.float().mean((1, 2, 3))[:, None, None]
    assert (views[:, :, inside].float() - grey).abs().max() <= 1
    assert (views.float() - (plain.float() + 9).clamp(0, 255))[:, :, ~inside].abs().max() <= 1


def test_every_sample_gets_the_operator_that_it_drew(smooth):
    section = AugmentSection(sides=(6, 40), kernels=("bilinear", "area"))
    drawn = draw(section, 6, SIZE, generator(5))
    views = degrade_views(smooth, drawn, section, SIZE)
    assert len(set(zip(drawn["side"].tolist(), drawn["kernel"].tolist(), strict=True))) > 1
    for at in range(6):
        kernel = section.kernels[int(drawn["kernel"][at])]
        between = resize(smooth[at].permute(1, 2, 0).numpy(), int(drawn["side"][at]), kernel)
        expected = resize(between, SIZE, "bilinear").astype(int)
        difference = np.abs(views[at].permute(1, 2, 0).numpy() - expected)
        assert difference.mean() <= 1.5  # torch cuts areas at whole pixels, OpenCV within them
        assert difference.max() <= 8


def test_draws_stay_in_their_ranges_and_fill_them():
    count = 4000
    drawn = draw(EVERYTHING, count, SIZE, generator())
    for key, limit, middle in (
        ("angle", math.radians(10), 0), ("scale", 0.2, 1), ("shift", 0.2, 0),
        ("brightness", 25.5, 0), ("contrast", 0.3, 1),
    ):  # fmt: skip
        away = drawn[key] - middle
        assert away.abs().max() <= limit + 1e-6
        assert away.max() > 0.95 * limit
        assert away.min() < -0.95 * limit
    for key, probability in (("flip", 0.5), ("used", 0.7), ("grey", 0.3)):
        assert drawn[key].float().mean() == pytest.approx(probability, abs=0.04)
    erased = drawn["erased"]
    some = (erased != 0).any(1)
    assert some.float().mean() == pytest.approx(0.4, abs=0.04)
    assert (erased[some, :2] >= 0).all()
    assert (erased[some, :2] < 1).all()
    assert (erased[some, 2:] >= 0.15).all()
    assert (erased[some, 2:] <= 0.4).all()
    deviation = drawn["noise"].std((1, 2, 3)) / 255
    assert deviation.max() < 0.05 * 1.15
    assert deviation.mean() == pytest.approx(0.025, rel=0.1)
    sides = torch.cat([draw(EVERYTHING, 8, SIZE, generator(seed))["side"] for seed in range(60)])
    assert set(sides.tolist()) == set(range(10, 25))
    kernels = torch.cat([draw(EVERYTHING, 8, SIZE, generator(seed))["kernel"] for seed in range(20)])
    assert set(kernels.tolist()) == {0, 1, 2}


def test_flips_alone_draw_nothing_else():
    assert set(draw(AugmentSection(), 5, SIZE, generator())) == {"flip"}
    assert not draw(AugmentSection(flip=False), 200, SIZE, generator())["flip"].any()


def test_a_sample_does_not_depend_on_who_shares_the_work(smooth):
    drawn = draw(EVERYTHING, 6, SIZE, generator())
    whole = degrade_views(smooth, drawn, EVERYTHING, SIZE)
    for rank in range(2):
        part = {key: value[rank::2] for key, value in drawn.items()}
        assert torch.equal(degrade_views(smooth[rank::2], part, EVERYTHING, SIZE), whole[rank::2])


def test_extreme_values_saturate(smooth):
    section, drawn = identity(6)
    assert (degrade_views(smooth, drawn | {"brightness": torch.full((6,), 400.0)}, section, SIZE) == 255).all()
    assert (degrade_views(smooth, drawn | {"brightness": torch.full((6,), -400.0)}, section, SIZE) == 0).all()

"""Views of faces that are small in their photo: what is drawn, and that they take inference's own way."""

import numpy as np
import pytest
import torch

from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, norm_crop
from lrface.faces.degrade import resize
from lrface.train.augment import degrade_views, draw
from lrface.train.native_views import MISSED, miss, native_view, native_views, photograph
from lrface.train.recipe import AugmentSection, NativeSection, parse_recipe

CLEAN = NativeSection(share=1, sides=(40, 40), rotate=0, blur=0, noise=0, jpeg=0, landmarks=0)


@pytest.fixture(scope="module")
def crops():
    return np.stack([face(identity, 0, seed=1) for identity in range(6)])


def distance(one, other):
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_a_view_is_decided_by_crop_and_seed(crops):
    section, seeds = NativeSection(jpeg=1), [3, 2**61, 7, 8, 9, 10]
    views = native_views(crops, seeds, section, 16)
    assert (views.shape, views.dtype) == ((6, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(views[2], native_view(crops[2], 7, section, 16))
    np.testing.assert_array_equal(native_views(crops[::-1], seeds[::-1], section, 16)[::-1], views)
    assert (native_view(crops[2], 8, section, 16) != views[2]).any()


@pytest.mark.parametrize("source", [112, 64])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_without_errors_the_face_is_back_in_its_place(crops, source, angle):
    crop = resize(crops[0], source)
    photo, matrix = photograph(crop, 40.3, angle, np.array([0.3, -0.4]))
    back = norm_crop(photo, TEMPLATE.astype(float) @ matrix[:, :2].T + matrix[:, 2])
    plain = resize(resize(crops[0], 40), 16)
    assert distance(resize(back, 16), plain) < 4
    off = norm_crop(photo, (TEMPLATE + np.array([8.0, 0.0])) @ matrix[:, :2].T + matrix[:, 2])
    assert distance(resize(off, 16), plain) > 2 * distance(resize(back, 16), plain)


def test_a_photo_has_the_mean_of_what_its_pixels_cover():
    stripes = np.zeros((112, 112, 3), np.uint8)
    stripes[:, ::2] = 200
    photo, _ = photograph(stripes, 14, 0.0, np.zeros(2))
    middle = photo[5:-5, 5:-5].astype(int)
    assert abs(middle.mean() - 100) < 6
    assert np.ptp(middle) < 40  # a sampled one would have 0 and 200


def test_smaller_sides_leave_less_detail(crops):
    def loss(side):
        section = CLEAN.model_copy(update={"sides": (side, side)})
        return np.mean([distance(native_view(crop, 1, section, 112), crop) for crop in crops])

    assert loss(40) < loss(20) < loss(10)


@pytest.mark.parametrize(
    "change", [{"blur": 3.0}, {"noise": 0.3}, {"jpeg": 1.0, "quality": (5, 5)}, {"landmarks": 5.0}]
)
def test_each_fault_changes_the_view(crops, change):
    plain = native_view(crops[0], 4, CLEAN, 112)
    assert distance(native_view(crops[0], 4, CLEAN.model_copy(update=change), 112), plain) > 0.5


def test_landmarks_are_missed_as_measured():
    rng = np.random.default_rng(1)
    side = 16
    mean, spread = map(np.array, MISSED[side])
    found = np.stack([miss(side, rng) for _ in range(4000)])
    shift = (found - TEMPLATE).mean(1)
    np.testing.assert_allclose(shift.mean(0), mean[:2], atol=0.15)
    np.testing.assert_allclose(shift.std(0), spread[:2], rtol=0.08)
    eyes = found[:, 1] - found[:, 0]
    scale = np.log(np.linalg.norm(eyes, axis=1) / np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
    assert scale.std() == pytest.approx(spread[2], rel=0.08)
    np.testing.assert_allclose(miss(side, rng, 0.0), TEMPLATE, atol=1e-5)


def test_small_faces_are_missed_by_more():
    spreads = np.array([spread for _, spread in MISSED.values()])
    assert list(MISSED) == sorted(MISSED)
    assert (spreads[0] > spreads[-1]).all()


def test_a_share_of_the_views_is_native_and_the_others_stay(crops):
    planes = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy())
    plain = AugmentSection(rotate=5, sides=(14, 20), noise=0.02)
    mixed = plain.model_copy(update={"native": NativeSection(share=0.5)})

    def views(section):
        drawn = draw(section, 6, 16, torch.Generator().manual_seed(3))
        return drawn, degrade_views(planes, drawn, section, 16)

    (_, before), (drawn, after) = views(plain), views(mixed)
    native = drawn["native"]
    assert 0 < native.sum() < 6
    assert torch.equal(before[~native], after[~native])
    assert not torch.equal(before[native], after[native])
    part = {key: value[1::2] for key, value in drawn.items()}
    assert torch.equal(degrade_views(planes[1::2], part, mixed, 16), after[1::2])


def test_a_recipe_that_does_not_name_it_is_the_recipe_it_was():
    assert "native" not in AugmentSection(rotate=3).model_dump()
    assert AugmentSection(native=NativeSection()).model_dump()["native"]["sides"] == (10, 40)
    assert AugmentSection().only_flips
    assert not AugmentSection(native=NativeSection()).only_flips


@pytest.mark.parametrize(("wrong", "words"), [
    ({"sides": [40, 10]}, "the smaller one first"), ({"quality": [0, 50]}, "from 1 to 100"), ({"share": 2}, "augment.native.share"),
    ({"side": 3}, "did you mean 'sides'"),
])  # fmt: skip
def test_mistakes_are_named(wrong, words):
    content = {"name": "x", "data": {"store": "s"}, "loss": {"classification": {}}, "augment": {"native": wrong}}
    with pytest.raises(LrfaceError, match=words):
        parse_recipe(content, "recipe")

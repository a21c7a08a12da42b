"""The order of a run, its flips, and its teacher."""

import dataclasses

import numpy as np
import pytest
import torch

from lrface.data.store import Store
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.train.batches import Batches, HighFaces, LowFaces, RandomViews, TeacherTargets, normalise
from lrface.train.recipe import AugmentSection, DataSection
from lrface.train.split import split_store
from lrface.train.teacher_cache import cached_embeddings

CPU = torch.device("cpu")
VIEWS = AugmentSection(rotate=8, noise=0.02, sides=(12, 20), probability=0.6)
FLIPS = AugmentSection()
BATCH = 8


@pytest.fixture(scope="module")
def store(data_root):
    return Store(data_root / "faces")


@pytest.fixture(scope="module")
def split(store):
    return split_store(store, DataSection(store="faces", holdout_identities=3))


@pytest.fixture(scope="module")
def teacher(data_root):
    return open_embedder(data_root / "teacher" / "model.safetensors")


@pytest.fixture(scope="module")
def cached(store, teacher, tmp_path_factory):
    return cached_embeddings(store, teacher, progress=False, folder=tmp_path_factory.mktemp("cache") / "teacher")


@pytest.fixture(scope="module")
def make(store, split, cached):
    def batches(section=FLIPS, seed=5, rank=0, world=1, targets=None):
        views = None if section.only_flips else RandomViews(store, split, section, CPU)
        targets = targets or TeacherTargets(cached, None, split, CPU)
        faces = LowFaces(store, split, CPU)
        return Batches(faces, targets, views, split, section, 16, BATCH, seed, rank, world, CPU)

    return batches


def same(one, other):
    return all(torch.equal(getattr(one, key), getattr(other, key)) for key in ("pixels", "labels", "index", "teacher"))


def test_an_epoch_gives_each_image_at_most_once_with_its_label(make, split):
    batches = make()
    epoch = list(batches.epoch(0))
    assert batches.steps == len(epoch) == 35 // BATCH
    index = torch.cat([batch.index for batch in epoch])
    assert len(set(index.tolist())) == len(index) == len(epoch) * BATCH
    assert torch.cat([batch.labels for batch in epoch]).tolist() == split.labels[index].tolist()


def test_pixels_are_the_stores_mirrored_where_the_teacher_is(make, store, split, cached):
    plain, mirrored = 0, 0
    for batch in make().epoch(0):
        for pixels, index, target in zip(batch.pixels, batch.index, batch.teacher, strict=True):
            image = int(split.train[index])
            low = torch.from_numpy(store.low([image])[0]).permute(2, 0, 1)
            flipped = torch.equal(target, torch.tensor(cached[1, image]))
            assert flipped != torch.equal(target, torch.tensor(cached[0, image]))
            assert torch.equal(pixels, normalise((low.flip(-1) if flipped else low)[None])[0])
            plain, mirrored = plain + (not flipped), mirrored + flipped
    assert plain
    assert mirrored


def test_without_flips_nothing_is_mirrored(make, split, cached):
    for batch in make(AugmentSection(flip=False)).epoch(0):
        assert torch.equal(batch.teacher, torch.from_numpy(cached[0, split.train[batch.index]]))


@pytest.mark.parametrize("section", [AugmentSection(), VIEWS])
def test_a_batch_depends_on_seed_epoch_and_step_alone(make, section):
    whole = list(make(section).epoch(3))
    torch.rand(7)  # the global generator has no say
    rest = list(make(section).epoch(3, first_step=2))
    assert len(rest) == len(whole) - 2
    assert all(same(one, other) for one, other in zip(whole[2:], rest, strict=True))
    assert not any(same(one, other) for one, other in zip(whole, make(section).epoch(2), strict=True))
    assert not any(same(one, other) for one, other in zip(whole, make(section, seed=6).epoch(3), strict=True))


@pytest.mark.parametrize("section", [AugmentSection(), VIEWS])
@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_have_the_batch_of_one(make, section, world):
    parts = [list(make(section, rank=rank, world=world).epoch(1)) for rank in range(world)]
    for step, whole in enumerate(make(section).epoch(1)):
        for rank in range(world):
            part = parts[rank][step]
            assert torch.equal(part.index, whole.index[rank::world])
            assert torch.equal(part.pixels, whole.pixels[rank::world])
            assert torch.equal(part.teacher, whole.teacher[rank::world])


def test_some_views_are_new_and_the_others_the_stores(make):
    plain = torch.cat([batch.pixels for batch in make(AugmentSection(flip=False)).epoch(0)])
    views = torch.cat([batch.pixels for batch in make(VIEWS.model_copy(update={"flip": False})).epoch(0)])
    kept = (plain == views).flatten(1).all(1)
    assert 0 < kept.sum() < len(kept)


def test_the_teacher_online_says_what_its_cache_says(make, store, split, teacher):
    online = make(targets=TeacherTargets(None, (store, teacher), split, CPU))
    for one, other in zip(make().epoch(0), online.epoch(0), strict=True):
        assert torch.equal(one.pixels, other.pixels)
        torch.testing.assert_close(one.teacher, other.teacher, rtol=1e-5, atol=1e-5)


def test_a_teacher_that_sees_which_way_a_face_looks(make, store, split):
    def left_right(batch):
        half = batch.shape[-1] // 2
        return np.stack([batch[..., :half].mean((1, 2, 3)), batch[..., half:].mean((1, 2, 3))], 1).astype(np.float32)

    looker = Embedder(left_right, Preprocessing(112), "looker", {})
    for batch in make(targets=TeacherTargets(None, (store, looker), split, CPU)).epoch(0):
        student = torch.stack([batch.pixels[..., :8].mean((1, 2, 3)), batch.pixels[..., 8:].mean((1, 2, 3))], 1)
        torch.testing.assert_close(batch.teacher, student, rtol=0, atol=0.02)


@pytest.mark.parametrize("workers", [0, 1])
def test_high_resolution_decodes_the_crops_in_order(store, split, workers):
    indices = [torch.tensor([4, 0, 9]), torch.tensor([3, 3])]
    state = torch.get_rng_state()
    found = list(HighFaces(store, split, Preprocessing(112), workers).batches(indices))
    assert torch.equal(state, torch.get_rng_state()), "a resumed run would see that"
    for index, images in zip(indices, found, strict=True):
        expected = np.stack([store.crop(int(split.train[i])) for i in index]).transpose(0, 3, 1, 2)
        assert images.dtype == torch.uint8
        assert torch.equal(images, torch.from_numpy(expected))


def test_pixels_are_normalised_as_by_the_model_files(store):
    low = store.low([0, 1])
    planes = torch.from_numpy(low.transpose(0, 3, 1, 2).copy())
    torch.testing.assert_close(normalise(planes), torch.from_numpy(Preprocessing(16).batch(low)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("section", [FLIPS, VIEWS])
def test_batches_made_together_are_the_same(make, section):
    alone, together = make(section), dataclasses.replace(make(section), ahead=3)
    assert all(same(*pair) for pair in zip(together.epoch(1), alone.epoch(1), strict=True))
    assert all(same(*pair) for pair in zip(together.epoch(1, 2), list(alone.epoch(1))[2:], strict=True))

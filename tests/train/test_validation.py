"""Which pairs a run validates on, and where its thresholds come from."""

import numpy as np
import pytest

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.verification import threshold_at_far
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.train import validation
from lrface.train.split import split_store
from lrface.train.validation import calibrate, validate, validation_pairs


@pytest.fixture
def store(data_root):
    return Store(data_root / "faces")


@pytest.fixture
def embedder(store):
    """Rather good: shrinks the face to 4 x 4 pixels."""
    preprocessing = Preprocessing(16, degradation=store.degradation)
    return Embedder(lambda batch: batch[:, :, ::4, ::4].reshape(len(batch), -1).copy(), preprocessing, "shrink", {})


def unit(embedder, images):
    both = embedder.embed(images).astype(np.float64) + embedder.embed(images, flip=True)
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def test_pairs_are_of_held_out_identities_as_the_network_sees_them(recipe, store):
    low = recipe()
    split = split_store(store, low.data)
    pairs = validation_pairs(low, store, split, store.path.parent)
    assert len(pairs.images) == 15
    assert (np.stack(pairs.images) == store.low(split.holdout)).all()
    assert (split.holdout_labels[pairs.a] == split.holdout_labels[pairs.b]).tolist() == pairs.same.tolist()
    high = recipe(data={"resolution": "high"})
    assert (validation_pairs(high, store, split, store.path.parent).images[3] == store.crop(split.holdout[3])).all()


def test_no_pairs_without_held_out_identities(recipe, store):
    plain = recipe(data={"holdout_identities": 0})
    assert validation_pairs(plain, store, split_store(store, plain.data), store.path.parent) is None


def test_pairs_from_files_over_another_store(recipe, store, tmp_path):
    (tmp_path / "pairs.txt").write_text("2\n00\t1\t2\n01\t1\t3\n00\t1\t01\t2\n02\t1\t03\t2\n")
    named = recipe(validation={"images": "faces", "pairs": [str(tmp_path / "pairs.txt")]})
    with pytest.raises(LrfaceError):  # names of LFW's kind, 00/00_0001.jpg, which this store does not have
        validation_pairs(named, store, split_store(store, named.data), store.path.parent)


def test_images_without_pairs_files(recipe, store):
    lacking = recipe(validation={"images": "faces"})
    with pytest.raises(LrfaceError, match=r"validation\.images needs validation\.pairs"):
        validation_pairs(lacking, store, split_store(store, lacking.data), store.path.parent)


def test_a_good_network_is_found_to_be_good(recipe, store, embedder):
    split = split_store(store, recipe().data)
    pairs = validation_pairs(recipe(), store, split, store.path.parent)
    good = validate(embedder, pairs)
    blind = Embedder(
        lambda batch: np.random.default_rng(0).normal(size=(len(batch), 4)).astype(np.float32),
        embedder.preprocessing, "blind", {},
    )  # fmt: skip
    assert good.auc > 0.95
    assert validate(blind, pairs).auc < good.auc - 0.1


def test_thresholds_are_read_from_all_pairs_of_different_held_out_people(recipe, store, embedder):
    split = split_store(store, recipe().data)
    embeddings = unit(embedder, list(store.low(split.holdout)))
    labels = split.holdout_labels
    impostors = [
        embeddings[i] @ embeddings[j] for i in range(15) for j in range(i) if labels[i] != labels[j]
    ]  # 75: enough for a rate of 1 in 10 and no lower
    found = calibrate(embedder, recipe(), store, split, None)
    assert set(found) == {f"{far:g}" for far in validation.FARS if far * 75 >= 1}
    assert found
    for far, threshold in found.items():
        assert threshold == pytest.approx(threshold_at_far(impostors, float(far)), abs=1e-5)


def test_without_held_out_people_the_pairs_serve(recipe, store, embedder):
    split = split_store(store, recipe().data)
    pairs = validation_pairs(recipe(), store, split, store.path.parent)
    plain = recipe(data={"holdout_identities": 0})
    everyone = split_store(store, plain.data)
    embeddings = unit(embedder, pairs.images)
    impostors = (embeddings[pairs.a] * embeddings[pairs.b]).sum(1)[~pairs.same]
    found = calibrate(embedder, plain, store, everyone, pairs)
    assert set(found) == {f"{far:g}" for far in validation.FARS if far * len(impostors) >= 1}
    for far, threshold in found.items():
        assert threshold == pytest.approx(threshold_at_far(impostors, float(far)), abs=1e-5)
    assert calibrate(embedder, plain, store, everyone, None) == {}


def test_very_many_impostors_are_sampled(recipe, store, embedder, monkeypatch):
    split = split_store(store, recipe().data)
    whole = calibrate(embedder, recipe(), store, split, None)
    monkeypatch.setattr(validation, "IMPOSTORS", 100)
    sampled = calibrate(embedder, recipe(), store, split, None)
    assert set(sampled) <= set(whole)
    assert sampled["0.1"] == pytest.approx(whole["0.1"], abs=0.2)

"""Whitening within identities: the covariance, the fold into the last layer, and a run that does both."""

import numpy as np
import pytest
import torch

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.models import create
from lrface.models.embedder import open_embedder
from lrface.train.recipe import parse_recipe
from lrface.train.run import train
from lrface.train.split import split_store
from lrface.train.whiten import chosen_images, fold, whitening

NETWORKS = {
    "resnet18": {"width": 16, "embedding_dim": 8},
    "resnet16": {"embedding_dim": 8},
    "iresnet18": {"width": 16, "embedding_dim": 8, "input_size": 16},
    "mobilefacenet": {"embedding_dim": 8, "input_size": 112},
}


def draw(rng, identities=40, images=6, dim=5):
    labels = np.repeat(np.arange(identities), images)
    spread = rng.normal(size=(dim, dim))
    vectors = rng.normal(size=(identities, dim))[labels] + rng.normal(size=(len(labels), dim)) @ spread
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def slow_covariance(embeddings, labels):
    """The pooled covariance, from its definition."""
    total, freedom = np.zeros((embeddings.shape[1],) * 2), 0
    for label in np.unique(labels):
        own = embeddings[labels == label]
        if len(own) > 1:
            for vector in own:
                total += np.outer(vector - own.mean(0), vector - own.mean(0))
            freedom += len(own) - 1
    return total / freedom


def test_without_shrinkage_all_directions_vary_alike():
    embeddings, labels = draw(np.random.default_rng(0))
    matrix = whitening(embeddings, labels, 1e-12)
    turned = slow_covariance(embeddings @ matrix, labels)
    np.testing.assert_allclose(turned / turned[0, 0], np.eye(5), atol=1e-8)
    assert np.trace(matrix) == pytest.approx(5)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)


@pytest.mark.parametrize("shrinkage", [0.1, 4.0])
def test_with_shrinkage_it_is_the_inverse_root_of_the_equation(shrinkage):
    embeddings, labels = draw(np.random.default_rng(1))
    labels[labels == 3] = np.arange(100, 106)  # six identities with one image: they say nothing
    covariance = slow_covariance(embeddings, labels)
    shrunk = covariance + shrinkage * np.trace(covariance) / 5 * np.eye(5)
    matrix = whitening(embeddings, labels, shrinkage)
    product = matrix @ shrunk @ matrix
    np.testing.assert_allclose(product / product[0, 0], np.eye(5), atol=1e-10)


def test_much_shrinkage_changes_nothing():
    embeddings, labels = draw(np.random.default_rng(2))
    np.testing.assert_allclose(whitening(embeddings, labels, 1e9), np.eye(5), atol=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 1, 1]])
def test_nothing_varies_within(labels):
    embeddings = np.eye(4)[[0, 1, 2, 3] if labels[1] else [0, 0, 1, 1]]
    with pytest.raises(LrfaceError, match="no training identity has two different images"):
        whitening(embeddings, np.array(labels), 1.0)


def test_images_of_the_first_identities_with_two_or_more():
    labels = np.array([2, 0, 1, 0, 2, 3, 3, 3])
    assert chosen_images(labels).tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert chosen_images(labels, most=4).tolist() == [0, 1, 3, 4]
    assert chosen_images(labels, most=6).tolist() == [0, 1, 3, 4]  # never a part of an identity


@pytest.mark.parametrize("name", NETWORKS)
def test_fold_multiplies_the_output(name):
    torch.manual_seed(0)
    kw = NETWORKS[name]
    network = create(name, **kw)
    images = torch.randn(6, 3, kw.get("input_size", 16), kw.get("input_size", 16))
    network.train()
    with torch.no_grad():
        network(images)  # running statistics other than 0 and 1
        network.features.bias.normal_()
        if network.fc.bias is not None:
            network.fc.bias.normal_()
        network.eval()
        before = network(images).double().numpy()
        matrix = np.random.default_rng(0).normal(size=(8, 8))
        fold(network, matrix)
        after = network(images).double().numpy()
    np.testing.assert_allclose(after, before @ matrix.T, rtol=2e-4, atol=2e-4 * np.abs(after).max())


@pytest.mark.parametrize("network", [torch.nn.Flatten(), torch.nn.ModuleDict({"fc": torch.nn.Linear(4, 4)})])
def test_a_network_that_ends_otherwise(network):
    with pytest.raises(LrfaceError, match="does not end in a linear layer and a BatchNorm1d"):
        fold(network, np.eye(4))


def test_a_run_whitens_what_it_leaves(data_root, recipe, tmp_path):
    losses = {"classification": None, "crrcd": {"negatives": 16}, "cosine": {}}
    train(recipe(loss=losses), tmp_path / "plain", data_root, "cpu")
    train(recipe(loss=losses, whiten=2.0), tmp_path / "white", data_root, "cpu")
    store = Store(data_root / "faces")
    split = split_store(store, recipe().data)
    for name in ("model.safetensors", "last.safetensors"):  # each whitened once, by its own embeddings
        plain, white = (open_embedder(tmp_path / run / name) for run in ("plain", "white"))
        faces = list(store.low(split.train))
        matrix = whitening(flip_sum(plain, faces), split.labels, 2.0)
        expected = plain.embed(faces) @ matrix
        np.testing.assert_allclose(white.embed(faces), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
        facts = white.card["whitening"]
        assert facts["shrinkage"] == 2.0
        assert facts["images"] == len(split.train)
        assert set(facts["validation"]) == {"accuracy", "std", "auc"}
        assert "whitening" not in plain.card
        assert white.card["thresholds"] != plain.card["thresholds"]


def test_a_finished_run_is_whitened_afterwards(data_root, recipe, tmp_path):
    losses = {"classification": None, "cosine": {}}
    train(recipe(loss=losses, whiten=2.0), tmp_path / "at once", data_root, "cpu")
    train(recipe(loss=losses), tmp_path / "later", data_root, "cpu")
    train(recipe(loss=losses, whiten=2.0), tmp_path / "later", data_root, "cpu", resume=True)
    faces = list(Store(data_root / "faces").low(np.arange(4)))
    one, other = (open_embedder(tmp_path / run / "model.safetensors").embed(faces) for run in ("at once", "later"))
    np.testing.assert_array_equal(one, other)


def test_a_head_and_whitening_exclude_each_other(recipe):
    content = recipe().model_dump(mode="json") | {"whiten": 1.0}
    with pytest.raises(LrfaceError, match="whiten"):
        parse_recipe(content, "test")

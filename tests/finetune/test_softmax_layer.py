"""The layer over people that a frozen backbone gets."""

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.finetune.softmax_layer import LayerSettings, cosines, fit_layer


def clouds(people=4, images=6, dim=8, noise=0.4, seed=0):
    """Embeddings around a direction for each person, of any length, and their labels."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, dim))
    labels = np.repeat(np.arange(people), images)
    embeddings = centres[labels] + noise * rng.normal(size=(len(labels), dim))
    return (embeddings * rng.uniform(0.1, 10, (len(labels), 1))).astype(np.float32), labels


def loss(embeddings, labels, weight, scale):
    """Cross-entropy of the softmax over scaled cosines, literally."""
    total = 0.0
    for row, label in zip(embeddings.astype(np.float64), labels, strict=True):
        logits = [scale * row @ w / np.linalg.norm(row) / np.linalg.norm(w) for w in weight.astype(np.float64)]
        total -= logits[label] - np.log(np.sum(np.exp(logits)))
    return total / len(labels)


def test_without_epochs_it_is_the_directions_of_the_class_means():
    embeddings, labels = clouds()
    weight = fit_layer(embeddings, labels, 4, LayerSettings(epochs=0), seed=1)
    for label in range(4):
        own = embeddings[labels == label].astype(np.float64)
        mean = (own / np.linalg.norm(own, axis=1, keepdims=True)).sum(0)
        np.testing.assert_allclose(weight[label], mean / np.linalg.norm(mean), atol=1e-6)


def test_training_lowers_the_loss_and_keeps_unit_length():
    embeddings, labels = clouds(noise=1.0)
    before = fit_layer(embeddings, labels, 4, LayerSettings(epochs=0), seed=1)
    after = fit_layer(embeddings, labels, 4, LayerSettings(epochs=60, lr=0.01), seed=1)
    assert loss(embeddings, labels, after, 16) < 0.8 * loss(embeddings, labels, before, 16)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-6)
    assert after.dtype == np.float32


def test_lengths_of_embeddings_do_not_matter():
    embeddings, labels = clouds()
    a = fit_layer(embeddings, labels, 4, LayerSettings(), seed=1)
    b = fit_layer(100 * embeddings, labels, 4, LayerSettings(), seed=1)
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_seed_decides():
    embeddings, labels = clouds(noise=1.0)
    settings = LayerSettings(batch_size=5)
    first = fit_layer(embeddings, labels, 4, settings, seed=1)
    np.testing.assert_array_equal(first, fit_layer(embeddings, labels, 4, settings, seed=1))
    assert np.abs(first - fit_layer(embeddings, labels, 4, settings, seed=2)).max() > 1e-4


def test_the_global_generator_is_left_alone():
    import torch

    embeddings, labels = clouds()
    torch.manual_seed(3)
    a = fit_layer(embeddings, labels, 4, LayerSettings(), seed=1)
    torch.manual_seed(4)
    np.testing.assert_array_equal(a, fit_layer(embeddings, labels, 4, LayerSettings(), seed=1))


def test_one_person_alone_keeps_their_mean():
    embeddings, labels = clouds(people=1)
    a, b = (fit_layer(embeddings, labels, 1, LayerSettings(epochs=epochs), seed=1) for epochs in (0, 5))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_what_cannot_be_learnt():
    embeddings, labels = clouds()
    with pytest.raises(LrfaceError, match="1 of 5 people have no image"):
        fit_layer(embeddings, labels, 5, LayerSettings(), seed=1)
    embeddings[3, 2] = np.nan
    with pytest.raises(LrfaceError, match="not finite"):
        fit_layer(embeddings, labels, 4, LayerSettings(), seed=1)
    for wrong in ({"epochs": -1}, {"lr": 0}, {"batch_size": 0}, {"scale": -1.0}):
        with pytest.raises(LrfaceError, match="cannot be trained"):
            LayerSettings(**wrong)


def test_cosines():
    rng = np.random.default_rng(0)
    embeddings, weight = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    got = cosines(embeddings, weight)
    for i, row in enumerate(embeddings):
        for j, direction in enumerate(weight):
            assert got[i, j] == pytest.approx(row @ direction / np.linalg.norm(row))
    assert not cosines(np.zeros((1, 3)), weight).any()

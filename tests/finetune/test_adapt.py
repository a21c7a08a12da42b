"""Batch-norm statistics of one camera: what they are, what changes, and what the file says."""

import numpy as np
import pytest
import torch
from torch import nn

from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.finetune.adapt import adapt, mixed, statistics_of
from lrface.models import create, load_model
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.recognition.thresholds import adapted_note
from lrface.runtimes.torch import TorchNetwork


@pytest.fixture
def network():
    torch.manual_seed(0)
    return create("resnet18", width=4, embedding_dim=8, dropout=0.2).eval()


@pytest.fixture
def embedder(network):
    card = {"thresholds": {"0.01": 0.5}}
    return Embedder(TorchNetwork(network), Preprocessing(16, degradation=Degradation(16)), "digest", card)


def dark_faces(count):
    return list(np.random.default_rng(0).integers(0, 60, (count, 16, 16, 3), np.uint8))


def test_the_statistics_are_those_of_the_faces_and_their_mirror_images(network):
    batch = np.random.default_rng(1).standard_normal((40, 3, 16, 16)).astype(np.float32)
    statistics = statistics_of(network, batch)
    seen = []
    first = next(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    handle = first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    network(torch.from_numpy(np.concatenate([batch, batch[..., ::-1]])))
    handle.remove()
    name = next(name for name, layer in network.named_modules() if layer is first)
    values = seen[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(statistics[f"{name}.running_mean"], values.mean(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(statistics[f"{name}.running_var"], values.var(1), atol=1e-5, rtol=1e-4)


def test_a_share_of_them_is_taken_and_nothing_else_changes(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = np.random.default_rng(1).standard_normal((20, 3, 16, 16)).astype(np.float32)
    statistics = statistics_of(network, batch)
    after = mixed(network, statistics, 0.25).state_dict()
    for name, value in before.items():
        expected = 0.75 * value + 0.25 * statistics[name] if name in statistics else value
        torch.testing.assert_close(after[name], expected)
        torch.testing.assert_close(network.state_dict()[name], value)  # the given one stays as it was
    assert len(statistics) > 10


def test_the_file_says_what_it_is(embedder, tmp_path):
    made = adapt(embedder, dark_faces(100), tmp_path / "camera.safetensors", 0.4)
    assert (made.model, made.faces, made.share) == (embedder.fingerprint, 100, 0.4)
    network, card = load_model(tmp_path / "camera.safetensors")
    assert card["thresholds"] == {"0.01": 0.5}
    assert card["adapted"]["recalibrated"] is False
    assert (card["adapted"]["faces"], card["adapted"]["share"]) == (100, 0.4)
    assert "check them on pairs" in adapted_note(card)[0]
    assert adapted_note(embedder.card) == ()
    change = [
        not torch.equal(value, embedder.network.module.state_dict()[name])
        for name, value in network.state_dict().items()
        if name.endswith("running_mean")
    ]
    assert all(change)


@pytest.mark.parametrize(
    ("faces", "share", "message"),
    [
        (99, 0.3, "99 faces are too few to know a camera by: give at least 100"),
        (100, 0.0, "a share of 0 makes no sense"),
        (100, 1.5, "a share of 1.5 makes no sense"),
    ],
)
def test_what_makes_no_sense_is_refused(embedder, tmp_path, faces, share, message):
    with pytest.raises(LrfaceError, match=message):
        adapt(embedder, dark_faces(faces), tmp_path / "camera.safetensors", share)
    assert not list(tmp_path.iterdir())


def test_a_network_without_batch_normalisation():
    with pytest.raises(LrfaceError, match="no batch normalisation"):
        statistics_of(nn.Linear(3, 3), np.zeros((1, 3, 16, 16), np.float32))


def test_an_onnx_file_has_no_statistics_to_take(tmp_path):
    class Graph:
        def __call__(self, batch):
            return batch.reshape(len(batch), -1)

    graph = Embedder(Graph(), Preprocessing(16, degradation=Degradation(16)), "digest", {})
    with pytest.raises(LrfaceError, match="weights"):
        adapt(graph, dark_faces(100), tmp_path / "camera.safetensors")

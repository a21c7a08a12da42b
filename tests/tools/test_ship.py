"""Shipping is all or nothing, and what is shipped opens by its name."""

import copy

import numpy as np
import pytest
import ship as tool
import torch

from lrface.data.sets.pair_set import PairSet
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.export.parity import drawn_faces
from lrface.faces.degrade import Degradation
from lrface.models import create, save_model, shipped
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.runtimes.onnx import OnnxNetwork

pytest.importorskip("onnxscript", reason="the extra export is not installed")

PAIRS = PairSet(drawn_faces(20), np.arange(20), np.arange(20) // 2 * 2, np.arange(20) % 2 == 0, "drawn", "drawn")
FACTS = {key: f"the {key}" for key in tool.REQUIRED}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    card = {"preprocessing": Preprocessing(16, degradation=Degradation(16)).as_dict(), "step": 7}
    save_model(path, create("resnet18", width=4, embedding_dim=8).eval(), card)
    return path


@pytest.fixture(scope="module", autouse=True)
def traced_once(trained):
    """Tracing takes seconds; all models of these tests are the same one."""
    from lrface.export import linked, run

    kept = {}
    before = run.trace

    def trace(module, size, fold=True):
        if fold not in kept:
            kept[fold] = before(module, size, fold)
        return copy.deepcopy(kept[fold])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linked, "trace", trace)
        patch.setattr(run, "trace", trace)
        yield


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """An empty package."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def no_loss(monkeypatch):
    """Accuracy on drawn faces of a network that knows nothing says nothing."""
    monkeypatch.setattr("lrface.export.run.check_accuracy", lambda embedder, reference, pairs: (0.9, 0.9))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_shipped_with_its_graph_and_opens_by_name(trained, weights):
    paths = tool.ship(trained, "tiny", FACTS)
    assert files(weights) == ["shipped.json", "tiny.graph.onnx", "tiny.safetensors"]
    assert sorted(path.name for path in paths) == ["tiny.graph.onnx", "tiny.safetensors"]
    assert (shipped.names(), shipped.default(), shipped.faults()) == (["tiny"], "tiny", [])
    embedder = open_embedder("tiny")
    assert isinstance(embedder.network, OnnxNetwork)
    assert embedder.card["step"] == 7
    assert embedder.card["name"] == "tiny"
    assert embedder.card["limits"] == "the limits"
    wanted = open_embedder(trained).embed(drawn_faces(3))
    np.testing.assert_allclose(embedder.embed(drawn_faces(3)), wanted, rtol=0.02, atol=0.02)  # half precision


def test_int8_is_a_model_of_its_own(trained, weights, tiny_store, no_loss):
    tool.ship(trained, "tiny", FACTS, Store(tiny_store), PAIRS)
    assert shipped.names() == ["tiny", "tiny-int8"]
    assert shipped.default() == "tiny"
    assert open_embedder("tiny-int8").card["exported"]["precision"] == "int8"
    with open(weights / "tiny-int8.onnx", "ab") as file:
        file.write(b"\0")
    with pytest.raises(LrfaceError, match=r"tiny-int8\.onnx has been changed since it was shipped"):
        open_embedder("tiny-int8")


def test_shipping_again_replaces_all(trained, weights, tiny_store, no_loss):
    tool.ship(trained, "tiny", FACTS, Store(tiny_store), PAIRS)
    tool.ship(trained, "other", FACTS, default=True)
    assert shipped.default() == "other"
    tool.ship(trained, "tiny", FACTS | {"limits": "others now"})
    assert shipped.names() == ["other", "tiny"]  # int8 was of earlier weights
    assert "tiny-int8.onnx" not in files(weights)
    assert (shipped.default(), shipped.faults()) == ("other", [])
    assert open_embedder("tiny").card["limits"] == "others now"


def test_a_shipped_model_can_be_shipped_again(trained, weights):
    tool.ship(trained, "tiny", FACTS)
    before = open_embedder("tiny").fingerprint
    tool.ship(weights / "tiny.safetensors", "tiny", FACTS)
    assert open_embedder("tiny").fingerprint == before


@pytest.mark.parametrize("fault", ["a fact", "too large", "int8"])
def test_what_fails_changes_nothing(trained, weights, tiny_store, monkeypatch, fault):
    tool.ship(trained, "tiny", FACTS)
    before = {path: path.read_bytes() for path in weights.iterdir()}
    if fault == "a fact":
        with pytest.raises(LrfaceError, match="the facts lack limits"):
            tool.ship(trained, "tiny", FACTS | {"limits": ""})
    elif fault == "too large":
        monkeypatch.setattr(tool, "MAX_BYTES", 5000)
        with pytest.raises(LrfaceError, match=r"tiny\.safetensors would take .* at most 5,000 may"):
            tool.ship(trained, "tiny", FACTS)
    else:
        monkeypatch.setattr("lrface.export.parity.LARGEST_LOSS", -1.0)
        with pytest.raises(LrfaceError, match="int8 costs"):
            tool.ship(trained, "tiny", FACTS, Store(tiny_store), PAIRS)
    assert {path: path.read_bytes() for path in weights.iterdir()} == before

"""The graph beside the weights: a few kB, the same numbers, and never a wrong pairing."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from lrface.errors import LrfaceError
from lrface.export import linked
from lrface.models import load_model, save_model
from lrface.models.embedder import open_embedder
from lrface.runtimes.onnx import OnnxNetwork


@pytest.fixture
def copied(student, tmp_path):
    """Model and graph, to be changed."""
    for name in ("tiny.safetensors", "tiny.graph.onnx"):
        shutil.copy(student.path.with_name(name), tmp_path)
    return tmp_path / "tiny.safetensors"


def crops(count=5):
    return np.random.default_rng(1).integers(0, 256, (count, 16, 16, 3), np.uint8)


def test_the_graph_has_no_weights_of_its_own(student):
    graph = student.path.with_name("tiny.graph.onnx")
    assert graph.stat().st_size < 0.1 * student.path.stat().st_size
    proto = onnx.load(graph, load_external_data=False)
    inside = sum(weights.ByteSize() for weights in proto.graph.initializer if not weights.external_data)
    assert inside < 500
    record = json.loads(proto.metadata_props[0].value)
    assert record["thresholds"] == {"0.01": 0.31}
    assert record["weights"]["file"] == "tiny.safetensors"


def test_the_two_files_are_valid_for_others_too(student):
    onnx.checker.check_model(student.path.with_name("tiny.graph.onnx"))
    whole = onnx.load(student.path.with_name("tiny.graph.onnx"))  # reads the weights out of the other file
    kernels = {weights.name: onnx.numpy_helper.to_array(weights) for weights in whole.graph.initializer}
    for name, value in student.module.state_dict().items():
        if name.endswith("conv1.weight"):
            np.testing.assert_array_equal(kernels[f"{name}.half"], value.half().numpy())


def test_retrained_weights_in_the_same_places_need_no_new_graph(copied):
    module, card = load_model(copied)
    with torch.no_grad():
        next(module.parameters()).mul_(0.5)
    save_model(copied, module, card, half=True)
    found, wanted = (open_embedder(copied, runtime=runtime).embed(crops()) for runtime in ("onnxruntime", "torch"))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("change", ["another card", "full precision"])
def test_weights_in_other_places_are_not_read_through_the_old_graph(copied, change):
    module, card = load_model(copied)
    if change == "another card":
        save_model(copied, module, card | {"note": "longer than before"}, half=True)
    else:
        save_model(copied, module, card)
    with pytest.raises(LrfaceError, match=r"tiny\.graph\.onnx was not made for .*tiny\.safetensors as it is now"):
        open_embedder(copied)
    assert open_embedder(copied, runtime="torch").embed(crops()).shape == (5, 32)


def test_a_graph_of_something_else_is_refused(copied):
    graph = copied.with_name("tiny.graph.onnx")
    proto = onnx.load(graph, load_external_data=False)
    del proto.metadata_props[:]
    graph.write_bytes(proto.SerializeToString())
    with pytest.raises(LrfaceError, match="was not made for"):
        open_embedder(copied)
    graph.write_bytes(b"")
    with pytest.raises(LrfaceError, match=r"tiny\.graph\.onnx is not an ONNX model"):
        open_embedder(copied)


def test_the_graph_stands_for_the_model(student):
    embedder = open_embedder(student.path.with_name("tiny.graph.onnx"))
    assert isinstance(embedder.network, OnnxNetwork)
    assert embedder.fingerprint == open_embedder(student.path, runtime="torch").fingerprint


def test_a_graph_that_is_not_true_is_not_written(student, tmp_path, monkeypatch):
    def wrong(module, size, fold):
        proto = student.proto()
        for weights in proto.graph.initializer:
            if weights.name == "conv1.weight":
                weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
        return proto

    path = shutil.copy(student.path, tmp_path)
    monkeypatch.setattr(linked, "trace", wrong)
    monkeypatch.setattr(linked, "_link", lambda proto, places, file: None)
    with pytest.raises(LrfaceError, match=r"have a cosine of .* nothing was written"):
        linked.write_graph(path)
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.safetensors"]

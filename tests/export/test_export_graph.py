"""The graph computes what the module computes, for any batch, and tells nothing of the machine it was made on."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lrface.export.graph import set_card, trace
from lrface.models import create


def run(proto, batch):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["embedding"], {"faces": batch})[0]


def batch_of(count, size):
    return np.random.default_rng(count).uniform(-1, 1, (count, 3, size, size)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "keywords", "size"),
    [
        ("resnet18", {"stem": "upsample", "width": 4}, 16),
        ("iresnet18", {"width": 4, "input_size": 32}, 32),
        ("mobilefacenet", {"input_size": 32}, 32),
    ],
)
def test_every_architecture_keeps_its_numbers(enliven, name, keywords, size):
    torch.manual_seed(0)
    module = enliven(create(name, embedding_dim=8, **keywords))
    proto = trace(module, size)
    for count in (1, 3):
        with torch.inference_mode():
            wanted = module(torch.from_numpy(batch_of(count, size))).numpy()
        np.testing.assert_allclose(run(proto, batch_of(count, size)), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 64])
def test_any_batch_will_do(student, count):
    with torch.inference_mode():
        wanted = student.module(torch.from_numpy(batch_of(count, 16))).numpy()
    np.testing.assert_allclose(run(student.proto(), batch_of(count, 16)), wanted, rtol=1e-3, atol=1e-4)


def test_norms_are_folded_into_convolutions(student):
    kinds = {node.op_type for node in student.proto().graph.node}
    assert "Conv" in kinds
    assert "BatchNormalization" not in kinds


def test_the_file_says_nothing_of_where_it_was_made(student):
    content = student.proto().SerializeToString() + student.path.with_name("tiny.graph.onnx").read_bytes()
    for word in (b".py", b"stack_trace", b"site-packages"):
        assert word not in content
    assert not [node for node in student.proto().graph.node if node.metadata_props or node.doc_string]


def test_the_card_replaces_what_was_there(student):
    proto = student.proto()
    set_card(proto, {"a": 1})
    set_card(proto, {"b": "ü"})
    assert {entry.key: json.loads(entry.value) for entry in proto.metadata_props} == {"lrface": {"b": "ü"}}
    onnx.checker.check_model(proto)

"""Eight bits: every convolution is in them, and embeddings hardly move."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from lrface.export.quantize import quantize


def faces(count, seed):
    """Smooth pictures: noise would not have the activations of anything."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (count, 3, 4, 4))
    return np.kron(coarse, np.ones((1, 1, 4, 4))).astype(np.float32)


@pytest.fixture(scope="module")
def quantised(student):
    return quantize(student.proto(), [faces(64, 0), faces(64, 1)])


def embed(proto, batch):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    result = session.run(None, {"faces": batch})[0]
    return result / np.linalg.norm(result, axis=1, keepdims=True)


def test_embeddings_stay_near(student, quantised):
    batch = faces(20, 2)
    cosines = (embed(student.proto(), batch) * embed(quantised, batch)).sum(1)
    assert cosines.min() > 0.98
    assert cosines.min() < 1 - 1e-7  # it is another computation


def test_any_batch_gives_the_same(quantised):
    batch = faces(7, 3)
    alone = np.concatenate([embed(quantised, face[None]) for face in batch])
    np.testing.assert_allclose(embed(quantised, batch), alone, atol=1e-5)


def test_every_convolution_takes_int8_weights_with_a_scale_a_channel(quantised):
    graph = quantised.graph
    made_by = {name: node for node in graph.node for name in node.output}
    values = {weights.name: weights for weights in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 20
    for node in convolutions:
        assert made_by[node.input[0]].op_type == "DequantizeLinear"
        stored, scale, _ = made_by[node.input[1]].input
        weights, scales = (numpy_helper.to_array(values[name]) for name in (stored, scale))
        assert weights.dtype == np.int8
        assert np.abs(weights.astype(int)).max() <= 64  # seven bits
        assert scales.shape == (len(weights),)


def test_the_file_is_a_quarter(student, quantised):
    assert quantised.ByteSize() < 0.35 * student.proto().ByteSize()
    onnx.checker.check_model(quantised)

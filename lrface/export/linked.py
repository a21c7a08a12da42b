"""A graph without weights, next to the safetensors file that holds them.

In ONNX, a weight can be stored in another file, at a given offset and length. ONNX Runtime and OpenVINO load the graph
and the safetensors file together; torch loads only the safetensors file. The package therefore contains the weights
only once. Convolution kernels are stored in half precision. Nodes of the graph cast them to float32, and every runtime
folds these nodes away when it loads the graph.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lrface.errors import LrfaceError
from lrface.export.graph import set_card, trace
from lrface.export.parity import check_parity
from lrface.files import atomic_write
from lrface.models.card import TensorPlace, places_digest, read_header
from lrface.models.embedder import GRAPH_SUFFIX, open_embedder
from lrface.models.weights import load_model

if TYPE_CHECKING:
    import onnx

_HALF = ".half"


def write_graph(path: str | Path) -> Path:
    """Write ``MODEL.graph.onnx`` next to ``MODEL.safetensors``, after a check that both give the same embeddings as torch.

    Args:
        path: the safetensors file.

    Returns:
        The graph's file.

    Raises:
        LrfaceError: the model cannot be read, the embeddings differ, or the file cannot be written.
    """
    path = Path(path)
    module, card = load_model(path)
    _, places = read_header(path)
    proto = trace(module, int(module.input_size), fold=False)  # type: ignore[arg-type]
    _drop_zero_biases(proto)
    _link(proto, places, path.name)
    set_card(proto, card | {"weights": {"file": path.name, "places": places_digest(places)}})
    content = proto.SerializeToString()
    out = path.with_name(path.stem + GRAPH_SUFFIX)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, folder))
        (copy.parent / out.name).write_bytes(content)
        check_parity(open_embedder(copy, runtime="onnxruntime"), open_embedder(copy, runtime="torch"))
    with atomic_write(out) as file:
        file.write(content)
    return out


def _link(proto: "onnx.ModelProto", places: Mapping[str, TensorPlace], file: str) -> None:
    """Replace every weight that the file holds by a reference to its place there. Other weights stay in the graph."""
    from onnx import TensorProto, helper

    types = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
    graph = proto.graph
    casts = []
    for weights in graph.initializer:
        place = places.get(weights.name)
        if place is None:
            continue
        if tuple(weights.dims) != place.shape or place.dtype not in types:
            raise LrfaceError(
                f"{file}: {weights.name} is {place.dtype} {list(place.shape)}, which the graph cannot use"
            )
        name = weights.name
        weights.Clear()
        weights.name = name + _HALF if place.dtype == "F16" else name
        weights.data_type = types[place.dtype]
        weights.dims.extend(place.shape)
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", place.offset), ("length", place.length)):
            weights.external_data.add(key=key, value=str(value))
        if place.dtype == "F16":
            casts.append(helper.make_node("Cast", [weights.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _drop_zero_biases(proto: "onnx.ModelProto") -> None:
    """Remove biases of zeros. The exporter adds them to convolutions without a bias."""
    from onnx import numpy_helper

    graph = proto.graph
    values = {weights.name: weights for weights in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in values:
            bias = numpy_helper.to_array(values[node.input[2]])
            if not bias.any():
                del node.input[2]
    used = {name for node in graph.node for name in node.input}
    kept = [weights for weights in graph.initializer if weights.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)

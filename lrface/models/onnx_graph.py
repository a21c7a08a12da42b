"""Writing an ONNX model node by node, for networks whose weights come in another format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError

#: The advice in errors about a missing package.
INSTALL = "pip install 'lrface[sharp]'"


class Graph:
    """Collects ONNX nodes one by one."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, values: np.ndarray) -> str:
        """Add a weight; returns its name."""
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its result."""
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, name: str, side: int, result: str, dim: int, metadata: Mapping[str, Any]) -> Any:
        """Make the ONNX model: ``faces``, float32 ``[n, 3, side, side]`` -> ``result``, float32 ``[n, dim]``.

        Args:
            name: of the graph.
            side: of the input, in pixels.
            result: the node's result that is the embedding.
            dim: its length.
            metadata: what :func:`lrface.models.embedder.open_embedder` reads.
        """
        from onnx import TensorProto, checker, helper

        faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 3, side, side])
        output = helper.make_tensor_value_info(result, TensorProto.FLOAT, ["n", dim])
        made = helper.make_graph(self.nodes, name, [faces], [output], self.weights)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        checker.check_model(model)
        helper.set_model_props(model, {"lrface": json.dumps(metadata)})
        return model


def cached(name: str, what: str, convert: Callable[[Path], object]) -> Path:
    """A converted network in the user's cache. It is converted at the first call.

    Args:
        name: of the file, which changes with the contents.
        what: the network's name in errors.
        convert: writes the ONNX file to the given path.

    Raises:
        LrfaceError: a package of the extra ``sharp`` is missing, the cache cannot be written, or the conversion fails.
    """
    try:
        import onnx  # noqa: F401 (the conversion needs it, which is said before anything is written)
        from platformdirs import user_cache_path
    except ImportError as error:
        raise LrfaceError(f"{what} is converted with the package {error.name}, which is missing: {INSTALL}") from error
    path = user_cache_path("lrface") / name
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LrfaceError(f"the cache {path.parent} cannot be made: {error.strerror}") from error
        convert(path)
    return path

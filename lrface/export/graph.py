"""Conversion of a torch module to an ONNX graph."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lrface.errors import LrfaceError
from lrface.runtimes import CARD_KEY

if TYPE_CHECKING:
    import onnx
    from torch import nn

#: ONNX Runtime 1.14, OpenVINO 2023 and later versions can read these.
OPSET = 18
IR_VERSION = 8
INPUT = "faces"
OUTPUT = "embedding"
BATCH = "n"


def trace(module: "nn.Module", input_size: int, fold: bool = True) -> "onnx.ModelProto":
    """Convert a backbone to a graph with the input ``faces`` and the output ``embedding``.

    Args:
        module: a backbone in evaluation mode, on the CPU.
        input_size: side s of the input.
        fold: fold batch norms into convolutions. Otherwise every weight keeps its name and its values.

    Returns:
        The graph: float32 ``faces [n, 3, s, s]`` -> float32 ``embedding [n, dim]``, for any n.

    Raises:
        LrfaceError: the packages for the export are not installed.
    """
    import torch

    try:
        from onnxscript import optimizer
    except ImportError as error:
        raise LrfaceError("to export, pip install 'lrface[export]'") from error
    example = torch.zeros(2, 3, input_size, input_size)
    with quiet():
        program = torch.onnx.export(
            module, (example,), None, input_names=[INPUT], output_names=[OUTPUT], opset_version=OPSET, dynamo=True,
            dynamic_shapes=({0: torch.export.Dim(BATCH)},), optimize=False, verbose=False,
        )  # fmt: skip
        assert program is not None  # it is None only if a file name is given
        if fold:
            optimizer.optimize(program.model)
        else:
            optimizer.fold_constants(program.model)
            optimizer.remove_unused_nodes(program.model)
        proto = program.model_proto
    proto.ir_version = IR_VERSION
    _forget_origins(proto)
    return proto


def set_card(proto: "onnx.ModelProto", card: dict[str, Any]) -> None:
    """Write the card into the file's metadata, in place of any other metadata."""
    from onnx import helper

    helper.set_model_props(proto, {CARD_KEY: json.dumps(card, allow_nan=False)})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the messages of the exporter and the quantiser."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _forget_origins(proto: "onnx.ModelProto") -> None:
    """Remove the source lines that the exporter stores at every node, because they contain paths of this machine."""
    graph = proto.graph
    del graph.value_info[:]
    for thing in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del thing.metadata_props[:]
        thing.doc_string = ""

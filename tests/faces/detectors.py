"""Detection networks of constants, written by tests."""

from pathlib import Path

import numpy as np
import pytest


def write_constant_detector(path: Path, side: int = 320, sizes: tuple[int, int, int] = (1, 4, 10)):
    """A network with the nine outputs of SCRFD for ``side`` x ``side``, which always sees one face: cell (20, 10) of
    stride 8."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    values = []
    for width in sizes:
        values += [np.zeros((2 * (side // stride) ** 2, width), np.float32) for stride in (8, 16, 32)]
    cell = 2 * (10 * (side // 8) + 20)
    values[0][cell] = 0.9
    values[3][cell] = [2, 3, 4, 5][: sizes[1]]  # left, top, right, bottom of the cell's place, in strides
    values[6][cell] = [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1][: sizes[2]]
    names = [f"out{index}" for index in range(9)]
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))
            for name, value in zip(names, values, strict=True)
        ],
        "detector",
        [helper.make_tensor_value_info("input.1", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, value.shape[1]])
            for name, value in zip(names, values, strict=True)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))

"""Static quantisation to 8-bit integers, per channel, in the QDQ format that every runtime reads."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrface.export.graph import INPUT, quiet

if TYPE_CHECKING:
    import onnx


def quantize(proto: "onnx.ModelProto", batches: Sequence[np.ndarray]) -> "onnx.ModelProto":
    """Quantise a graph: weights to int8 with one scale per output channel, activations to uint8 with one scale per tensor.

    Weights use only seven of their eight bits. Processors without VNNI (AVX2 and older) add products in 16 bits, which
    would overflow with eight. The loss of accuracy is too small to measure.

    Args:
        proto: from :func:`lrface.export.graph.trace`, with batch norms folded.
        batches: inputs of real faces, float32 ``[n, 3, s, s]``. The ranges of the activations are measured on them.
    """
    import onnx

    from lrface.runtimes.session import load_onnxruntime

    load_onnxruntime()
    from onnxruntime import quantization

    class Faces(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[np.ndarray] = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._left, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as folder, quiet():
        out = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            proto,
            out,
            Faces(),
            quant_format=quantization.QuantFormat.QDQ,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            # The embedding stays float: the differences between people are small compared with what all embeddings share.
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
        return onnx.load(out)

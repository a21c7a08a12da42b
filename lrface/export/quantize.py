"""Eight-bit integers: static, per channel, in the QDQ form that every runtime reads."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrface.export.graph import INPUT, quiet

if TYPE_CHECKING:
    import onnx


def quantize(proto: "onnx.ModelProto", batches: Sequence[np.ndarray]) -> "onnx.ModelProto":
    """Weights as int8 with a scale for each output channel, activations as uint8 with one scale for each tensor.

    Weights use seven of their eight bits: processors without VNNI (AVX2 and older) add products of full ones in 16 bits,
    which overflows. It costs nothing that can be measured.

    Args:
        proto: from :func:`lrface.export.graph.trace`, with norms folded.
        batches: inputs of real faces, float32 ``[n, 3, s, s]``, from whose activations the ranges are read.
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
            # The embedding itself stays float: what tells people apart is small beside what all embeddings share.
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
        return onnx.load(out)

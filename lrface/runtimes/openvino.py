"""OpenVINO, where it is installed: often the fastest on Intel's processors."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.runtimes import CARD_KEY
from lrface.runtimes.batches import first_line, run_in_steps


class OpenVinoNetwork:
    """An ONNX file in OpenVINO on the CPU, of any batch size; safe to call from several threads.

    Args:
        path: the file.
        device: ``cpu``.
        threads: CPU threads; OpenVINO's own default, all cores, if None.

    Attributes:
        record: what the file says of itself under the key ``lrface``, not yet parsed; None if nothing.

    Raises:
        LrfaceError: OpenVINO is not installed, the file is no ONNX model, or another device is asked for.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError as error:
            raise LrfaceError("OpenVINO is not installed: pip install 'lrface[openvino]'") from error
        if device != "cpu":
            raise LrfaceError(f"lrface runs OpenVINO on the CPU only, not on {device}")
        # Without this it computes in bfloat16 where the processor can, which costs three decimals.
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            self._compiled = core.compile_model(model, "CPU", options)
        except Exception as error:  # its exceptions are RuntimeError and whatever pybind makes of others
            raise LrfaceError(f"{path} is not an ONNX model that can be run: {_reason(error)}") from error
        metadata = ["framework", CARD_KEY]
        self.record: str | None = model.get_rt_info(metadata).value if model.has_rt_info(metadata) else None
        self._path = path
        shape = model.inputs[0].get_partial_shape()
        self._taken = f"{model.inputs[0].get_element_type().get_type_name()} {shape}"
        fixed = shape.rank.is_static and len(shape) > 0 and shape[0].is_static
        self._fixed_batch = shape[0].get_length() if fixed else None
        self._own = threading.local()  # a request holds its result's memory, so that each thread needs one

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return run_in_steps(self._run, batch, self._fixed_batch, self._path)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        try:
            result: np.ndarray = self._own.request.infer({0: batch})[0].copy()
        except Exception as error:  # see above
            raise LrfaceError(
                f"{self._path} takes {self._taken} and got {batch.dtype} {list(batch.shape)}: {_reason(error)}"
            ) from error
        return result


def _reason(error: Exception) -> str:
    """OpenVINO begins with the lines of its source in which something was noticed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from ", "Check "))]
    return told[0] if told else first_line(error)

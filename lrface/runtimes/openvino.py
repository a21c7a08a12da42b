"""OpenVINO, an optional runtime. It is often the fastest on Intel processors."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.runtimes import CARD_KEY
from lrface.runtimes.batches import first_line, run_in_steps


class OpenVinoNetwork:
    """An ONNX file in OpenVINO on the CPU. It takes any batch size, and may be called from several threads.

    Args:
        path: the file.
        device: ``cpu``.
        threads: CPU threads; None: OpenVINO's default, all cores.

    Attributes:
        record: the file's metadata under the key ``lrface``, not parsed; None if there is none.

    Raises:
        LrfaceError: OpenVINO is not installed, the file is not an ONNX model, or the device is not ``cpu``.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError as error:
            raise LrfaceError("OpenVINO is not installed: pip install 'lrface[openvino]'") from error
        if device != "cpu":
            raise LrfaceError(f"lrface runs OpenVINO on the CPU only, not on {device}")
        # By default OpenVINO computes in bfloat16 if the processor can, which costs three decimals.
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            self._compiled = core.compile_model(model, "CPU", options)
        except Exception as error:  # OpenVINO raises RuntimeError, or other types by way of pybind
            raise LrfaceError(f"{path} is not an ONNX model that can be run: {_reason(error)}") from error
        metadata = ["framework", CARD_KEY]
        self.record: str | None = model.get_rt_info(metadata).value if model.has_rt_info(metadata) else None
        self._path = path
        shape = model.inputs[0].get_partial_shape()
        self._taken = f"{model.inputs[0].get_element_type().get_type_name()} {shape}"
        fixed = shape.rank.is_static and len(shape) > 0 and shape[0].is_static
        self._fixed_batch = shape[0].get_length() if fixed else None
        self._own = threading.local()  # a request owns the memory of its result, so each thread needs its own

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
    """The message of an OpenVINO error, without the lines about its source code at the beginning."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    messages = [line for line in lines if not line.startswith(("Exception from ", "Check "))]
    return messages[0] if messages else first_line(error)

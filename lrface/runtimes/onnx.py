"""ONNX Runtime, the default runtime."""

from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.runtimes import CARD_KEY
from lrface.runtimes.batches import first_line, run_in_steps
from lrface.runtimes.session import open_session


class OnnxNetwork:
    """An ONNX file in ONNX Runtime. It takes any batch size, and may be called from several threads.

    Args:
        path: the file.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads; None: ONNX Runtime's default, all cores.

    Attributes:
        record: the file's metadata under the key ``lrface``, not parsed; None if there is none.

    Raises:
        LrfaceError: the file is not an ONNX model, or the device is not available.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        self.session = open_session(path, device, threads)
        self.record: str | None = self.session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        self._path = path
        self._input = self.session.get_inputs()[0]
        self._output = self.session.get_outputs()[0].name
        fixed = self._input.shape[0] if self._input.shape else None
        self._fixed_batch = fixed if isinstance(fixed, int) else None

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return run_in_steps(self._run, batch, self._fixed_batch, self._path)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        try:
            result: np.ndarray = self.session.run([self._output], {self._input.name: batch})[0]
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise LrfaceError(
                f"{self._path} takes {self._input.type} {self._input.shape} and got {batch.dtype} "
                f"{list(batch.shape)}: {first_line(error)}"
            ) from error
        return result

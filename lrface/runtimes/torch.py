"""PyTorch: for files that have no graph, for training, and for GPUs."""

from typing import Any

import numpy as np

from lrface.errors import LrfaceError


class TorchNetwork:
    """A torch module in evaluation mode; safe to call from several threads.

    Args:
        module: takes and gives float32 batches.
        device: ``cpu``, ``cuda``, ``cuda:1``, ... or ``mps``.
        threads: CPU threads, which torch counts for the whole process; left as they are if None.

    Raises:
        LrfaceError: there is no such device.
    """

    def __init__(self, module: Any, device: str = "cpu", threads: int | None = None) -> None:
        import torch

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise LrfaceError("this PyTorch finds no CUDA device: run with --device cpu")
        if threads:
            torch.set_num_threads(threads)
        self.module = module.eval().to(device)
        self._device = device

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            result: np.ndarray = self.module(torch.from_numpy(batch).to(self._device)).float().cpu().numpy()
        return result

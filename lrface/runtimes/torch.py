"""PyTorch, the runtime for files without a graph, for training and for GPUs."""

from typing import Any

import numpy as np

from lrface.errors import LrfaceError


class TorchNetwork:
    """A torch module in evaluation mode. It may be called from several threads.

    Args:
        module: maps float32 batches to float32 embeddings.
        device: ``cpu``, ``cuda``, ``cuda:1``, ... or ``mps``.
        threads: CPU threads of the whole process; None: unchanged.

    Raises:
        LrfaceError: CUDA is asked for and not available.
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

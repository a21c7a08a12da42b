"""Functions that the ONNX runtimes share: batches of a fixed size, and the shape of embeddings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError


def run_in_steps(
    run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, fixed: int | None, path: Path
) -> np.ndarray:
    """Embed a batch with a network that may have a fixed batch size. The last step is then filled up with zeros.

    Args:
        run: the network.
        batch: float32 ``[n, ...]``.
        fixed: batch size of the network; None for any.
        path: file of the network, for the error message.

    Returns:
        float32 ``[n, dim]``. Further dimensions of size 1 are removed.

    Raises:
        LrfaceError: the network does not return one embedding per face.
    """
    step = fixed or len(batch)
    parts = []
    for start in range(0, len(batch), step):
        part = batch[start : start + step]
        count = len(part)
        if count < step:
            part = np.concatenate([part, np.zeros((step - count, *part.shape[1:]), part.dtype)])
        result = run(part)
        if len(result) != step:
            raise LrfaceError(f"{path} gives {list(result.shape)} for {step} faces: not an embedding for each")
        parts.append(result.reshape(step, -1)[:count])
    return np.concatenate(parts)


def first_line(error: Exception) -> str:
    """The first line of a runtime's error message."""
    return (str(error).splitlines() or [type(error).__name__])[0]

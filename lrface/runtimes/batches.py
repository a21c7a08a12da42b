"""What the runtimes of ONNX files have in common: a fixed batch size, and embeddings of odd shapes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError


def run_in_steps(
    run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, fixed: int | None, path: Path
) -> np.ndarray:
    """Embed a batch with a network that may know one batch size only, which the last step is filled up to.

    Args:
        run: the network.
        batch: float32, faces first.
        fixed: the batch size that the network knows; None for any.
        path: the network's file, for the error.

    Returns:
        float32 ``[n, dim]``, whatever further dimensions of one the network adds.

    Raises:
        LrfaceError: the network does not give one embedding a face.
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
    """A runtime's complaint in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]

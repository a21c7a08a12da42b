"""Embeddings as verification wants them, at any resolution."""

from collections.abc import Sequence

import numpy as np

from lrface.embedder import Embedder
from lrface.faces.degrade import Degradation


def flip_sum(
    embedder: Embedder, crops: Sequence[np.ndarray], degradation: Degradation | None = None, batch_size: int = 64,
    progress: str | None = None,
) -> np.ndarray:  # fmt: skip
    """``f(x) + f(mirrored x)``, summed un-normalised and then L2-normalised, as everyone reports LFW.

    Args:
        embedder: the network f.
        crops: uint8 RGB aligned crops.
        degradation: what every crop goes through before the network; None for the crops as they are.
        batch_size: how many go through the network at once.
        progress: name of a progress bar; none if None.

    Returns:
        float32 ``[n, dim]``.
    """
    from tqdm import tqdm

    parts = []
    starts = range(0, len(crops), batch_size)
    with tqdm(total=len(crops), unit="img", desc=progress, disable=None if progress else True) as bar:
        for start in starts:
            batch = [degradation(crop) if degradation else crop for crop in crops[start : start + batch_size]]
            total = embedder.embed(batch, batch_size) + embedder.embed(batch, batch_size, flip=True)
            parts.append(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
            bar.update(len(batch))
    return np.concatenate(parts)

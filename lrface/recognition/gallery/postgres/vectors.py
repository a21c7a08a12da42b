"""Conversion of embeddings to and from pgvector's types."""

from typing import Any

import numpy as np


def as_vector(row: np.ndarray) -> Any:
    """Convert an embedding, float ``[dim]``, to a half-precision vector."""
    from pgvector import HalfVector

    return HalfVector(row.astype(np.float16))


def as_blob(vector: Any) -> bytes:
    """Convert a stored embedding to bytes: little-endian float16."""
    return bytes(vector.to_numpy().astype("<f2").tobytes())

"""Embeddings as pgvector takes and gives them."""

from typing import Any

import numpy as np


def as_vector(row: np.ndarray) -> Any:
    """An embedding, float ``[dim]``, as a half-precision vector."""
    from pgvector import HalfVector

    return HalfVector(row.astype(np.float16))


def as_blob(vector: Any) -> bytes:
    """The bytes of a stored embedding: little-endian float16."""
    return bytes(vector.to_numpy().astype("<f2").tobytes())

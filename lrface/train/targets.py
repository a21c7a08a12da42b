"""What a student is to imitate: the embeddings of one or several teachers, centred.

A network's embeddings have a mean that says nothing of who is seen; it raises all cosines (to 0.86 between strangers
for dlib's ResNet) and a student that learns cosines would spend its effort on it. So the mean of the training images
is taken off each teacher's unit embeddings. Several teachers are then concatenated, scaled to unit length: the cosine
of such targets is the mean of the teachers' cosines. A student of fewer dimensions is given their projection onto the
leading directions of the training images, which of all projections keeps these cosines best (Eckart and Young, 1936):
faces spread over far fewer directions than networks have outputs.
"""

from collections.abc import Sequence

import numpy as np

#: Images from which the leading directions are taken, at most.
SAMPLE = 20_000


def centred_targets(parts: Sequence[np.ndarray], train: np.ndarray, dim: int) -> np.ndarray:
    """Centre and join.

    Args:
        parts: float32 ``[2, N, d_k]`` embeddings of each teacher, plain and flipped, of any length.
        train: int64 ``[n]``, the training images among the N.
        dim: the student's embedding length; longer targets are projected onto it, shorter ones stay.

    Returns:
        float32 ``[2, N, min(dim, sum of d_k)]``.
    """
    centred = [
        normalised(unit - unit[:, train].mean((0, 1), dtype=np.float64).astype(np.float32))
        for unit in map(normalised, parts)
    ]
    joined = np.concatenate(centred, axis=2) / np.float32(np.sqrt(len(centred)))
    if joined.shape[2] <= dim:
        return joined
    sample = joined[0, train[:: -(-len(train) // SAMPLE)]].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)  # ascending
    basis = directions[:, : -dim - 1 : -1]
    basis = basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(dim)])  # a direction's sign is arbitrary
    projected: np.ndarray = joined @ basis.astype(np.float32)
    return projected


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Rows of unit length, ``[..., dim]``."""
    result: np.ndarray = embeddings / np.maximum(np.linalg.norm(embeddings, axis=-1, keepdims=True), 1e-12)
    return result

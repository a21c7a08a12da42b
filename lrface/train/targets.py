"""The targets of a student: centred embeddings of one or several teachers.

The mean of a network's embeddings does not depend on the person. It raises all cosines (to 0.86 between different people for
dlib's ResNet), and a student that learns cosines would spend its effort on it. So the mean of the training images is
subtracted from each teacher's unit embeddings.

Several teachers are concatenated and scaled to unit length. The cosine of such targets is the mean of the teachers' cosines.
A student with fewer dimensions gets the projection onto the leading directions of the training images. Of all projections
this one keeps the cosines best (Eckart and Young, 1936), because faces vary in far fewer directions than networks have
outputs.
"""

from collections.abc import Sequence

import numpy as np

from lrface.models.teacher_map import normalised

#: Maximum number of images from which the leading directions are computed.
SAMPLE = 20_000


def centred_targets(parts: Sequence[np.ndarray], train: np.ndarray, dim: int) -> np.ndarray:
    """Centre and join the embeddings of teachers.

    Args:
        parts: for each teacher float32 ``[2, N, d_k]`` embeddings, plain and flipped, with any norm.
        train: int64 ``[n]``, the training images among the N.
        dim: length of the student's embeddings; longer targets are projected to it, shorter ones are not changed.

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
    # The sign of a direction is arbitrary; this makes it unique.
    basis = basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(dim)])
    projected: np.ndarray = joined @ basis.astype(np.float32)
    return projected

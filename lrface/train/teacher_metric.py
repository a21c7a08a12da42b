"""A trained student's metric, brought towards a teacher's. It is folded into the last layer, so that it costs nothing afterwards.

Whitening (:mod:`lrface.train.whiten`) gives every direction of the embedding the same weight. A teacher with a better metric tells
which directions identify people: those from which its own embedding can be predicted. So the cosine becomes the weighted sum of
two: that of the student's embeddings, and that of a linear prediction of the teacher's embeddings from them.
"""

import numpy as np
from numpy.typing import NDArray

from lrface.models.teacher_map import normalised, ridge_map


def teacher_metric(embeddings: np.ndarray, targets: np.ndarray, ridge: float, weight: float) -> NDArray[np.float64]:
    """The matrix that changes a student's metric; apply it with :func:`lrface.train.whiten.fold`.

    Args:
        embeddings: of the student, float ``[n, d]``, rows of unit length.
        targets: of the teacher for the same faces, float ``[n, k]``; the rows may have any norm.
        ridge: of the prediction, in units of the embeddings' mean variance.
        weight: of the student's own cosine, 0 to 1; the prediction has the rest.

    Returns:
        float64 ``[d, d]``, symmetric, with the trace ``d``. For two embeddings ``a`` and ``b`` the matrix ``Q`` gives
        ``Qa . Qb = weight a . b + (1 - weight) c Ra . Rb`` times a constant, where ``R`` predicts the targets and ``c`` makes
        the mean square length of ``Ra`` one.
    """
    prediction = ridge_map(embeddings, normalised(targets), ridge)
    length = np.mean(np.sum((embeddings @ prediction.T) ** 2, axis=1))
    square = weight * np.eye(embeddings.shape[1]) + (1 - weight) / length * prediction.T @ prediction
    values, directions = np.linalg.eigh(square)
    root: NDArray[np.float64] = (directions * np.sqrt(np.maximum(values, 0))) @ directions.T
    return root * len(root) / float(np.trace(root))

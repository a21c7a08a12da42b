"""Embedding regression: the simplest distillation, and the baseline for relational losses."""

import torch.nn.functional as F
from torch import Tensor, nn

from lrface.losses.checks import at_least_float32, check_matrix, full_precision


class CosineRegression(nn.Module):
    """Mean of 1 - cos(student, teacher), in [0, 2]."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Scalar loss of embeddings ``student`` ``[B, D]`` against ``teacher`` ``[B, D]`` (detached; neither normalised).

        Raises LrfaceError if the shapes differ.
        """
        check_matrix("student", student)
        check_matrix("teacher", teacher, *student.shape)
        with full_precision(student):
            dtype = at_least_float32(student.dtype)
            return (1 - F.cosine_similarity(student.to(dtype), teacher.detach().to(dtype), dim=1)).mean()

"""Distillation of logits (Hinton et al. 2015; Eq. 12 of the CRRCD paper)."""

import torch.nn.functional as F
from torch import Tensor, nn

from lrface.losses.checks import at_least_float32, check_matrix, full_precision, positive_float


class KD(nn.Module):
    """rho^2 * CE(softmax(z_t / rho), softmax(z_s / rho)), mean over the batch.

    Eq. 12 is a cross-entropy and not a Kullback-Leibler divergence. The value therefore includes the teacher's entropy, and
    its minimum is above 0. The gradients are the same.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        """``temperature`` is rho of Eq. 12. Raises LrfaceError unless it is above 0."""
        super().__init__()
        self.temperature = positive_float("temperature", temperature)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Scalar loss of ``student_logits`` ``[B, C]`` against ``teacher_logits`` ``[B, C]`` (detached).

        Raises LrfaceError if the shapes differ.
        """
        check_matrix("student_logits", student_logits)
        check_matrix("teacher_logits", teacher_logits, *student_logits.shape)
        with full_precision(student_logits):
            dtype = at_least_float32(student_logits.dtype)
            target = (teacher_logits.detach().to(dtype) / self.temperature).softmax(dim=1)
            return self.temperature**2 * F.cross_entropy(student_logits.to(dtype) / self.temperature, target)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"

"""Margin softmax classifiers over identities: ArcFace (Deng et al. 2019) and CosFace (Wang et al. 2018)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import (
    at_least_float32,
    check_ids,
    check_matrix,
    full_precision,
    positive_float,
    positive_int,
)

# Lower limit of 1 - cos^2. The slope of the sine is infinite at cos = +-1, and float32 cosines can slightly exceed 1.
_SINE_SQUARED_MIN = 1e-7


class _MarginSoftmax(nn.Module):
    """Softmax over scale * cosine to one weight vector per class. A subclass reduces the cosine of the true class."""

    max_margin: float

    def __init__(self, num_classes: int, embedding_dim: int = 512, scale: float = 64.0, margin: float = 0.5) -> None:
        """``weight`` is ``[num_classes, embedding_dim]``. Raises LrfaceError for a value out of range."""
        super().__init__()
        self.num_classes = positive_int("num_classes", num_classes)
        self.embedding_dim = positive_int("embedding_dim", embedding_dim)
        self.scale = positive_float("scale", scale)
        if not 0 <= margin <= self.max_margin:
            raise LrfaceError(f"margin is {margin!r}: give a number from 0 to {self.max_margin:.4g}")
        self.margin = float(margin)
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        # The standard deviation of arcface_torch. Only directions count; with a small norm the first steps turn them fast.
        nn.init.normal_(self.weight, std=0.01)

    def with_margin(self, cosine: Tensor) -> Tensor:
        """The reduced cosine of the true class, elementwise; same shape."""
        raise NotImplementedError

    def logits(self, embeddings: Tensor) -> Tensor:
        """scale * cosine ``[B, num_classes]`` without a margin, float32 or float64: for KD and for use as a classifier."""
        return self.scale * self._cosine(embeddings)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy (scalar) of ``embeddings`` ``[B, D]``, not normalised, with integer ``labels`` ``[B]``.

        Raises LrfaceError for wrong shapes, and on the CPU for a label outside [0, num_classes). On an accelerator this check
        would make every step wait for the device, whose own assertion reports the error.
        """
        cosine = self._cosine(embeddings)
        check_ids("labels", labels, len(embeddings))
        if labels.device.type == "cpu" and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise LrfaceError(
                f"labels run from {int(labels.min())} to {int(labels.max())}: the classifier has classes 0 to "
                f"{self.num_classes - 1}"
            )
        column = labels.long()[:, None]
        with full_precision(cosine):
            penalised = self.with_margin(cosine.gather(1, column))
            return F.cross_entropy(self.scale * cosine.scatter(1, column, penalised), column[:, 0])

    def _cosine(self, embeddings: Tensor) -> Tensor:
        check_matrix("embeddings", embeddings, columns=self.embedding_dim)
        with full_precision(embeddings):
            dtype = at_least_float32(self.weight.dtype)
            return F.linear(F.normalize(embeddings.to(dtype)), F.normalize(self.weight.to(dtype)))

    def extra_repr(self) -> str:
        return (
            f"num_classes={self.num_classes}, embedding_dim={self.embedding_dim}, scale={self.scale}, "
            f"margin={self.margin}"
        )


class ArcFace(_MarginSoftmax):
    """Additive angular margin: cos(theta + margin) for the true class, ``margin`` in radians.

    Where theta + margin exceeds pi, cos(theta) - margin * sin(margin) is used instead, so that the penalty stays monotonic.
    This follows arcface_torch's ``CombinedMarginLoss`` with easy_margin off.
    """

    max_margin = math.pi / 2

    def with_margin(self, cosine: Tensor) -> Tensor:
        sine = (1 - cosine.square()).clamp_min(_SINE_SQUARED_MIN).sqrt()
        shifted = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        fallback = cosine - self.margin * math.sin(self.margin)
        return torch.where(cosine >= -math.cos(self.margin), shifted, fallback)


class CosFace(_MarginSoftmax):
    """Additive cosine margin: cos(theta) - margin for the true class."""

    max_margin = 1.0

    def __init__(self, num_classes: int, embedding_dim: int = 512, scale: float = 64.0, margin: float = 0.35) -> None:
        super().__init__(num_classes, embedding_dim, scale, margin)

    def with_margin(self, cosine: Tensor) -> Tensor:
        return cosine - self.margin

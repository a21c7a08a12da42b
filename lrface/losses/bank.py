"""Memory banks of whole training sets, from which contrastive distillation draws negatives of other classes."""

import math
import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import positive_int


def bank_bytes(images: int, dim: int) -> int:
    """Memory of the two banks, in bytes."""
    return 2 * 4 * images * dim


class Banks(nn.Module):
    """A row for every training sample and either network: an average of its unit embeddings.

    Both banks are buffers, so that a checkpoint carries them. Their start is uniform noise, as in CRD's code.
    """

    student: Tensor
    teacher: Tensor

    def __init__(self, images: int, dim: int, momentum: float, unit: bool = False) -> None:
        """``unit``: scale the noise to unit length, as CRCD's code does.

        Raises:
            LrfaceError: a value is out of range, or the banks do not fit into the memory that is free.
        """
        super().__init__()
        positive_int("images", images)
        positive_int("dim", dim)
        if not 0 <= momentum < 1:
            raise LrfaceError(f"momentum is {momentum!r}: give a number from 0 to below 1")
        needed, free = bank_bytes(images, dim), free_bytes()
        if needed > free:
            raise LrfaceError(
                f"two banks of {images} x {dim} need {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are "
                "free: lower dim, or train on fewer images"
            )
        self.momentum = float(momentum)
        limit = math.sqrt(3 / dim)
        for name in ("student", "teacher"):
            noise = (2 * torch.rand(images, dim) - 1) * limit
            self.register_buffer(name, F.normalize(noise) if unit else noise)

    @torch.no_grad()
    def update(self, index: Tensor, student: Tensor, teacher: Tensor) -> None:
        """Average new unit embeddings ``[B, dim]`` into the rows ``index``."""
        for bank, new in ((self.student, student), (self.teacher, teacher)):
            mixed = self.momentum * bank[index] + (1 - self.momentum) * new.to(bank)
            bank[index] = F.normalize(mixed)

    def __repr__(self) -> str:
        return f"two banks of {len(self.student)} x {self.student.shape[1]}"


def free_bytes() -> float:
    """Free memory of the machine; unlimited where the system does not tell."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return math.inf


class Negatives(nn.Module):
    """Draws training samples of any class but a given sample's own, each with the same chance, with replacement.

    The samples are sorted by class once: memory for a few times N numbers, where a list of negatives for each class would
    take N x classes. A label below 0 says that nobody knows the class: such a sample is a class of its own. Draws come
    from torch's global generator on the CPU, which checkpoints carry.
    """

    classes: Tensor
    order: Tensor
    start: Tensor
    size: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        """``labels`` int64 ``[N]``; ``count`` negatives a sample. Raises LrfaceError without a second class."""
        super().__init__()
        self.count = positive_int("negatives", count)
        own = labels.max() + 1 + torch.arange(len(labels))
        classes = torch.unique(torch.where(labels < 0, own, labels), return_inverse=True)[1]
        sizes = torch.bincount(classes)
        if len(sizes) < 2:
            raise LrfaceError("negatives are samples of another class, and the training set has one class only")
        self.register_buffer("classes", classes, persistent=False)
        self.register_buffer("order", torch.argsort(classes, stable=True), persistent=False)
        self.register_buffer("start", sizes.cumsum(0) - sizes, persistent=False)
        self.register_buffer("size", sizes, persistent=False)

    def forward(self, index: Tensor) -> Tensor:
        """int64 ``[B, count]`` for the samples ``index`` ``[B]``."""
        own = self.classes[index]
        start, size = self.start[own, None], self.size[own, None]
        uniform = torch.rand(len(index), self.count, dtype=torch.float64).to(index.device)
        others = len(self.order) - size
        drawn = torch.minimum((uniform * others).long(), others - 1)
        return self.order[torch.where(drawn >= start, drawn + size, drawn)]


def noise_contrast(logits: Tensor, images: int, log_z: Tensor) -> Tensor:
    """CRD's loss of scores s / T, the first of each row positive: summed over the row, mean over the rows.

    Args:
        logits: float ``[R, 1 + K]``, not yet divided by Z.
        images: N, of the noise distribution 1 / N.
        log_z: scalar, the logarithm of Z.

    With P = exp(s / T) / Z and c = K / N + 1e-7 (the reference adds the latter) this is -log(P / (P + c)) for the
    positive and -log(K / N / (P + c)) for a negative, computed without P itself, which leaves the range of a float.
    """
    share = (logits.shape[1] - 1) / images
    log_c = math.log(share + 1e-7)
    ratio = logits - log_z - log_c
    positive = F.softplus(-ratio[:, 0])
    negative = F.softplus(ratio[:, 1:]) + (log_c - math.log(share))
    return positive.mean() + negative.sum(1).mean()


def estimated_log_z(logits: Tensor, images: int) -> Tensor:
    """log(N x mean of exp(s / T)): what the reference takes for log Z, from the first batch."""
    return logits.detach().logsumexp((0, 1)) - math.log(logits.numel()) + math.log(images)

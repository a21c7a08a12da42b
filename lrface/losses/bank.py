"""Memory banks of whole training sets, from which contrastive distillation draws negatives of other classes."""

import math
import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import positive_int


def bank_bytes(images: int, dim: int) -> int:
    """Memory of the two banks in bytes."""
    return 2 * 4 * images * dim


class Banks(nn.Module):
    """For each network a row for every training sample: a running average of its unit embeddings.

    Both banks are buffers, so that a checkpoint contains them. They start as uniform noise, as in CRD's code.
    """

    student: Tensor
    teacher: Tensor

    def __init__(self, images: int, dim: int, momentum: float, unit: bool = False) -> None:
        """Create the banks.

        Args:
            images: number of training samples.
            dim: length of the embeddings.
            momentum: of the running average, from 0 to below 1.
            unit: scale the noise to unit length, as CRCD's code does.

        Raises:
            LrfaceError: a value is out of range, or the banks do not fit into the free memory.
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
        """Average new unit embeddings ``[B, dim]`` into the rows ``index`` ``[B]``."""
        for bank, new in ((self.student, student), (self.teacher, teacher)):
            mixed = self.momentum * bank[index] + (1 - self.momentum) * new.to(bank)
            bank[index] = F.normalize(mixed)

    def __repr__(self) -> str:
        return f"two banks of {len(self.student)} x {self.student.shape[1]}"


def free_bytes() -> float:
    """Free memory of the machine in bytes; infinite if the system does not report it."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return math.inf


class Negatives(nn.Module):
    """Draws training samples of any class but a given sample's own, uniformly and with replacement.

    The samples are sorted by class once. This takes memory for a few times N numbers; a list of negatives for each class
    would take N x classes. A label below 0 means an unknown class: such a sample is a class of its own. The draws use torch's
    global generator on the CPU, which is part of a checkpoint.
    """

    classes: Tensor
    order: Tensor
    start: Tensor
    size: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        """``labels``: int64 ``[N]``. ``count``: negatives per sample. Raises LrfaceError unless there are two classes."""
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
        """Draw negatives for the samples ``index`` ``[B]``: int64 ``[B, count]``."""
        own = self.classes[index]
        start, size = self.start[own, None], self.size[own, None]
        uniform = torch.rand(len(index), self.count, dtype=torch.float64).to(index.device)
        others = len(self.order) - size
        drawn = torch.minimum((uniform * others).long(), others - 1)
        return self.order[torch.where(drawn >= start, drawn + size, drawn)]


def noise_contrast(logits: Tensor, images: int, log_z: Tensor) -> Tensor:
    """CRD's loss for scores s / T: sum over each row, mean over the rows. The first score of a row is the positive.

    Args:
        logits: float ``[R, 1 + K]``, not yet divided by Z.
        images: N, of the noise distribution 1 / N.
        log_z: scalar, the logarithm of Z.

    With P = exp(s / T) / Z and c = K / N + 1e-7 (the small number is in the reference too), the loss is -log(P / (P + c))
    for the positive and -log(K / N / (P + c)) for a negative. P itself is not computed, because it can leave the range of a
    float.
    """
    share = (logits.shape[1] - 1) / images
    log_c = math.log(share + 1e-7)
    ratio = logits - log_z - log_c
    positive = F.softplus(-ratio[:, 0])
    negative = F.softplus(ratio[:, 1:]) + (log_c - math.log(share))
    return positive.mean() + negative.sum(1).mean()


def estimated_log_z(logits: Tensor, images: int) -> Tensor:
    """log(N x mean of exp(s / T)), the reference's estimate of log Z from the first batch; scalar."""
    return logits.detach().logsumexp((0, 1)) - math.log(logits.numel()) + math.log(images)

"""CRD: contrastive representation distillation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.losses.bank import Banks, Negatives, bank_bytes, estimated_log_z, noise_contrast
from lrface.losses.checks import positive_float
from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part


@method("crd")
class CRD(Method):
    """Noise-contrastive estimation of which teacher embedding belongs to which student embedding, in both directions.

    Tian, Krishnan and Isola, "Contrastive representation distillation", ICLR 2020 (arXiv 1910.10699), Eq. 10 and 18-19.
    Reference: RepDistiller: weight 0.8, two banks of N x 128, 16,384 negatives of other classes, temperature 0.07, momentum
    0.5, Z fixed after the first batch. It draws negatives without replacement if a class has enough; here they are drawn
    with replacement. Scores come from one product with the whole bank, so that no [B, K, 128] tensor is needed.
    """

    needs = ("embedding",)
    weight = 0.8
    log_z: Tensor

    def __init__(
        self, setting: Setting, dim: int = 128, negatives: int = 16_384, temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:  # fmt: skip
        """``dim``: length of the projections. ``momentum``: of the banks."""
        super().__init__()
        ours, theirs = embedding_sizes(setting, self.name)
        self.temperature = positive_float("temperature", temperature)
        self.images = len(setting.labels)
        self.banks = Banks(self.images, dim, momentum)
        self.negatives = Negatives(setting.labels, negatives)
        self.student_map, self.teacher_map = nn.Linear(ours, dim), nn.Linear(theirs, dim)
        self.register_buffer("log_z", torch.full((2,), math.nan))  # NaN until the first batch
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def note(self) -> str:
        size = bank_bytes(self.images, self.banks.student.shape[1]) / 2**20
        return f"{self.name}: {self.banks!r}, {size:.0f} MiB"

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        chosen = torch.cat([index[:, None], self.negatives(index)], 1)
        return self.contrast(part(student, "embedding"), part(teacher, "embedding"), index, chosen)

    def contrast(self, student: Tensor, teacher: Tensor, index: Tensor, chosen: Tensor) -> Tensor:
        """The loss for given candidates int64 ``[B, 1 + K]`` of each sample; the first one is the sample itself."""
        ours, theirs = F.normalize(self.student_map(student)), F.normalize(self.teacher_map(teacher))
        self._seen = (index, ours.detach(), theirs.detach())
        parts = []
        for side, (query, bank) in enumerate(((ours, self.banks.teacher), (theirs, self.banks.student))):
            logits = (query @ bank.to(query).T).gather(1, chosen) / self.temperature
            parts.append(noise_contrast(logits, self.images, self._log_z(side, logits)))
        return parts[0] + parts[1]

    def _log_z(self, side: int, logits: Tensor) -> Tensor:
        if bool(self.log_z[side].isnan()):
            self.log_z[side] = estimated_log_z(logits, self.images)
        return self.log_z[side].to(logits)

    def remember(self) -> None:
        if self.training and self._seen is not None:
            self.banks.update(*self._seen)
            self._seen = None

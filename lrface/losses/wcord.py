"""WCoRD: Wasserstein contrastive representation distillation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lrface.losses.bank import Banks, Negatives, bank_bytes
from lrface.losses.checks import positive_float, positive_int
from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part


@method("wcord")
class WCoRD(Method):
    """CRD in the dual form of the Wasserstein distance, and its primal form within the batch.

    Chen et al., "Wasserstein contrastive representation distillation", CVPR 2021 (arXiv 2012.08674). The authors published
    no code, and the full text of the paper was not available. This is an interpretation of its abstract, including the
    default weights. The tests compare it only with a second implementation of the same interpretation.

    - Global, dual: the mean critic of the negatives minus that of the positives. The critic is the inner product of the two
      projections (spectrally normalised linear maps of unit embeddings) divided by the temperature. Negatives come from
      CRD's banks. Both directions are summed. Weight ``dual``, 0.8.
    - Local, primal: sum(P * C) over the batch. C = 1 - cosine of the projections. P is the plan after ``iterations`` steps of
      Sinkhorn with entropy ``epsilon`` and equal marginals, computed without gradient. Weight ``primal``, 0.05.
    """

    needs = ("embedding",)
    weight = 1.0

    def __init__(
        self, setting: Setting, dim: int = 128, negatives: int = 16_384, temperature: float = 0.07,
        momentum: float = 0.5, dual: float = 0.8, primal: float = 0.05, epsilon: float = 0.1, iterations: int = 50,
    ) -> None:  # fmt: skip
        """``dim``: length of the projections. ``momentum``: of the banks. ``dual``, ``primal``: weights of the two parts."""
        super().__init__()
        ours, theirs = embedding_sizes(setting, self.name)
        self.temperature, self.epsilon = positive_float("temperature", temperature), positive_float("epsilon", epsilon)
        self.iterations = positive_int("iterations", iterations)
        self.dual, self.primal, self.images = float(dual), float(primal), len(setting.labels)
        self.banks = Banks(self.images, dim, momentum, unit=True)
        self.negatives = Negatives(setting.labels, negatives)
        self.student_map, self.teacher_map = spectral_norm(nn.Linear(ours, dim)), spectral_norm(nn.Linear(theirs, dim))
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def note(self) -> str:
        size = bank_bytes(self.images, self.banks.student.shape[1]) / 2**20
        return f"{self.name}: {self.banks!r}, {size:.0f} MiB"

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        return self.contrast(part(student, "embedding"), part(teacher, "embedding"), index, self.negatives(index))

    def contrast(self, student: Tensor, teacher: Tensor, index: Tensor, negatives: Tensor) -> Tensor:
        """The loss for given negatives int64 ``[B, K]`` of each sample."""
        ours, theirs = self.student_map(F.normalize(student)), self.teacher_map(F.normalize(teacher))
        self._seen = (index, ours.detach(), theirs.detach())
        total = ours.new_zeros(())
        for query, bank in ((ours, self.banks.teacher), (theirs, self.banks.student)):
            scores = query @ bank.to(query).T / self.temperature
            total = total + scores.gather(1, negatives).mean() - scores.gather(1, index[:, None]).mean()
        return self.dual * total + self.primal * self.transport(ours, theirs)

    def transport(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The primal part: the cost of transporting one batch of projections to the other; scalar."""
        cost = 1 - F.normalize(student) @ F.normalize(teacher).T
        return (sinkhorn(cost.detach(), self.epsilon, self.iterations) * cost).sum()

    def remember(self) -> None:
        if self.training and self._seen is not None:
            self.banks.update(*self._seen)
            self._seen = None


def sinkhorn(cost: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The plan ``[B, B]`` of entropic transport with marginals 1 / B, by ``iterations`` steps on logarithms."""
    kernel = -cost / epsilon
    log_mass = -math.log(len(cost))
    right = torch.zeros_like(cost[0])
    for _ in range(iterations):
        left = log_mass - (kernel + right).logsumexp(1)
        right = log_mass - (kernel + left[:, None]).logsumexp(0)
    return (kernel + left[:, None] + right).exp()

"""DKD: decoupled knowledge distillation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.losses.checks import positive_float
from lrface.losses.method import Method, Outputs, Setting, method, part


@method("dkd")
class DKD(Method):
    """The two parts of KD with separate weights: the true class against the rest, and the rest among themselves.

    Zhao et al., "Decoupled knowledge distillation", CVPR 2022 (arXiv 2203.08679), Eq. 7. Reference: mdistiller: alpha 1,
    beta 8 (2 to 8, depending on the pair of networks), temperature 4, weight 1. It also increases the loss over the first
    20 epochs; here the weight is constant.
    """

    needs = ("logits",)
    weight = 1.0

    def __init__(self, setting: Setting, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0) -> None:
        """``alpha``, ``beta``: weights of the target and of the non-target part. Raises LrfaceError for a temperature <= 0."""
        super().__init__()
        self.alpha, self.beta = float(alpha), float(beta)
        self.temperature = positive_float("temperature", temperature)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        ours, theirs = part(student, "logits") / self.temperature, part(teacher, "logits") / self.temperature
        target = F.one_hot(labels, ours.shape[1]).bool()
        binary = _divergence(_binary(ours, target), _binary(theirs, target))
        shape = (len(ours), ours.shape[1] - 1)
        rest = _divergence(ours[~target].view(shape).log_softmax(1), theirs[~target].view(shape).log_softmax(1))
        return self.temperature**2 * (self.alpha * binary + self.beta * rest)


def _binary(logits: Tensor, target: Tensor) -> Tensor:
    """Logarithms of the probabilities of the true class and of all others together, ``[B, 2]``."""
    logs = logits.log_softmax(1)
    return torch.stack([logs[target], logs.masked_fill(target, -torch.inf).logsumexp(1)], 1)


def _divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    return F.kl_div(ours, theirs, log_target=True, reduction="sum") / max(len(ours), 1)

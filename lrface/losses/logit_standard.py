"""Logit standardization: KD that compares the shape of the logits and not their magnitude."""

import torch.nn.functional as F
from torch import Tensor

from lrface.losses.checks import positive_float
from lrface.losses.method import Method, Outputs, Setting, method, part

_EPS = 1e-7


@method("logit_standard")
class LogitStandard(Method):
    """KD of standardised logits: each sample's mean is subtracted, and the result is divided by its standard deviation.

    Sun et al., "Logit standardization in knowledge distillation", CVPR 2024 (arXiv 2403.01427), Algorithm 1:
    temperature^2 x KL of the softmax of z / temperature with z = (logits - mean) / (deviation + 1e-7). The defaults are the
    authors': temperature 2, weight 9.
    """

    needs = ("logits",)
    weight = 9.0

    def __init__(self, setting: Setting, temperature: float = 2.0) -> None:
        """``temperature``: of the softmax of the standardised logits. Raises LrfaceError unless it is above 0."""
        super().__init__()
        self.temperature = positive_float("temperature", temperature)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        ours, theirs = (self._log_probabilities(part(each, "logits")) for each in (student, teacher))
        return self.temperature**2 * F.kl_div(ours, theirs, log_target=True, reduction="batchmean")

    def _log_probabilities(self, logits: Tensor) -> Tensor:
        centred = logits - logits.mean(1, keepdim=True)
        # The root of a sum above 0, so that logits that are all equal have a finite slope too.
        deviation = (centred.square().sum(1, keepdim=True) / (logits.shape[1] - 1)).clamp_min(_EPS**2).sqrt()
        return (centred / ((deviation + _EPS) * self.temperature)).log_softmax(1)

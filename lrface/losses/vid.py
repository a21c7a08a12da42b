"""VID: variational information distillation."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.losses.checks import positive_float
from lrface.losses.connectors import same_side
from lrface.losses.method import Method, Outputs, Setting, common_stages, method, part


class Regressor(nn.Module):
    """Predicts the teacher's map from the student's: its mean, and a variance for each channel."""

    def __init__(self, student: int, teacher: int, variance: float, eps: float) -> None:
        super().__init__()
        widths = (student, teacher, teacher, teacher)
        layers = [nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(widths)]
        self.mean = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        # The inverse of the softplus, so that the variance starts at `variance`.
        self.log_scale = nn.Parameter(torch.full((teacher,), math.log(math.expm1(variance - eps))))
        self.eps = eps

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean negative log-likelihood without its constant; scalar."""
        student, teacher = same_side(student, teacher)
        variance = F.softplus(self.log_scale)[:, None, None] + self.eps
        return 0.5 * ((self.mean(student) - teacher).square() / variance + variance.log()).mean()


@method("vid")
class VID(Method):
    """Negative log-likelihood of the teacher's maps, under Gaussians that are regressed from the student's maps.

    Ahn et al., "Variational information distillation for knowledge transfer", CVPR 2019 (arXiv 1904.05835), Eq. 5-6.
    Reference: RepDistiller after the authors' code: weight 1, all stages after the stem, variance 5 at the start.
    """

    needs = ("maps",)
    weight = 1.0

    def __init__(self, setting: Setting, variance: float = 5.0, eps: float = 1e-5) -> None:
        """``variance``: at the start. ``eps``: the lower limit. Raises LrfaceError unless variance > eps > 0."""
        super().__init__()
        variance, eps = positive_float("variance", variance), positive_float("eps", eps)
        positive_float("variance - eps", variance - eps)
        ours, theirs = setting.student.maps or (), setting.teacher.maps or ()
        self.regressors = nn.ModuleList(
            Regressor(ours[stage][0], theirs[stage][0], variance, eps)
            for stage in range(1, common_stages(setting, self.name) + 1)
        )

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        pairs = zip(part(student, "maps")[1:], part(teacher, "maps")[1:], strict=False)
        found = [regressor(*pair) for regressor, pair in zip(self.regressors, pairs, strict=False)]
        return torch.stack(found).sum()

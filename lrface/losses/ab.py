"""AB: activation boundaries, the side of its threshold on which every neuron of the teacher is."""

import torch
from torch import Tensor, nn

from lrface.losses.checks import positive_float
from lrface.losses.connectors import MapRegressor, target
from lrface.losses.method import Method, Outputs, Setting, common_stages, method, part, zero_of


@method("ab")
class AB(Method):
    """Hinge loss: each regressed neuron, before the activation, shall have the teacher's sign with at least ``margin``.

    Heo et al., "Knowledge transfer via distillation of activation boundaries formed by hidden neurons", AAAI 2019
    (arXiv 1811.03233), Eq. 6. It is a preliminary stage: the student's trunk learns with this loss first, and then with the
    task alone. Reference: RepDistiller, which follows the authors' code. Stages have the weights 2^(i - last). The sum is
    divided by the batch size and multiplied by 3 / 1000. The default weight is 1.
    """

    needs = ("preacts",)
    weight = 1.0
    staged = True

    def __init__(self, setting: Setting, margin: float = 1.0) -> None:
        """``margin``: the distance from the threshold that a neuron must have. Raises LrfaceError unless it is above 0."""
        super().__init__()
        self.margin = positive_float("margin", margin)
        self.stages = common_stages(setting, self.name)
        ours, theirs = setting.student.maps or (), setting.teacher.maps or ()
        self.connectors = nn.ModuleList(
            nn.Identity() if ours[stage] == theirs[stage] else MapRegressor(ours[stage], theirs[stage], relu=False)
            for stage in range(1, self.stages + 1)
        )

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        return zero_of(part(student, "preacts")[-1])

    def first_loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        total = part(student, "preacts")[0].new_zeros(())
        for stage in range(1, self.stages + 1):
            ours = self.connectors[stage - 1](part(student, "preacts")[stage])
            found = self._hinge(ours, target(part(teacher, "preacts")[stage], ours)).sum()
            total = total + 2.0 ** (stage - self.stages) * found
        return total * (3 / 1000) / len(labels)

    def _hinge(self, student: Tensor, teacher: Tensor) -> Tensor:
        sign = torch.where(teacher > 0, -1.0, 1.0).to(student.dtype)
        return (sign * student + self.margin).clamp_min(0).square()

"""FitNet: regression of a hidden layer of the teacher, the hint."""

import torch.nn.functional as F
from torch import Tensor

from lrface.losses.connectors import MapRegressor, target
from lrface.losses.method import Method, Outputs, Setting, method, part, stage_of, zero_of


@method("fitnet")
class FitNet(Method):
    """Mean squared error between a regressed student map and the teacher's map of one stage.

    Romero et al., "FitNets: Hints for thin deep nets", ICLR 2015 (arXiv 1412.6550), Eq. 3, without its factor 1/2.
    Reference: RepDistiller: weight 100, stage 2, a convolution with batch norm and ReLU as the regressor, trained together
    with the student. The paper trains student and regressor on the hint first, and then without it: ``paper: true``.
    """

    needs = ("maps",)
    weight = 100.0

    def __init__(self, setting: Setting, stage: int = 2, paper: bool = False) -> None:
        """``stage``: 0 is the stem. ``paper``: use the hint only in a preliminary stage before the training."""
        super().__init__()
        self.stage, self.staged = stage, paper
        student = stage_of(setting.student, stage, "student", self.name)
        self.regressor = MapRegressor(student, stage_of(setting.teacher, stage, "teacher", self.name))

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        if self.staged:
            return zero_of(part(student, "maps")[self.stage])
        return self.first_loss(student, teacher, labels, index)

    def first_loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        found = self.regressor(part(student, "maps")[self.stage])
        return F.mse_loss(found, target(part(teacher, "maps")[self.stage], found))

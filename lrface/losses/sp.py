"""SP: similarity-preserving distillation."""

import torch.nn.functional as F
from torch import Tensor

from lrface.losses.method import Method, Outputs, Setting, method, part, stage_of


@method("sp")
class SP(Method):
    """Squared difference of the batch's similarity matrices, each row scaled to unit length, divided by B^2.

    Tung and Mori, "Similarity-preserving knowledge distillation", ICCV 2019 (arXiv 1907.09682), Eq. 1-4. Reference:
    RepDistiller: weight 3000, the map of the last stage.
    """

    needs = ("maps",)
    weight = 3000.0

    def __init__(self, setting: Setting, stage: int = -1) -> None:
        """``stage``: of the map; 0 is the stem, -1 the last. Raises LrfaceError if a network has no such stage."""
        super().__init__()
        self.stage = stage
        stage_of(setting.student, stage, "student", self.name)
        stage_of(setting.teacher, stage, "teacher", self.name)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        ours, theirs = (_similarity(part(each, "maps")[self.stage]) for each in (student, teacher))
        return (theirs - ours).square().mean()


def _similarity(maps: Tensor) -> Tensor:
    flat = maps.flatten(1)
    return F.normalize(flat @ flat.T)

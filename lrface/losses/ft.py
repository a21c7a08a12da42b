"""FT: factor transfer. The student learns to translate its features into a paraphrase of the teacher's."""

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.connectors import same_side
from lrface.losses.method import Method, Outputs, Setting, method, part, stage_of


def _layers(widths: list[int], norm: bool, up: bool = False) -> nn.Sequential:
    """3x3 convolutions of stride 1 (or their transposes), each followed by a leaky ReLU."""
    made: list[tuple[str, nn.Module]] = []
    for number, (inner, outer) in enumerate(pairwise(widths)):
        made.append((f"conv{number}", (nn.ConvTranspose2d if up else nn.Conv2d)(inner, outer, 3, 1, 1)))
        if norm:
            made.append((f"bn{number}", nn.BatchNorm2d(outer)))
        made.append((f"act{number}", nn.LeakyReLU(0.1)))
    return nn.Sequential(OrderedDict(made))


@method("ft")
class FT(Method):
    """L1 distance of unit factors: those of the teacher's paraphraser and those of the student's translator.

    Kim, Park and Kwak, "Paraphrasing complex network: network compression via factor transfer", NeurIPS 2018
    (arXiv 1802.04977), Eq. 1-3. A preliminary stage trains the paraphraser to rebuild the teacher's last map from its
    factor; afterwards it is fixed. Reference: RepDistiller: weight 200, half of the teacher's channels. RepDistiller first
    reduces each factor to its mean square over channels, as attention transfer does. The paper does not: ``paper: true``.
    """

    needs = ("maps",)
    weight = 200.0
    staged = True
    before_lr = 0.01  # RepDistiller's for the thin ResNets; at 0.05 the paraphraser diverges

    def __init__(self, setting: Setting, rate: float = 0.5, stage: int = -1, paper: bool = False) -> None:
        """``rate``: channels of the factor as a fraction of the teacher's. ``stage``: of the maps; -1 is the last."""
        super().__init__()
        inner = stage_of(setting.student, stage, "student", self.name)[0]
        outer = stage_of(setting.teacher, stage, "teacher", self.name)[0]
        factor = int(outer * rate)
        if factor < 1:
            raise LrfaceError(f"ft: rate {rate!r} of {outer} channels leaves none: give a larger one")
        self.stage, self.paper = stage, paper
        self.paraphraser = _layers([outer, outer, factor, factor], norm=False)
        self.decoder = _layers([factor, factor, outer, outer], norm=False, up=True)
        self.translator = _layers([inner, inner, factor, factor], norm=True)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = self.paraphraser(part(teacher, "maps")[self.stage])
        ours, theirs = same_side(self.translator(part(student, "maps")[self.stage]), theirs)
        return (self._unit(ours) - self._unit(theirs)).abs().mean()

    def first_loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        maps = part(teacher, "maps")[self.stage]
        return F.mse_loss(self.decoder(self.paraphraser(maps)), maps)

    def _unit(self, factor: Tensor) -> Tensor:
        return F.normalize((factor if self.paper else factor.square().mean(1)).flatten(1))

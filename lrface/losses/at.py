"""AT: attention transfer, which compares where two networks have strong activations."""

import torch.nn.functional as F
from torch import Tensor

from lrface.losses.checks import positive_float
from lrface.losses.connectors import same_side
from lrface.losses.method import Method, Outputs, Setting, common_stages, method, part


@method("at")
class AT(Method):
    """Squared difference of unit attention maps (the mean over channels of f^p), summed over the stages.

    Zagoruyko and Komodakis, "Paying more attention to attention", ICLR 2017 (arXiv 1612.03928), Eq. 2. Reference:
    RepDistiller and the authors' code: p 2, weight 1000, all stages after the stem. They take the mean over positions and
    batch, where the paper takes the norm: ``paper: true`` (then use the paper's weight, 500).
    """

    needs = ("maps",)
    weight = 1000.0

    def __init__(self, setting: Setting, p: float = 2, paper: bool = False) -> None:
        """``p``: the exponent. ``paper``: use the norm of the difference instead of its mean square."""
        super().__init__()
        self.p, self.paper = positive_float("p", p), paper
        self.stages = common_stages(setting, self.name)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        total = part(student, "maps")[0].new_zeros(())
        for stage in range(1, self.stages + 1):
            pair = same_side(part(student, "maps")[stage], part(teacher, "maps")[stage])
            difference = self._attention(pair[0]) - self._attention(pair[1])
            total = total + (difference.norm(dim=1).mean() if self.paper else difference.square().mean())
        return total

    def _attention(self, maps: Tensor) -> Tensor:
        values = maps.square() if self.p == 2 else maps.abs().pow(self.p)
        return F.normalize(values.mean(1).flatten(1))

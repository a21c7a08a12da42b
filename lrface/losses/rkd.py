"""RKD: relational knowledge distillation, the distances and angles within a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part

_EPS = 1e-12


@method("rkd")
class RKD(Method):
    """Huber losses of all distances, in units of their mean, and of all angles between three samples.

    Park et al., "Relational knowledge distillation", CVPR 2019 (arXiv 1904.05068), Eq. 4-8. Reference: RepDistiller and the
    authors' code: weights 25 (distance) and 50 (angle) within the method, weight 1. A batch of one sample has no relation,
    and its loss is 0.
    """

    needs = ("embedding",)
    weight = 1.0

    def __init__(self, setting: Setting, distance: float = 25.0, angle: float = 50.0) -> None:
        """``distance``, ``angle``: weights of the two parts."""
        super().__init__()
        embedding_sizes(setting, self.name)
        self.distance, self.angle = float(distance), float(angle)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        ours, theirs = part(student, "embedding"), part(teacher, "embedding")
        distance = F.smooth_l1_loss(_distances(ours), _distances(theirs))
        return self.distance * distance + self.angle * F.smooth_l1_loss(_angles(ours), _angles(theirs))


def _distances(embeddings: Tensor) -> Tensor:
    """All distances ``[B, B]``, divided by the mean of those above 0."""
    squares = embeddings.square().sum(1)
    found = (squares[:, None] + squares - 2 * embeddings @ embeddings.T).clamp_min(_EPS).sqrt()
    found = found.masked_fill(torch.eye(len(found), dtype=torch.bool, device=found.device), 0)
    positive = found > 0
    return found / ((found * positive).sum() / positive.sum().clamp_min(1)).clamp_min(_EPS)


def _angles(embeddings: Tensor) -> Tensor:
    """Cosines ``[B, B, B]`` of the angles at the first sample between the other two."""
    unit = F.normalize(embeddings[None] - embeddings[:, None], dim=2)
    return unit @ unit.mT

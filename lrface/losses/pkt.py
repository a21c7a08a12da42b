"""PKT: probabilistic knowledge transfer, the neighbours of every sample in the batch."""

import torch
from torch import Tensor

from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part

_EPS = 1e-7


@method("pkt")
class PKT(Method):
    """Kullback-Leibler divergence of the batch's affinities: cosines scaled to 0..1, and to the sum 1 in each row.

    Passalis and Tefas, "Learning deep representations with probabilistic knowledge transfer", ECCV 2018
    (arXiv 1803.10837), Eq. 3-6. Reference: RepDistiller and the authors' code: weight 30,000, the mean over all pairs. The
    paper has the sum: ``paper: true``.
    """

    needs = ("embedding",)
    weight = 30_000.0

    def __init__(self, setting: Setting, paper: bool = False) -> None:
        """``paper``: take the sum over the pairs instead of their mean."""
        super().__init__()
        embedding_sizes(setting, self.name)
        self.paper = paper

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        p, q = _affinities(part(teacher, "embedding")), _affinities(part(student, "embedding"))
        terms = p * torch.log((p + _EPS) / (q + _EPS))
        return terms.sum() if self.paper else terms.mean()


def _affinities(embeddings: Tensor) -> Tensor:
    unit = embeddings / (torch.linalg.vector_norm(embeddings, dim=1, keepdim=True) + _EPS)
    values = (unit @ unit.T + 1) / 2
    return values / values.sum(1, keepdim=True)

"""Feature relation module: the learned vector that describes one sample as seen from another (CRRCD, Eq. 1)."""

import torch
from torch import Tensor, nn

from lrface.losses.checks import positive_int


class FeatureRelation(nn.Module):
    """F(a, b) = W_out ReLU(W_a a - W_b b).

    W_a and W_b project before the subtraction, so that all anchors x all others cost one small matmul a side and a
    broadcast. W_b has no bias of its own: under the subtraction it would be one with that of W_a.
    """

    def __init__(self, anchor_dim: int, other_dim: int, projected_dim: int = 128) -> None:
        """Dimensions of ``a``, of ``b`` and of the relation. Raises LrfaceError unless all are 1 or more."""
        super().__init__()
        positive_int("projected_dim", projected_dim)
        self.anchor = nn.Linear(positive_int("anchor_dim", anchor_dim), projected_dim)
        self.other = nn.Linear(positive_int("other_dim", other_dim), projected_dim, bias=False)
        self.out = nn.Linear(projected_dim, projected_dim)

    def forward(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Relations [A, O, P] of all rows of ``anchors`` [A, anchor_dim] with all rows of ``others`` [O, other_dim]."""
        return self.out(hidden(self.anchor(anchors), self.other(others)))

    def composed(self, head: nn.Linear) -> tuple[Tensor, Tensor]:
        """Weight [Q, P] and bias [Q] of ``head`` applied after W_out.

        The two have no nonlinearity between them, so they are one linear map: multiplying the small matrices first, the
        big [A, O, P] tensor is multiplied once instead of twice (and its gradient twice instead of four times). Equal
        to the two steps up to rounding.
        """
        return head.weight @ self.out.weight, torch.addmv(head.bias, head.weight, self.out.bias)


def hidden(anchors: Tensor, others: Tensor) -> Tensor:
    """ReLU(a - b), [A, O, P], of projected ``anchors`` [A, P] and ``others`` [O, P], all with all."""
    return (anchors[:, None] - others[None]).relu_()

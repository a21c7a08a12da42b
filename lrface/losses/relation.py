"""Feature relation module: a learned vector that describes one sample relative to another (CRRCD, Eq. 1)."""

import torch
from torch import Tensor, nn

from lrface.losses.checks import positive_int


class FeatureRelation(nn.Module):
    """F(a, b) = W_out ReLU(W_a a - W_b b).

    W_a and W_b project before the subtraction. So the relations of all anchors with all others cost one small matrix product
    per side and a broadcast. W_b has no bias, because it could not be distinguished from the bias of W_a.
    """

    def __init__(self, anchor_dim: int, other_dim: int, projected_dim: int = 128) -> None:
        """Dimensions of ``a``, of ``b`` and of the relation. Raises LrfaceError unless all are 1 or more."""
        super().__init__()
        positive_int("projected_dim", projected_dim)
        self.anchor = nn.Linear(positive_int("anchor_dim", anchor_dim), projected_dim)
        self.other = nn.Linear(positive_int("other_dim", other_dim), projected_dim, bias=False)
        self.out = nn.Linear(projected_dim, projected_dim)

    def forward(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Relations ``[A, O, P]`` of all rows of ``anchors`` ``[A, anchor_dim]`` with all of ``others`` ``[O, other_dim]``."""
        return self.out(hidden(self.anchor(anchors), self.other(others)))

    def composed(self, head: nn.Linear) -> tuple[Tensor, Tensor]:
        """Weight ``[Q, P]`` and bias ``[Q]`` of W_out followed by ``head``.

        There is no nonlinearity between the two, so they are one linear map. The small matrices are multiplied first. The large
        [A, O, P] tensor is then multiplied once instead of twice, and its gradient twice instead of four times. The result
        equals that of the two steps up to rounding.
        """
        return head.weight @ self.out.weight, torch.addmv(head.bias, head.weight, self.out.bias)


def hidden(anchors: Tensor, others: Tensor) -> Tensor:
    """ReLU(a - b), ``[A, O, P]``, for all pairs of projected ``anchors`` ``[A, P]`` and ``others`` ``[O, P]``."""
    return (anchors[:, None] - others[None]).relu_()

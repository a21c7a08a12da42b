"""Small modules that bring a student's feature map to the size of the teacher's."""

import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int, int]


class MapRegressor(nn.Module):
    """A convolution and a batch norm from a map of one size to a map of another size (RepDistiller's ``ConvReg``).

    At low resolution a student's map can have less than half the teacher's side. It then keeps its side, and ``target``
    averages the teacher's map down to it. The reference does not handle this case.

    Args:
        student, teacher: channels, height and width; maps are square.
        relu: end with a ReLU, for targets that come from a ReLU themselves.
    """

    def __init__(self, student: Size, teacher: Size, relu: bool = True) -> None:
        super().__init__()
        (inner, side, _), (outer, wanted, _) = student, teacher
        self.conv: nn.Module
        if side == 2 * wanted:
            self.conv = nn.Conv2d(inner, outer, 3, stride=2, padding=1)
        elif 2 * side == wanted:
            self.conv = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)
        elif side >= wanted:
            self.conv = nn.Conv2d(inner, outer, 1 + side - wanted)
        else:
            self.conv = nn.Conv2d(inner, outer, 1)
        self.bn = nn.BatchNorm2d(outer)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map the student's features, float ``[B, c, h, w]``, to the teacher's size."""
        x = self.bn(self.conv(x))
        return F.relu(x) if self.relu else x


def target(teacher: Tensor, found: Tensor) -> Tensor:
    """The teacher's map, averaged down to the side of a regressor's output if it is larger."""
    return teacher if teacher.shape[2] <= found.shape[2] else F.adaptive_avg_pool2d(teacher, found.shape[2])


def same_side(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps with the smaller of the two sides; the larger map is averaged down."""
    side, other = student.shape[2], teacher.shape[2]
    if side > other:
        return F.adaptive_avg_pool2d(student, other), teacher
    if side < other:
        return student, F.adaptive_avg_pool2d(teacher, side)
    return student, teacher

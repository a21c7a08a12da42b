"""ResNet18 for low resolution, the student, and ResNet16, a smaller one.

The blocks are torchvision's, and the trunk has torchvision's names (``conv1``, ``bn1``, ``layer1`` .. ``layer4``). The head is
the usual one for face recognition: in an aligned face the eyes and the mouth have known positions, so the last map is
flattened and not averaged.

Cost of one 16 px face, 512-d (millions of parameters and of multiply-accumulates):

| stem | width | parameters | MACs |
| --- | --- | --- | --- |
| native | 64 | 12.22 M | 139.9 M |
| native | 32 | 3.32 M | 35.3 M |
| upsample | 64 | 15.37 M | 489.0 M |
| native (resnet16) | 32, 64, 96, 128 | 1.29 M | 20.8 M |

resnet16 is made for low latency. Its channels are multiples of 16, which processors handle in one block, and they grow slowly,
so that most of the work is done at high resolution. It needs a fifth of the time of a depthwise network of the same size.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from lrface.errors import LrfaceError
from lrface.models.checks import check_count, check_dropout, check_input

ENLARGED = 112  # side of the enlarged image of the "upsample" stem
STEMS = ("native", "upsample")


class LowResolutionResNet(nn.Module):
    """ResNet of torchvision BasicBlocks for small square images.

    Args:
        depths: residual blocks in each of the four stages.
        stem: ``"native"``: a 3x3 convolution without pooling, so that the first stage works at the input's resolution.
            ``"upsample"``: the image is enlarged to 112 px (bilinear, half-pixel centres) and passes torchvision's stem
            (7x7 of stride 2, then 3x3 max pooling of stride 2).
        stride: of the native stem. A stem of stride s has a convolution of side 3s. It covers the same part of the image as
            the 3x3 one does after a reduction by s, and it can learn to use more detail. So a network for 16 px becomes one
            for 32 px at the same cost.
        width: channels of the first stage, which each further stage doubles; or the channels of all four stages.
        embedding_dim: length of the embedding.
        input_size: side of the square input in pixels, at least 8 times the stride.
        dropout: probability of dropping an input of the fully connected layer while training.

    Shapes:
        float32 ``[B, 3, input_size, input_size]`` -> ``[B, embedding_dim]``, not normalised.

    Raises:
        LrfaceError: an argument is out of range, or ``forward`` gets another image size.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        *,
        stem: str = "native",
        stride: int = 1,
        width: int | Sequence[int] = 64,
        embedding_dim: int = 512,
        input_size: int = 16,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise LrfaceError(f"stem must be one of {', '.join(STEMS)}, not {stem!r}")
        channels = _channels(width)
        check_count("embedding_dim", embedding_dim)
        check_count("stride", stride)
        if stem != "native" and stride != 1:
            raise LrfaceError(f"stride {stride} is for the native stem, not for {stem!r}")
        check_count("input_size", input_size, 8 * stride)
        check_dropout(dropout)
        self.embedding_dim = embedding_dim
        self.input_size = input_size
        self.stem = stem
        if stem == "native":
            self.conv1 = nn.Conv2d(3, channels[0], 3 * stride, stride, padding=stride, bias=False)
            side = -(-(input_size // stride) // 8)
        else:
            self.conv1 = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
            side = -(-ENLARGED // 32)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "upsample" else nn.Identity()
        self.layer1 = _stage(channels[0], channels[0], depths[0], stride=1)
        self.layer2 = _stage(channels[0], channels[1], depths[1], stride=2)
        self.layer3 = _stage(channels[1], channels[2], depths[2], stride=2)
        self.layer4 = _stage(channels[2], channels[3], depths[3], stride=2)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels[3] * side * side, embedding_dim, bias=False)  # the norm that follows has a bias
        self.features = nn.BatchNorm1d(embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # as in torchvision

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.input_size)
        if self.stem == "upsample":
            x = F.interpolate(x, size=(ENLARGED, ENLARGED), mode="bilinear", align_corners=False)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(torch.flatten(x, 1))
        return self.features(self.fc(x))


def _channels(width: int | Sequence[int]) -> Sequence[int]:
    if isinstance(width, list | tuple) and len(width) == 4:
        for number in width:
            check_count("each width", number)
        return width
    check_count("width", width)  # type: ignore[arg-type]
    return [width * 2**stage for stage in range(4)]


def _stage(in_channels: int, channels: int, depth: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or in_channels != channels:
        convolution = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
        shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))
    first = BasicBlock(in_channels, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(depth - 1)))

"""MobileFaceNet (Chen, Liu, Gao, Han 2018, arXiv 1804.07573, table 1), a small network for faces of 112 px.

It has inverted residuals with PReLU. A depthwise convolution as large as the last map weighs every position of the face
separately, where a classifier would take the mean.

| input | embedding | parameters | MACs |
| --- | --- | --- | --- |
| 112 px | 128 | 1.00 M | 221 M |
| 112 px | 512 | 1.20 M | 221 M |

It is a poor low-resolution student: on a CPU its depthwise convolutions take five times as long for the same work as the
plain ones of :mod:`lrface.models.resnet`.
"""

import torch
from torch import Tensor, nn

from lrface.models.checks import check_count, check_dropout, check_input

#: Bottlenecks of the paper's table: expansion, output channels, repetitions, stride of the first.
BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
STEM = 64
LAST = 512
REDUCTION = 16


class Bottleneck(nn.Module):
    """Expand, filter each channel separately, project. The input is added to the result if the shapes are equal."""

    def __init__(self, in_channels: int, channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.residual = stride == 1 and in_channels == channels
        self.expand = _convolution(in_channels, inner, 1)
        self.filter = _convolution(inner, inner, 3, stride, padding=1, groups=inner)
        self.project = _convolution(inner, channels, 1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.filter(self.expand(x)))
        return x + y if self.residual else y


class MobileFaceNet(nn.Module):
    """MobileFaceNet.

    Args:
        embedding_dim: length of the embedding; 128 in the paper.
        input_size: side of the square input in pixels, at least 16.
        dropout: probability of dropping an input of the last layer while training.

    Shapes:
        float32 ``[B, 3, input_size, input_size]`` -> ``[B, embedding_dim]``, not normalised.

    Raises:
        LrfaceError: an argument is out of range, or ``forward`` gets another image size.
    """

    def __init__(self, *, embedding_dim: int = 512, input_size: int = 112, dropout: float = 0.0) -> None:
        super().__init__()
        check_count("embedding_dim", embedding_dim)
        check_count("input_size", input_size, REDUCTION)
        check_dropout(dropout)
        self.embedding_dim = embedding_dim
        self.input_size = input_size
        self.stem = _convolution(3, STEM, 3, stride=2, padding=1)
        self.stem_filter = _convolution(STEM, STEM, 3, padding=1, groups=STEM)
        blocks: list[nn.Module] = []
        before = STEM
        for expansion, channels, count, stride in BOTTLENECKS:
            for number in range(count):
                blocks.append(Bottleneck(before, channels, expansion, stride if number == 0 else 1))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.last = _convolution(before, LAST, 1)
        side = -(-input_size // REDUCTION)
        self.places = _convolution(LAST, LAST, side, groups=LAST, linear=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(LAST, embedding_dim, bias=False)
        self.features = nn.BatchNorm1d(embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.input_size)
        x = self.last(self.blocks(self.stem_filter(self.stem(x))))
        x = self.dropout(torch.flatten(self.places(x), 1))
        return self.features(self.fc(x))


def _convolution(
    in_channels: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    linear: bool = False,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, *([] if linear else [nn.PReLU(channels)]))

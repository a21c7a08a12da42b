"""ResNets for small pictures: with three stages (He et al. 2016, section 4.2), or with four stages and a 3x3 stem."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lrface.objects.networks.network import ObjectNetwork, conv, each, initialise


class Residual(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3, 1x1 with ``bottleneck`` channels inside. Returns the sum before its activation."""

    def __init__(self, inner: int, outer: int, stride: int, bottleneck: int | None = None) -> None:
        super().__init__()
        if bottleneck is None:
            layers = [(conv(inner, outer, 3, stride), outer), (conv(outer, outer), outer)]
        else:
            middle = (conv(bottleneck, bottleneck, 3, stride), bottleneck)
            layers = [(conv(inner, bottleneck, 1), bottleneck), middle, (conv(bottleneck, outer, 1), outer)]
        parts: list[nn.Module] = []
        for layer, channels in layers:
            parts += [layer, nn.BatchNorm2d(channels), nn.ReLU()]
        self.body = nn.Sequential(*parts[:-1])
        same = stride == 1 and inner == outer
        self.shortcut = None if same else nn.Sequential(conv(inner, outer, 1, stride), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found + (x if self.shortcut is None else self.shortcut(x))


class ResNet(ObjectNetwork):
    """Residual stages. Each stage after the first halves the side.

    Args:
        classes: of the last layer.
        depths: blocks of each stage.
        channels: of the stem, then of each stage.
        bottleneck: channels of the 3x3 convolutions as a share of the stage's; None for blocks of two 3x3 convolutions.
    """

    def __init__(
        self, classes: int, depths: Sequence[int], channels: Sequence[int], bottleneck: float | None = None
    ) -> None:
        super().__init__()
        self.conv, self.bn = conv(3, channels[0]), nn.BatchNorm2d(channels[0])
        self.blocks = nn.ModuleList()
        inner = channels[0]
        for number, (depth, outer) in enumerate(zip(depths, channels[1:], strict=True)):
            stage = nn.ModuleList()
            for block in range(depth):
                stride = 2 if number and not block else 1
                stage.append(Residual(inner, outer, stride, None if bottleneck is None else int(outer * bottleneck)))
                inner = outer
            self.blocks.append(stage)
        self.fc = nn.Linear(inner, classes)
        initialise(self)

    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        x = self.bn(self.conv(x))
        preacts, maps = [x], [F.relu(x)]
        for stage in self.blocks:
            x = maps[-1]
            for block in each(stage):
                before = block(x)
                x = F.relu(before)
            preacts.append(before)
            maps.append(x)
        return maps, preacts, maps[-1]

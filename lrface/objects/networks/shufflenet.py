"""ShuffleNet V1 (Zhang et al. 2018, three groups) and V2 (Ma et al. 2018, size 1) for small pictures."""

import torch.nn.functional as F
from torch import Tensor, nn

from lrface.objects.networks.network import ObjectNetwork, conv, each, initialise, joined, shuffle


def _normed(layer: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))


class GroupedUnit(nn.Module):
    """Unit of V1: grouped 1x1, depthwise 3x3, grouped 1x1. Returns the sum before its ReLU.

    With stride 2, the averaged input is concatenated instead of added.
    """

    def __init__(self, inner: int, outer: int, stride: int, groups: int) -> None:
        super().__init__()
        made = outer - inner if stride == 2 else outer  # the other channels are the averaged input
        middle = made // 4
        self.groups = 1 if inner == 24 else groups
        self.one = _normed(conv(inner, middle, 1, groups=self.groups))
        self.two = _normed(conv(middle, middle, 3, stride, groups=middle))
        self.three = _normed(conv(middle, made, 1, groups=groups))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        found = shuffle(F.relu(self.one(x)), self.groups)
        found = self.three(F.relu(self.two(found)))
        return joined([found, F.avg_pool2d(x, 3, 2, 1)]) if self.stride == 2 else found + x


class ShuffleNetV1(ObjectNetwork):
    """ShuffleNet V1: three stages of 240, 480 and 960 channels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv, self.bn = conv(3, 24, 1), nn.BatchNorm2d(24)
        self.blocks = nn.ModuleList()
        inner = 24
        for outer, depth in ((240, 4), (480, 8), (960, 4)):
            first = GroupedUnit(inner, outer, 2, 3)
            self.blocks.append(nn.ModuleList([first, *(GroupedUnit(outer, outer, 1, 3) for _ in range(depth - 1))]))
            inner = outer
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


class SplitUnit(nn.Module):
    """Unit of V2: half of the channels pass unchanged, the others go through 1x1, depthwise 3x3, 1x1.

    Returns the map, and the map before its last ReLU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.one, self.two = _normed(conv(half, half, 1)), _normed(conv(half, half, 3, groups=half))
        self.three = _normed(conv(half, half, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left, right = x.chunk(2, 1)
        before = self.three(self.two(F.relu(self.one(right))))
        return shuffle(joined([left, F.relu(before)]), 2), joined([left, before])


class DownUnit(nn.Module):
    """Unit of V2 with stride 2: two branches halve the side and are concatenated to ``outer`` channels."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        half = outer // 2
        self.left = nn.Sequential(_normed(conv(inner, inner, 3, 2, groups=inner)), _normed(conv(inner, half, 1)))
        self.one, self.two = _normed(conv(inner, half, 1)), _normed(conv(half, half, 3, 2, groups=half))
        self.three = _normed(conv(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        right = self.three(self.two(F.relu(self.one(x))))
        return shuffle(joined([F.relu(self.left(x)), F.relu(right)]), 2)


class ShuffleNetV2(ObjectNetwork):
    """ShuffleNet V2: three stages of 116, 232 and 464 channels, and a 1x1 convolution to 1024."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv, self.bn = conv(3, 24, 1), nn.BatchNorm2d(24)
        self.down, self.blocks = nn.ModuleList(), nn.ModuleList()
        inner = 24
        for outer, depth in ((116, 3), (232, 7), (464, 3)):
            self.down.append(DownUnit(inner, outer))
            self.blocks.append(nn.ModuleList(SplitUnit(outer) for _ in range(depth)))
            inner = outer
        self.last = _normed(conv(inner, 1024, 1))
        self.fc = nn.Linear(1024, classes)
        initialise(self)

    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        x = self.bn(self.conv(x))
        preacts, maps = [x], [F.relu(x)]
        for down, stage in zip(self.down, self.blocks, strict=True):
            x = down(maps[-1])
            for block in each(stage):
                x, before = block(x)
            preacts.append(before)
            maps.append(x)
        return maps, preacts, F.relu(self.last(maps[-1]))

"""Wide residual networks (Zagoruyko and Komodakis 2016), with pre-activation blocks."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from lrface.objects.networks.network import ObjectNetwork, conv, initialise


class PreActivation(nn.Module):
    """A block of two 3x3 convolutions, each after a batch norm and a ReLU."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inner), conv(inner, outer, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outer), conv(outer, outer)
        self.shortcut = None if inner == outer else conv(inner, outer, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        found: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return found + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(ObjectNetwork):
    """A network of ``depth`` = 6 n + 4 layers with 16, 32 and 64 channels, times ``width``.

    The map of a stage is the output of its last block. The map before the activation is this output after the next batch
    norm.
    """

    def __init__(self, classes: int, depth: int, width: int) -> None:
        super().__init__()
        channels = [16, 16 * width, 32 * width, 64 * width]
        self.conv = conv(3, 16)
        self.blocks = nn.ModuleList()
        for number, (inner, outer) in enumerate(pairwise(channels)):
            first = PreActivation(inner, outer, 2 if number else 1)
            rest = [PreActivation(outer, outer, 1) for _ in range((depth - 4) // 6 - 1)]
            self.blocks.append(nn.Sequential(first, *rest))
        self.bn = nn.BatchNorm2d(channels[-1])
        self.fc = nn.Linear(channels[-1], classes)
        initialise(self)
        nn.init.zeros_(self.fc.bias)

    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        maps = [self.conv(x)]
        for stage in self.blocks:
            maps.append(stage(maps[-1]))
        last = self.bn(maps[-1])
        # A batch norm may update its running statistics only once per step, so this second use must not update them.
        norms = [self.blocks[1][0].bn1, self.blocks[2][0].bn1]  # type: ignore[index]
        preacts = [maps[0], *(_quietly(norm, each) for norm, each in zip(norms, maps[1:], strict=False)), last]
        return maps, preacts, F.relu(last)


def _quietly(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Apply a batch norm without updating its running statistics a second time."""
    if norm.training:
        return F.batch_norm(x, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)
    found: Tensor = norm(x)
    return found

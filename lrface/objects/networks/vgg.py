"""VGG with batch norm and one linear layer, for small pictures (Simonyan and Zisserman 2015)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lrface.objects.networks.network import ObjectNetwork, initialise


class VGG(ObjectNetwork):
    """Five blocks. The side is halved after the first three, and also after the fourth for 64 pixels and more.

    Args:
        classes: of the last layer.
        depths: number of 3x3 convolutions in each block; the blocks have 64, 128, 256, 512 and 512 channels.
    """

    def __init__(self, classes: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        inner = 3
        for depth, outer in zip(depths, (64, 128, 256, 512, 512), strict=True):
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU()]
                inner = outer
            self.blocks.append(nn.Sequential(*layers[:-1]))
        self.fc = nn.Linear(inner, classes)
        initialise(self)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        halvings = 4 if x.shape[2] >= 64 else 3
        maps: list[Tensor] = []
        preacts: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            preacts.append(block(x))
            maps.append(F.relu(preacts[-1]))
            x = F.max_pool2d(maps[-1], 2) if number < halvings else maps[-1]
        return maps, preacts, maps[-1]

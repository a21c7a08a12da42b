"""The one interface that all object networks have."""

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.method import Outputs

#: Smaller pictures would be less than a pixel behind three halvings.
SMALLEST = 8


class ObjectNetwork(nn.Module, ABC):
    """A classifier of small pictures that also tells its feature maps by stage.

    Takes float32 ``[B, 3, h, w]`` RGB from -1 to 1, of 8 pixels and more. A subclass makes ``fc``, its last linear
    layer, and writes ``stages``.
    """

    fc: nn.Linear

    @property
    def embedding_dim(self) -> int:
        """Length of what ``fc`` reads."""
        return self.fc.in_features

    @abstractmethod
    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The maps after each stage (the stem's first), the same before their activation, and the last map to pool."""

    def outputs(self, x: Tensor) -> Outputs:
        """All that a distillation method may want to know."""
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < SMALLEST:
            raise LrfaceError(
                f"{type(self).__name__} takes [B, 3, h, w] of {SMALLEST} pixels and more, not {list(x.shape)}"
            )
        maps, preacts, last = self.stages(x)
        embedding = last.mean((2, 3))
        return Outputs(self.fc(embedding), embedding, tuple(maps), tuple(preacts), self.fc.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[B, classes]``."""
        logits = self.outputs(x).logits
        assert logits is not None
        return logits


def each(stage: nn.Module) -> list[nn.Module]:
    """The blocks of a stage."""
    return list(cast(nn.ModuleList, stage))


def initialise(network: nn.Module) -> None:
    """He's normal initialisation of all convolutions, by their outputs, as the compared tables have it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def conv(inner: int, outer: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the side, but for its stride."""
    return nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False)


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels mixed between groups."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def joined(parts: list[Tensor]) -> Tensor:
    """Along the channels."""
    return torch.cat(parts, 1)

"""The interface of all object networks."""

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.method import Outputs

#: Minimum side in pixels. Three halvings of a smaller picture would leave less than a pixel.
SMALLEST = 8


class ObjectNetwork(nn.Module, ABC):
    """A classifier of small pictures that also returns the feature maps of its stages.

    Its input is float32 ``[B, 3, h, w]`` RGB from -1 to 1, with at least 8 pixels per side. A subclass sets ``fc``, its
    last linear layer, and implements ``stages``.
    """

    fc: nn.Linear

    @property
    def embedding_dim(self) -> int:
        """Length of the embedding, which is the input of ``fc``."""
        return self.fc.in_features

    @abstractmethod
    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Feature maps after each stage (the stem first), the same before their activation, and the map that is pooled."""

    def outputs(self, x: Tensor) -> Outputs:
        """All outputs that distillation methods can use.

        Raises:
            LrfaceError: the input has the wrong shape, or is too small.
        """
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
    """He's normal initialisation of all convolutions (fan-out), as in the published tables that we compare with."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def conv(inner: int, outer: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias and with padding: only its stride changes the size of the map."""
    return nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False)


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Mix the channels of the groups, as ShuffleNet does."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def joined(parts: list[Tensor]) -> Tensor:
    """Concatenate maps along their channels."""
    return torch.cat(parts, 1)

"""What a network sees of pictures: low resolution, and the augmentation that comes before it, in batches on the device."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.faces.degrade import Degradation


@dataclass(frozen=True)
class View:
    """The pixels of one network.

    Attributes:
        side: of the pictures as they lie in memory.
        low: what they are reduced to; None: not.
        kernel, antialias: of :class:`lrface.faces.degrade.Degradation`, the same operators.
    """

    side: int
    low: int | None = None
    kernel: str = "bilinear"
    antialias: bool = True

    @property
    def name(self) -> str:
        """The operator in one word, as tables print it."""
        if self.low is None:
            return f"{self.side}px"
        return Degradation(self.low, self.kernel, self.antialias).name

    def as_dict(self) -> dict[str, Any]:
        """The fields, as JSON writes them."""
        return asdict(self)

    def __call__(self, pictures: Tensor) -> Tensor:
        """uint8 ``[b, 3, side, side]`` to uint8 ``[b, 3, low, low]``, rounded to nearest."""
        if self.low is None or self.low == pictures.shape[-1]:
            return pictures
        values = pictures.float()
        if self.kernel == "area":
            small = F.adaptive_avg_pool2d(values, self.low)
        elif self.kernel == "nearest":
            small = F.interpolate(values, (self.low, self.low), mode="nearest-exact")
        else:
            small = F.interpolate(values, (self.low, self.low), mode=self.kernel, antialias=self.antialias)
        return small.round().clamp(0, 255).to(torch.uint8)


def augment(pictures: Tensor, border: int, flip: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """uint8 ``[b, 3, s, s]``: each mirrored by a coin, and a window of that size out of a black border around it.

    Returns:
        The new pictures, and which were mirrored (bool ``[b]``).
    """
    count, _, side, _ = pictures.shape
    mirrored = ((torch.rand(count, generator=generator) < 0.5) & flip).to(pictures.device)
    corner = torch.randint(2 * border + 1, (count, 2), generator=generator)
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
    if not border:
        return pictures, mirrored
    padded = F.pad(pictures, (border,) * 4)
    steps = torch.arange(side)
    rows, columns = (corner[:, axis, None] + steps for axis in (0, 1))
    windows = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return windows.permute(0, 3, 1, 2), mirrored


def planes(images: Any, device: torch.device) -> Tensor:
    """uint8 ``[n, s, s, 3]`` of numpy to ``[n, 3, s, s]`` on a device."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)


def turned(pictures: Tensor) -> Tensor:
    """Each picture in four turns, one after the other: ``[4 b, ...]``."""
    return torch.stack([torch.rot90(pictures, turns, (2, 3)) for turns in range(4)], 1).flatten(0, 1)

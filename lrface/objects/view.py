"""The input of a network: reduction to low resolution and augmentation, in batches on the device."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.faces.degrade import Degradation


@dataclass(frozen=True)
class View:
    """The pixels that a network gets.

    Attributes:
        side: of the pictures in memory, in pixels.
        low: side after the reduction; None: no reduction.
        kernel, antialias: as in :class:`lrface.faces.degrade.Degradation`, which uses the same operators.
    """

    side: int
    low: int | None = None
    kernel: str = "bilinear"
    antialias: bool = True

    @property
    def name(self) -> str:
        """The operator in one word, for tables."""
        if self.low is None:
            return f"{self.side}px"
        return Degradation(self.low, self.kernel, self.antialias).name

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Reduce uint8 ``[b, 3, side, side]`` to uint8 ``[b, 3, low, low]``, rounded to the nearest level."""
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
    """Mirror pictures at random, and cut a random window of the same size from each after adding a black border.

    Args:
        pictures: uint8 ``[b, 3, s, s]``.
        border: width of the border in pixels.
        flip: mirror each picture with probability 0.5.
        generator: of the random numbers.

    Returns:
        The new pictures, and which of them are mirrored (bool ``[b]``).
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
    """Convert uint8 ``[n, s, s, 3]`` of numpy to a tensor ``[n, 3, s, s]`` on a device."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)


def turned(pictures: Tensor) -> Tensor:
    """The four orientations of each picture, one after the other: ``[4 b, ...]``."""
    return torch.stack([torch.rot90(pictures, turns, (2, 3)) for turns in range(4)], 1).flatten(0, 1)

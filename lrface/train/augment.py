"""Random low-resolution views of faces, made in batches on the training device.

All random numbers come from a generator with the seed (seed, epoch, step) for the whole batch of all processes. So neither
resuming nor another number of processes changes the views of a run.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.train.native_views import native_views
from lrface.train.recipe import AugmentSection

#: Number of degradation operators per step. Each is used for an equal part of the batch, because resizing needs whole batches.
OPERATORS = 4


def draw(section: AugmentSection, count: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw the random changes of ``count`` samples of ``size`` pixels. All tensors have ``count`` rows."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    def around(limit: float, *shape: int) -> Tensor:
        return limit * (2 * uniform(*shape) - 1)

    drawn = {"flip": uniform() < 0.5 * section.flip}
    if section.only_flips:
        return drawn
    low, high = section.sides or (size, size)
    operator = torch.arange(count) % OPERATORS
    corner = uniform(2)
    extent = 0.15 + 0.25 * uniform(2)
    drawn |= {
        "used": uniform() < section.probability,
        "angle": around(math.radians(section.rotate)),
        "scale": 1 + around(section.scale),
        "shift": 2 * around(section.shift, 2),
        "side": torch.randint(low, high + 1, (OPERATORS,), generator=generator)[operator],
        "kernel": torch.randint(len(section.kernels), (OPERATORS,), generator=generator)[operator],
        "brightness": 255 * around(section.brightness),
        "contrast": 1 + around(section.contrast),
        "grey": uniform() < section.grey,
        "noise": 255 * section.noise * uniform()[:, None, None, None] * _normal(count, size, section, generator),
        "erased": torch.where((uniform() < section.erase)[:, None], torch.cat([corner, extent], 1), 0.0),
    }
    if section.native is not None:  # drawn last, so that all other numbers are the same without native views
        drawn["native"] = uniform() < section.native.share
        drawn["native_seed"] = torch.randint(2**62, (count,), generator=generator)
    return drawn


def _normal(count: int, size: int, section: AugmentSection, generator: torch.Generator) -> Tensor:
    shape = (count, 3, size, size) if section.noise else (count, 1, 1, 1)
    return torch.randn(shape, generator=generator)


def degrade_views(source: Tensor, drawn: dict[str, Tensor], section: AugmentSection, size: int) -> Tensor:
    """Make low-resolution views.

    Args:
        source: uint8 ``[b, 3, s, s]`` aligned crops.
        drawn: the rows of :func:`draw` for these samples, on the same device.
        section: the recipe's settings.
        size: side of the result in pixels.

    Returns:
        uint8 ``[b, 3, size, size]``, not flipped; flips are done by the caller.
    """
    low = torch.empty(len(source), 3, size, size, device=source.device)
    native = drawn.get("native")
    if native is None:
        low[:] = _reduce_all(source, drawn, section, size)
    else:
        low[~native] = _reduce_all(
            source[~native], {key: value[~native] for key, value in drawn.items()}, section, size
        )
        low[native] = _natively(source[native], drawn["native_seed"][native], section, size)
    mean = low.mean((1, 2, 3), keepdim=True)
    low = (low - mean) * drawn["contrast"][:, None, None, None] + mean + drawn["brightness"][:, None, None, None]
    low = torch.where(drawn["grey"][:, None, None, None], low.mean(1, keepdim=True), low)
    low = torch.where(_rectangle(drawn["erased"], size)[:, None], mean, low + drawn["noise"])
    return low.round().clamp(0, 255).to(torch.uint8)


def _reduce_all(source: Tensor, drawn: dict[str, Tensor], section: AugmentSection, size: int) -> Tensor:
    """Move the crops and reduce each by its operator: float32 ``[b, 3, size, size]``."""
    views = _move(source.float(), drawn)
    low = torch.empty(len(views), 3, size, size, device=views.device)
    for operator in torch.unique(torch.stack([drawn["side"], drawn["kernel"]], 1), dim=0).tolist():
        side, kernel = operator
        chosen = (drawn["side"] == side) & (drawn["kernel"] == kernel)
        low[chosen] = _resize(_resize(views[chosen], side, section.kernels[kernel]), size, "bilinear")
    return low


def _natively(source: Tensor, seeds: Tensor, section: AugmentSection, size: int) -> Tensor:
    """Make native views on the CPU, with the code of inference: float32 ``[b, 3, size, size]``."""
    assert section.native is not None
    crops = source.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    views = native_views(crops, seeds.tolist(), section.native, size)
    return torch.from_numpy(views).permute(0, 3, 1, 2).to(source.device).float()


def _move(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Rotate, scale and shift about the centre; black outside."""
    cosine = torch.cos(drawn["angle"]) / drawn["scale"]
    sine = torch.sin(drawn["angle"]) / drawn["scale"]
    rows = [torch.stack([cosine, -sine, drawn["shift"][:, 0]], 1), torch.stack([sine, cosine, drawn["shift"][:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _resize(images: Tensor, size: int, kernel: str) -> Tensor:
    if images.shape[-1] == size:
        return images
    if kernel == "area":
        return F.adaptive_avg_pool2d(images, size)
    return F.interpolate(images, (size, size), mode=kernel, antialias=True)


def _rectangle(erased: Tensor, size: int) -> Tensor:
    """Masks bool ``[b, size, size]`` of rectangles, given as corner and extent in fractions of the side."""
    centres = (torch.arange(size, device=erased.device) + 0.5) / size
    inside = [
        (centres >= erased[:, axis, None]) & (centres < (erased[:, axis] + erased[:, axis + 2])[:, None])
        for axis in (0, 1)
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]

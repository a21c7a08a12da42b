"""Object networks by their names in the distillation literature."""

import difflib
from collections.abc import Callable
from functools import partial

from lrface.errors import LrfaceError
from lrface.losses.checks import positive_int
from lrface.objects.networks.network import ObjectNetwork
from lrface.objects.networks.resnet import ResNet
from lrface.objects.networks.shufflenet import ShuffleNetV1, ShuffleNetV2
from lrface.objects.networks.vgg import VGG
from lrface.objects.networks.wrn import WideResNet

__all__ = ["ObjectNetwork", "create_network", "network_names"]

_THIN, _WIDE = (16, 16, 32, 64), (32, 64, 128, 256)


def _three(depth: int, channels: tuple[int, ...]) -> Callable[[int], ObjectNetwork]:
    return partial(ResNet, depths=[(depth - 2) // 6] * 3, channels=channels)


_BUILDERS: dict[str, Callable[[int], ObjectNetwork]] = {
    **{f"resnet{depth}": _three(depth, _THIN) for depth in (8, 14, 20, 32, 44, 56, 110)},
    "resnet8x4": _three(8, _WIDE),
    "resnet32x4": _three(32, _WIDE),
    "resnet18": partial(ResNet, depths=(2, 2, 2, 2), channels=(64, 64, 128, 256, 512)),
    "wrn_50_2": partial(ResNet, depths=(3, 4, 6, 3), channels=(64, 256, 512, 1024, 2048), bottleneck=0.5),
    **{f"wrn_{depth}_{width}": partial(WideResNet, depth=depth, width=width) for depth, width in
       ((16, 1), (16, 2), (40, 1), (40, 2))},
    "vgg8": partial(VGG, depths=(1, 1, 1, 1, 1)),
    "vgg11": partial(VGG, depths=(1, 1, 2, 2, 2)),
    "vgg13": partial(VGG, depths=(2, 2, 2, 2, 2)),
    "shufflenet_v1": ShuffleNetV1,
    "shufflenet_v2": ShuffleNetV2,
}  # fmt: skip


def network_names() -> list[str]:
    """The names for ``create_network``, sorted."""
    return sorted(_BUILDERS)


def create_network(name: str, classes: int) -> ObjectNetwork:
    """Make a network with new random weights, in training mode.

    Raises:
        LrfaceError: the name is unknown (the message suggests the nearest one), or ``classes`` is less than 1.
    """
    if name not in _BUILDERS:
        nearest = difflib.get_close_matches(name, _BUILDERS, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise LrfaceError(f"unknown object network {name!r}: {hint}(known: {', '.join(network_names())})")
    return _BUILDERS[name](positive_int("classes", classes))

"""Creating backbones by name."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from lrface.errors import LrfaceError
from lrface.models.iresnet import DEPTHS, IResNet
from lrface.models.mobilefacenet import MobileFaceNet
from lrface.models.resnet import LowResolutionResNet

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    **{name: partial(IResNet, depths) for name, depths in DEPTHS.items()},
    "mobilefacenet": MobileFaceNet,
    "resnet16": partial(LowResolutionResNet, (1, 2, 2, 2), width=(32, 64, 96, 128)),
    "resnet18": partial(LowResolutionResNet, (2, 2, 2, 2)),
}


@dataclass(frozen=True)
class ModelSpec:
    """The name and all keywords, including the defaults, with which ``create`` can build a model again."""

    name: str
    kw: dict[str, Any]


def names() -> list[str]:
    """The names that ``create`` accepts, sorted."""
    return sorted(_BUILDERS)


def create(name: str, **kw: Any) -> nn.Module:
    """Build a backbone with fresh weights, in training mode. ``spec_of`` later gives its name and keywords.

    Example:
        >>> create("resnet18", stem="upsample", embedding_dim=256)

    Raises:
        LrfaceError: unknown name or keyword (the message names the nearest one), or a value out of range.
    """
    if name not in _BUILDERS:
        raise LrfaceError(f"unknown model {name!r}: {_advice(name, names())}")
    builder = _BUILDERS[name]
    signature = inspect.signature(builder)
    for key in kw:
        if key not in signature.parameters:
            raise LrfaceError(f"model {name} has no keyword {key!r}: {_advice(key, signature.parameters)}")
    bound = signature.bind(**kw)
    bound.apply_defaults()
    try:
        model = builder(**bound.kwargs)
    except LrfaceError as error:
        raise LrfaceError(f"model {name}: {error}") from error
    # Defaults are recorded too, so that a checkpoint keeps its meaning if a default changes.
    model.spec = ModelSpec(name, bound.kwargs)  # type: ignore[assignment]
    return model


def spec_of(model: nn.Module) -> ModelSpec:
    """The name and keywords with which ``create`` made this model.

    Raises:
        LrfaceError: the model was not made by ``create``, or is still inside a wrapper (DDP, torch.compile).
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        kind = type(model).__name__
        raise LrfaceError(f"{kind} was not made by lrface.models.create: unwrap it, or create it by name")
    return spec


def _advice(wrong: str, right: Iterable[str]) -> str:
    right = sorted(right)
    nearest = difflib.get_close_matches(str(wrong), right, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}(known: {', '.join(right)})"

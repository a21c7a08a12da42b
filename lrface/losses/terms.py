"""The methods under ``loss.methods`` of a recipe, with their weights."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from torch import nn

from lrface.errors import LrfaceError
from lrface.losses.method import PARTS, Method, Setting
from lrface.losses.registry import create_method, method_class, methods


class Terms(NamedTuple):
    """Methods by name, as a module, and the weight of each."""

    methods: nn.ModuleDict
    weights: dict[str, float]


def build_terms(section: Mapping[str, Mapping[str, Any]], setting: Setting, given: Collection[str] = PARTS) -> Terms:
    """Build the methods of ``loss.methods``.

    Args:
        section: options of each method, including ``weight``; the default is the method's own weight.
        setting: the networks and the training set.
        given: the parts of :class:`lrface.losses.method.Outputs` that both networks give.

    Raises:
        LrfaceError: an unknown method or option, a value out of range, or a method that needs a part that is not given.
    """
    made, weights = nn.ModuleDict(), {}
    for name, options in section.items():
        kind = method_class(name)
        if not able(kind, given):
            others = ", ".join(other for other, each in methods().items() if able(each, given))
            lacking = "turned pictures" if kind.rotated else "feature maps by stage"
            raise LrfaceError(
                f"loss.methods.{name} needs {lacking}, and a face teacher gives its embeddings alone: use it in a recipe of "
                f"objects, or take one of {others}"
            )
        chosen = dict(options)
        weights[name] = _weight(name, chosen.pop("weight", kind.weight))
        made[name] = create_method(name, setting, chosen)
    return Terms(made, weights)


def able(kind: type[Method], given: Collection[str]) -> bool:
    """Whether networks that give these parts are sufficient for a method."""
    return set(kind.needs) <= set(given) and (not kind.rotated or set(given) == set(PARTS))


def needs_logits(section: Collection[str]) -> bool:
    """Whether one of the methods reads logits, so that both networks need a classifier."""
    return any("logits" in method_class(name).needs for name in section)


def _weight(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise LrfaceError(f"loss.methods.{name}.weight is {value!r}: give a number of 0 or more")
    return float(value)

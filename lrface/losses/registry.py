"""Distillation methods by name. A method in any file of this package is found automatically."""

import difflib
import inspect
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lrface import losses
from lrface.errors import LrfaceError
from lrface.losses.method import Method, Setting, registered


def methods() -> dict[str, type[Method]]:
    """All methods of the package, by name, sorted."""
    for module in pkgutil.iter_modules(losses.__path__):
        if module.name != "registry":
            import_module(f"lrface.losses.{module.name}")
    return dict(sorted(registered().items()))


def method_class(name: str) -> type[Method]:
    """The class of a method. Raises LrfaceError for an unknown name; the message names the nearest one."""
    known = methods()
    if name not in known:
        raise LrfaceError(f"unknown distillation method {name!r}: {_advice(name, list(known))}")
    return known[name]


def create_method(name: str, setting: Setting, options: Mapping[str, Any] | None = None) -> Method:
    """Build a method for two networks and a training set.

    Args:
        name: as in ``methods()``.
        setting: sizes of the networks' outputs, and the labels.
        options: keyword arguments of the method's class.

    Raises:
        LrfaceError: an unknown name or option, a value out of range, or networks that do not suit the method.
    """
    kind = method_class(name)
    options = dict(options or {})
    known = [key for key in inspect.signature(kind).parameters if key != "setting"]
    for key in options:
        if key not in known:
            raise LrfaceError(f"method {name} has no option {key!r}: {_advice(key, ['weight', *known])}")
    try:
        return kind(setting, **options)
    except TypeError as error:
        raise LrfaceError(f"method {name}: an option has the wrong type ({error})") from error


def _advice(wrong: str, right: list[str]) -> str:
    nearest = difflib.get_close_matches(wrong, right, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}(known: {', '.join(right)})"

"""Argument checks that all backbones share."""

from torch import Tensor

from lrface.errors import LrfaceError


def check_count(key: str, value: int, least: int = 1) -> None:
    """Require an integer of at least ``least`` for the keyword ``key``.

    Raises:
        LrfaceError: the value has another type or is too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise LrfaceError(f"{key} must be an integer of at least {least}, not {value!r}")


def check_dropout(value: float) -> None:
    """Require a dropout probability in [0, 1).

    Raises:
        LrfaceError: the value is not a number in this range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise LrfaceError(f"dropout must be a number in [0, 1), not {value!r}")


def check_input(x: Tensor, size: int) -> None:
    """Require a batch ``[B, 3, size, size]``, because the fully connected head fits only one size.

    Raises:
        LrfaceError: the batch has another shape.
    """
    if x.ndim != 4 or tuple(x.shape[1:]) != (3, size, size):
        raise LrfaceError(f"this model takes batches of shape [B, 3, {size}, {size}], not {list(x.shape)}")

"""Checks and casts that all losses share."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lrface.errors import LrfaceError

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def positive_int(name: str, value: int) -> int:
    """Return ``value`` if it is an integer of 1 or more, else raise LrfaceError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise LrfaceError(f"{name} is {value!r}: give an integer of 1 or more")
    return value


def positive_float(name: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and above 0, else raise LrfaceError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise LrfaceError(f"{name} is {value!r}: give a finite number above 0")
    return float(value)


def check_matrix(name: str, value: Tensor, rows: int | None = None, columns: int | None = None) -> None:
    """Raise LrfaceError unless ``value`` is a floating ``[rows >= 1, columns]`` tensor."""
    expected = f"[{'B' if rows is None else rows}, {'D' if columns is None else columns}]"
    shape = tuple(value.shape)
    fits = value.ndim == 2 and shape[0] > 0 and rows in (None, shape[0]) and columns in (None, shape[1])
    if not fits or not value.is_floating_point():
        raise LrfaceError(f"{name} is {value.dtype} of shape {list(shape)}: expected floats of shape {expected}")


def check_ids(name: str, value: Tensor, rows: int) -> None:
    """Raise LrfaceError unless ``value`` is an integer ``[rows]`` tensor."""
    if tuple(value.shape) != (rows,) or value.dtype not in _INTEGERS:
        raise LrfaceError(f"{name} is {value.dtype} of shape {list(value.shape)}: expected integers of shape [{rows}]")


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """float64 stays float64; float32 and all narrower types become float32."""
    return torch.promote_types(dtype, torch.float32)


@contextmanager
def full_precision(tensor: Tensor) -> Iterator[None]:
    """Turn autocast off on the tensor's device. It would compute the matrix products of a loss in half precision."""
    with torch.autocast(tensor.device.type, enabled=False):
        yield

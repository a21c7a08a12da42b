"""Readers and writers, one format a file; `prepare` turns any source into a `store`, which training reads."""

from typing import Any

__all__ = ["read_bin", "read_pairs"]


def __getattr__(name: str) -> Any:
    # Only when asked for: a command that verifies two photos reads no benchmark set.
    if name == "read_bin":
        from lrface.data.sets.bins import read_bin

        return read_bin
    if name == "read_pairs":
        from lrface.data.sets.pairs import read_pairs

        return read_pairs
    raise AttributeError(f"module 'lrface.data' has no attribute {name!r}")

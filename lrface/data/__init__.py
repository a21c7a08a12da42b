"""Training data: readers and writers, one format per file. ``prepare`` turns any source into a store for training."""

from typing import Any

__all__ = ["read_bin", "read_pairs"]


def __getattr__(name: str) -> Any:
    # Imported on request only: verifying two photos needs no benchmark set.
    if name == "read_bin":
        from lrface.data.sets.bins import read_bin

        return read_bin
    if name == "read_pairs":
        from lrface.data.sets.pairs import read_pairs

        return read_pairs
    raise AttributeError(f"module 'lrface.data' has no attribute {name!r}")

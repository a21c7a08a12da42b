"""Object sets by name."""

import difflib
from collections.abc import Callable
from pathlib import Path

from lrface.errors import LrfaceError
from lrface.objects.data.cifar import read_cifar100
from lrface.objects.data.pictures import Pictures
from lrface.objects.data.shapes import read_shapes
from lrface.objects.data.stl10 import read_stl10
from lrface.objects.data.svhn import read_svhn
from lrface.objects.data.tinyimagenet import read_tinyimagenet

_READERS: dict[str, Callable[[Path, str], Pictures]] = {
    "cifar100": read_cifar100,
    "svhn": read_svhn,
    "stl10": read_stl10,
    "tinyimagenet": read_tinyimagenet,
}
#: Names that ``open_set`` knows; ``shapes`` needs no files.
SETS = ("shapes", *_READERS)


def open_set(name: str, path: str | Path | None, split: str, per_class: int | None = None) -> Pictures:
    """Read a set into memory.

    Args:
        name: of ``SETS``.
        path: where it lies; by default a folder of its name here. Not for ``shapes``.
        split: ``train`` or ``test``.
        per_class: of ``shapes``: how many of each class are drawn (by default 100, half of it for ``test``).

    Raises:
        LrfaceError: an unknown name, or the set is missing or damaged.
    """
    if name not in SETS:
        nearest = difflib.get_close_matches(name, SETS, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise LrfaceError(f"unknown object set {name!r}: {hint}(known: {', '.join(SETS)})")
    if split not in ("train", "test"):
        raise LrfaceError(f"unknown split {split!r}: choose train or test")
    if name == "shapes":
        return read_shapes(split, per_class or 100)
    return _READERS[name](Path(path or name), split)

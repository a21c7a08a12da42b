"""The object sets by their names."""

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
#: Names for ``open_set``. ``shapes`` needs no files.
SETS = ("shapes", *_READERS)


def open_set(name: str, path: str | Path | None, split: str, per_class: int | None = None) -> Pictures:
    """Read a set into memory.

    Args:
        name: one of ``SETS``.
        path: folder or archive of the set; by default a folder of its name in the current folder. Unused for ``shapes``.
        split: ``train`` or ``test``.
        per_class: number of training pictures of each class in ``shapes`` (default 100); the test set has half as many.

    Raises:
        LrfaceError: the name is unknown, or the set is missing or damaged.
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

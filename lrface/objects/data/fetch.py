"""Download of CIFAR-100, SVHN and STL10 by torchvision, which verifies the checksums."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError

#: Sets that torchvision can download.
FETCHED = ("cifar100", "svhn", "stl10")


def fetch_objects(name: str, out: str | Path) -> None:
    """Download a set into ``out``, in the layout that :func:`lrface.objects.data.open_set` reads.

    Files that exist already are kept.

    Args:
        name: one of ``FETCHED``.
        out: folder; it is made if it does not exist.

    Raises:
        LrfaceError: the download was refused or damaged, or the disk is full.
    """
    from torchvision import datasets

    calls: dict[str, Callable[[], list[Any]]] = {
        "cifar100": lambda: [datasets.CIFAR100(str(out), download=True)],
        "svhn": lambda: [datasets.SVHN(str(out), split, download=True) for split in ("train", "test")],
        "stl10": lambda: [datasets.STL10(str(out), "train", download=True)],
    }
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        calls[name]()
    except (OSError, RuntimeError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LrfaceError(
            f"cannot download {name} ({reason:.200}): try again with a network, or get it by hand as "
            f"`lrface data where {name}` says"
        ) from error

"""The one way in which folders of photos are listed: what is used, what is left out and why, what is passed over."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lrface.errors import LrfaceError
from lrface.faces.formats import SUFFIXES

_SUFFIXES = tuple(SUFFIXES)

#: What systems and programs put beside photos, in lower case; so is every name that begins with a dot.
SYSTEM_NAMES = frozenset(
    {
        "@eadir", "#recycle", "__macosx", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
        "ehthumbs.db", "desktop.ini",
    }
)  # fmt: skip

LINKED = "a linked folder, which is not followed: name it itself, or copy it"
LOOSE = "lies in no person's folder"
DEEPER = "lies deeper than its person's folder"


def is_system(name: str) -> bool:
    """Whether a file or a folder of this name is hidden, or of a system's making."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


@dataclass
class Passed:
    """What lies in a folder and is not used.

    Attributes:
        rows: path and reason of each image that is left out, and of each linked folder.
        system: hidden and system entries; a folder counts once, and is not looked into.
        others: files that are no images by their names.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    system: int = 0
    others: int = 0

    def lines(self) -> tuple[str, ...]:
        """For people: how much of each kind there is."""
        kinds = Counter(reason for _, reason in self.rows)
        lines = [f"{count:,} left out: {reason}" for reason, count in kinds.most_common()]
        return (*lines, *self.notes())

    def notes(self) -> tuple[str, ...]:
        """:meth:`lines` without those of the rows, for whoever lists the rows."""
        told = ((self.system, "hidden or system files and folders"), (self.others, "files that are no images"))
        return tuple(f"{count:,} {what} passed over" for count, what in told if count)


class Listing(NamedTuple):
    """The names in one folder, sorted: its images, and its folders."""

    images: list[str]
    folders: list[str]


def list_folder(folder: str | Path, passed: Passed, name: str = "") -> Listing:
    """List one folder.

    Args:
        folder: which.
        passed: takes what is not in the listing.
        name: what the folder is called in the rows of ``passed``; "" for the names alone.

    Raises:
        LrfaceError: it cannot be listed.
    """
    listing = Listing([], [])
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_system(entry.name):
                    passed.system += 1
                elif entry.is_dir():
                    if entry.is_symlink():
                        passed.rows.append((os.path.join(name, entry.name), LINKED))
                    else:
                        listing.folders.append(entry.name)
                elif entry.name.lower().endswith(_SUFFIXES):
                    listing.images.append(entry.name)
                else:
                    passed.others += 1
    except OSError as error:
        raise LrfaceError(f"cannot list {folder}: {error.strerror or error}") from error
    listing.images.sort()
    listing.folders.sort()
    return listing


def walk(folder: str | Path, passed: Passed, name: str | None = None) -> Iterator[str]:
    """The images of a folder and of those within it, to the bottom; in no order that matters.

    Args:
        folder: which.
        passed: takes what is not used.
        name: what the folder is called in what comes out; ``folder`` by default.

    Raises:
        LrfaceError: a folder cannot be listed.
    """
    waiting = [(str(folder), str(folder) if name is None else name)]
    while waiting:
        place, called = waiting.pop()
        listing = list_folder(place, passed, called)
        yield from (os.path.join(called, image) for image in listing.images)
        waiting += [(os.path.join(place, each), os.path.join(called, each)) for each in listing.folders]


def leave_out(images: Iterable[str], reason: str, passed: Passed) -> None:
    """Make rows of images that are not used."""
    passed.rows += [(image, reason) for image in sorted(images)]

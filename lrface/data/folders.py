"""Listing folders of photos: which images are used, which are left out and why, which files are skipped."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lrface.errors import LrfaceError
from lrface.faces.formats import SUFFIXES

_SUFFIXES = tuple(SUFFIXES)

#: Names, in lower case, that systems and programs put beside photos. All names that begin with a dot are treated alike.
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
    """Whether a file or a folder of this name is hidden or was made by the system."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


@dataclass
class Passed:
    """The contents of a folder that are not used.

    Attributes:
        rows: path and reason of each image that is left out, and of each linked folder.
        system: number of hidden and system entries. A folder counts once and is not opened.
        others: number of files that are not images by their names.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    system: int = 0
    others: int = 0

    def lines(self) -> tuple[str, ...]:
        """Summary for human readers: the number of entries of each kind."""
        kinds = Counter(reason for _, reason in self.rows)
        lines = [f"{count:,} left out: {reason}" for reason, count in kinds.most_common()]
        return (*lines, *self.notes())

    def notes(self) -> tuple[str, ...]:
        """The lines of :meth:`lines` about ``system`` and ``others`` only, for callers that list the rows themselves."""
        passed_over = ((self.system, "hidden or system files and folders"), (self.others, "files that are no images"))
        return tuple(f"{count:,} {what} passed over" for count, what in passed_over if count)


class Listing(NamedTuple):
    """The names in one folder, sorted: its images, and its folders."""

    images: list[str]
    folders: list[str]


def list_folder(folder: str | Path, passed: Passed, name: str = "") -> Listing:
    """List one folder.

    Args:
        folder: the folder.
        passed: collects the entries that are not in the listing.
        name: name of the folder in the rows of ``passed``; "" for the bare names of its entries.

    Raises:
        LrfaceError: the folder cannot be listed.
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
    """Yield the images of a folder and of all its subfolders, in no particular order.

    Args:
        folder: the folder.
        passed: collects the entries that are not used.
        name: name of the folder in the paths that are yielded; by default ``folder``.

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
    """Record images that are not used, with the reason, as rows of ``passed``."""
    passed.rows += [(image, reason) for image in sorted(images)]

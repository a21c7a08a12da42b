"""A set of the suite: either found, or absent with a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrface.data.face_list import MARKER

#: Name in the suite -> name in tables.
TITLES = {
    "lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30", "calfw": "CALFW", "cplfw": "CPLFW", "xqlfw": "XQLFW",
    "uccs": "UCCS-180", "tinyface": "TinyFace", "survface": "QMUL-SurvFace", "scface": "SCface",
    "lfw_native": "LFW, small in the photo",
}  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A set that exists.

    Attributes:
        name: one of :data:`lrface.suite.options.SETS`.
        title: for tables.
        fingerprint: digest of the contents: images, lists, and how they are cropped.
        alignment: how faces are aligned, for tables.
        rehearsal: whether ``lrface data rehearse`` made it, so that its figures say nothing about the real set.
        load: reads it; can take a while.
    """

    name: str
    title: str
    fingerprint: str
    alignment: str
    rehearsal: bool
    load: Callable[[], Any]


@dataclass(frozen=True)
class Absent:
    """A set that does not exist, with a text about the files searched for, their place, and how to obtain them."""

    name: str
    title: str
    why: str


def is_rehearsal(folder: Path) -> bool:
    """Whether ``lrface data rehearse`` made a set."""
    return (folder / MARKER).exists()

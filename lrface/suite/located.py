"""A set of the suite: found, or absent and why."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrface.data.face_list import MARKER

#: Name in the suite -> what tables call it.
TITLES = {
    "lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30", "calfw": "CALFW", "cplfw": "CPLFW", "xqlfw": "XQLFW",
    "uccs": "UCCS-180", "tinyface": "TinyFace", "survface": "QMUL-SurvFace", "scface": "SCface",
    "lfw_native": "LFW, small in the photo",
}  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A set that is there.

    Attributes:
        name: one of :data:`lrface.suite.options.SETS`.
        title: for tables.
        fingerprint: names the contents: images, lists, and how they are cropped.
        alignment: how faces are aligned, for tables.
        rehearsal: whether it was made by ``lrface data rehearse`` and stands for nothing but itself.
        load: reads it; may take a while.
    """

    name: str
    title: str
    fingerprint: str
    alignment: str
    rehearsal: bool
    load: Callable[[], Any]


@dataclass(frozen=True)
class Absent:
    """A set that is not there: which, and a text that says what was looked for, where, and how to obtain it."""

    name: str
    title: str
    why: str


def is_rehearsal(folder: Path) -> bool:
    """Whether ``lrface data rehearse`` made a set."""
    return (folder / MARKER).exists()

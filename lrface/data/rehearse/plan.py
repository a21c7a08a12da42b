"""What is wanted of a rehearsal set, before a pixel is touched."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lrface.data.rehearse.degrade import Camera, Capture
from lrface.data.rehearse.pool import Pool


@dataclass(frozen=True)
class PlannedImage:
    """One image of a set.

    Attributes:
        source: position in the pool.
        person: whose face it is.
        part: of the set, such as ``probe``.
        label: the number that the person has in this part.
        file: relative path to write, ``.jpg`` or ``.png``.
        camera: how it is taken.
    """

    source: int
    person: str
    part: str
    label: int
    file: str
    camera: Camera


@dataclass(frozen=True)
class Plan:
    """All images of a set.

    Attributes:
        images: in the order of the set's lists.
        folders: to be made even where nothing goes into them.
        notes: what the set falls short of.
    """

    images: list[PlannedImage]
    folders: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


class RehearsedSet(Protocol):
    """One of the sets: a module of this package."""

    NAME: str
    FOLDER: str

    def plan(self, pool: Pool, camera: Camera) -> Plan:
        """Choose who goes where. Raises LrfaceError if there are too few people."""

    def write_lists(self, folder: Path, planned: Sequence[PlannedImage], captures: Sequence[Capture]) -> None:
        """Write the set's own lists beside its images."""

    def count(self, folder: Path) -> dict[str, int]:
        """Read the finished set with the real set's reader: people and images of its parts."""


def shortfall(found: dict[str, int], nominal: dict[str, int]) -> list[str]:
    """A line for each part that has fewer images or people than the published set."""
    return [
        f"{found[part]:,} {part}, the published set has {count:,}"
        for part, count in nominal.items()
        if found[part] < count
    ]


def allot(sizes: Sequence[int], total: int, most: int | None = None) -> list[int]:
    """How many images each person gives: as equal as what they have allows, ``total`` in all where there are as many.

    Args:
        sizes: how many images each has.
        total: how many are wanted.
        most: that one person may give.
    """
    limits = [min(size, most or size) for size in sizes]
    level = max(limits, default=0)
    while level > 0 and sum(min(limit, level) for limit in limits) > total:
        level -= 1
    counts = [min(limit, level) for limit in limits]
    spare = total - sum(counts)
    for at, limit in enumerate(limits):
        if spare > 0 and limit > counts[at]:
            counts[at] += 1
            spare -= 1
    return counts

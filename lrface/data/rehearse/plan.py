"""The plan of a rehearsal set, made before any image is processed."""

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
        person: name of the person.
        part: part of the set, such as ``probe``.
        label: number of the person in this part.
        file: relative path to write, ``.jpg`` or ``.png``.
        camera: the conditions of the image.
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
        folders: folders to create, even if they stay empty.
        notes: where the set is smaller than the published one.
    """

    images: list[PlannedImage]
    folders: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


class RehearsedSet(Protocol):
    """The protocol of a rehearsal set. Each set is a module of this package."""

    NAME: str
    FOLDER: str

    def plan(self, pool: Pool, camera: Camera) -> Plan:
        """Assign people and images to the parts of the set. Raises LrfaceError if there are too few people."""

    def write_lists(self, folder: Path, planned: Sequence[PlannedImage], captures: Sequence[Capture]) -> None:
        """Write the set's own lists beside its images."""

    def count(self, folder: Path) -> dict[str, int]:
        """Count people and images of each part of the finished set, with the reader of the real set."""


def shortfall(found: dict[str, int], nominal: dict[str, int]) -> list[str]:
    """One note for each part with fewer images or people than the published set."""
    return [
        f"{found[part]:,} {part}, the published set has {count:,}"
        for part, count in nominal.items()
        if found[part] < count
    ]


def allot(sizes: Sequence[int], total: int, most: int | None = None) -> list[int]:
    """Number of images that each person gives: as equal as possible, and ``total`` together if there are as many.

    Args:
        sizes: number of images that each person has.
        total: number of images wanted.
        most: limit for one person.
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

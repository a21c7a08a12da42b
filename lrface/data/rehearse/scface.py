"""The layout of SCface; see :mod:`lrface.data.sets.scface`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lrface.data.rehearse.degrade import Camera, Capture
from lrface.data.rehearse.plan import Plan, PlannedImage, shortfall
from lrface.data.rehearse.pool import Pool
from lrface.data.sets.scface import CAMERAS, DISTANCES, MUGSHOTS, SIZES, read_scface
from lrface.errors import LrfaceError

NAME = "scface"
FOLDER = "SCface"


def plan(pool: Pool, camera: Camera) -> Plan:
    """Take the people with the most images, at most 130. Each gets a sharp mugshot, and a camera for every three other images.

    The range of native sizes is cut into three parts, one for each distance. Distance 1 is the farthest and has the
    smallest faces.

    Raises:
        LrfaceError: fewer than two people with four images.
    """
    people = sorted(pool.people(least=4), key=lambda name: -len(pool.images[name]))[: SIZES["mugshot"]]
    if len(people) < 2:
        raise LrfaceError(f"{len(people)} people have four images or more: SCface needs at least two")
    span = camera.largest - camera.smallest
    bounds = [camera.smallest + round(span * third / 3) for third in range(4)]
    planned: list[PlannedImage] = []
    for subject, name in enumerate(people, 1):
        images = iter(pool.images[name])
        planned.append(
            PlannedImage(
                next(images), name, "mugshot", subject, f"{MUGSHOTS}/{subject:03d}_frontal.jpg", camera.sharp()
            )
        )
        for number in list(CAMERAS)[: (len(pool.images[name]) - 1) // len(DISTANCES)]:
            for distance in DISTANCES:
                file = f"{_folder(distance, number)}/{subject:03d}_cam{number}_{distance}.jpg"
                lens = replace(camera, smallest=bounds[distance - 1], largest=bounds[distance])
                planned.append(PlannedImage(next(images), name, f"distance {distance}", subject, file, lens))
    parts = [image.part for image in planned]
    found = {f"{part} images": parts.count(part) for part in SIZES}
    folders = tuple(_folder(distance, number) for distance in DISTANCES for number in CAMERAS)
    return Plan(planned, folders, shortfall(found, {f"{part} images": size for part, size in SIZES.items()}))


def _folder(distance: int, camera: int) -> str:
    return f"surveillance_cameras_distance_{distance}/cam_{camera}"


def write_lists(folder: Path, planned: Sequence[PlannedImage], captures: Sequence[Capture]) -> None:
    """SCface has no lists: its file names say everything."""


def count(folder: Path) -> dict[str, int]:
    """Number of people, and of images at each distance."""
    scface = read_scface(folder)
    distances = {f"distance {distance} images": len(faces) for distance, faces in scface.cameras.items()}
    return {"people": scface.mugshots.people} | distances

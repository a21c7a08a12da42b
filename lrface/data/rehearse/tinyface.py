"""The layout of TinyFace; see :mod:`lrface.data.sets.tinyface`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrface.data.rehearse.degrade import Camera, Capture
from lrface.data.rehearse.plan import Plan, PlannedImage, allot, shortfall
from lrface.data.rehearse.pool import Pool
from lrface.data.sets.matlists import cells, write_mat
from lrface.data.sets.tinyface import SIZES, read_tinyface
from lrface.errors import LrfaceError

NAME = "tinyface"
FOLDER = "tinyface"

TRAINING = {"people": 2570, "images": 7804}
TEST_PEOPLE = 2569
#: Largest number of images from one person, so that a few people with many images do not dominate the figures.
MOST = 16


def plan(pool: Pool, camera: Camera) -> Plan:
    """Use half of the people with two or more images for training, half for probes and their mates.

    All others become distractors: people with one image, and people that do not fit into the two halves.

    Raises:
        LrfaceError: fewer than two people with two images.
    """
    people = pool.people(least=2)
    if len(people) < 2:
        raise LrfaceError(
            f"{len(people)} people have two images or more: TinyFace needs one to train on and one to find"
        )
    tested = people[: min(TEST_PEOPLE, len(people) // 2)]
    trained = people[len(tested) : len(tested) + TRAINING["people"]]
    planned: list[PlannedImage] = []
    counts = allot([len(pool.images[name]) for name in trained], TRAINING["images"], MOST)
    for label, (name, count) in enumerate(zip(trained, counts, strict=True), 1):
        for number, image in enumerate(pool.images[name][:count], 1):
            file = f"Training_Set/{label}/{label}_{number}.jpg"
            planned.append(PlannedImage(image, name, "training", label, file, camera))
    counts = allot([len(pool.images[name]) for name in tested], SIZES["probe"] + SIZES["match"], MOST)
    share = SIZES["match"] / (SIZES["probe"] + SIZES["match"])
    for label, (name, count) in enumerate(zip(tested, counts, strict=True), 1):
        mates = int(np.clip(round(count * share), 1, count - 1))
        for number, image in enumerate(pool.images[name][:count], 1):
            part, folder = ("match", "Gallery_Match") if number <= mates else ("probe", "Probe")
            file = f"Testing_Set/{folder}/{label}_{number}.jpg"
            planned.append(PlannedImage(image, name, part, label, file, camera))
    used = {*tested, *trained}
    others = [(name, image) for name in pool.people() if name not in used for image in pool.images[name]]
    for number, (name, image) in enumerate(others[: SIZES["distractor"]], 1):
        file = f"Testing_Set/Gallery_Distractor/{number:06d}.jpg"
        planned.append(PlannedImage(image, name, "distractor", -100, file, camera))
    parts = [image.part for image in planned]
    found = {f"{part} images": parts.count(part) for part in ("training", *SIZES)}
    nominal = {"training images": TRAINING["images"]} | {f"{part} images": size for part, size in SIZES.items()}
    folders = ("Training_Set", *(f"Testing_Set/{name}" for name in ("Probe", "Gallery_Match", "Gallery_Distractor")))
    return Plan(planned, folders, shortfall(found, nominal))


def write_lists(folder: Path, planned: Sequence[PlannedImage], captures: Sequence[Capture]) -> None:
    """Write the two lists with uint16 labels, like the published ones."""
    for part, prefix, file in (
        ("probe", "probe", "probe_img_ID_pairs.mat"),
        ("match", "gallery", "gallery_match_img_ID_pairs.mat"),
    ):
        listed = [image for image in planned if image.part == part]
        names = cells([Path(image.file).name for image in listed])
        ids = np.array([image.label for image in listed], np.uint16).reshape(-1, 1)
        write_mat(folder / "Testing_Set" / file, {f"{prefix}_set": names, f"{prefix}_ids": ids})


def count(folder: Path) -> dict[str, int]:
    """Number of people and images in each part."""
    tinyface = read_tinyface(folder)
    return {
        "training people": tinyface.train.people,
        "training images": len(tinyface.train),
        "test people": tinyface.probe.people,
        "probe images": len(tinyface.probe),
        "match images": len(tinyface.match),
        "distractor images": len(tinyface.distractors),
    }

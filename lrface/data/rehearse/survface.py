"""The layout of QMUL-SurvFace; see :mod:`lrface.data.sets.survface`."""

import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from lrface.data.rehearse.degrade import Camera, Capture
from lrface.data.rehearse.plan import Plan, PlannedImage, allot, shortfall
from lrface.data.rehearse.pool import Pool
from lrface.data.sets.matlists import cells, write_mat
from lrface.data.sets.subject_split import shuffled
from lrface.data.sets.survface import IDENTIFICATION, SIZES, VERIFICATION, read_survface
from lrface.errors import LrfaceError

NAME = "survface"
FOLDER = "QMUL-SurvFace"

TRAINING = {"people": 5319, "images": 220890}
TEST_PEOPLE = 5319
#: Number of pairs of each kind.
PAIRS = 5320


def plan(pool: Pool, camera: Camera) -> Plan:
    """Use half of the people with two or more images for training and half for the gallery; all others are unmated probes.

    Raises:
        LrfaceError: fewer than three people with two images: one for training and two for the test are needed.
    """
    people = pool.people(least=2)
    if len(people) < 3:
        raise LrfaceError(f"{len(people)} people have two images or more: QMUL-SurvFace needs at least three")
    tested = people[: min(TEST_PEOPLE, (len(people) + 1) // 2)]
    trained = people[len(tested) : len(tested) + TRAINING["people"]]
    planned: list[PlannedImage] = []
    counts = allot([len(pool.images[name]) for name in trained], TRAINING["images"])
    number = len(tested)  # people of both parts have different numbers
    for label, (name, count) in enumerate(zip(trained, counts, strict=True), number + 1):
        for at, image in enumerate(pool.images[name][:count], 1):
            file = f"training_set/{label}/{label}_cam1_{at}.jpg"
            planned.append(PlannedImage(image, name, "training", label, file, camera))
    counts = allot([len(pool.images[name]) for name in tested], SIZES["gallery"] + SIZES["mated probe"])
    for label, (name, count) in enumerate(zip(tested, counts, strict=True), 1):
        for at, image in enumerate(pool.images[name][:count], 1):
            part, folder = ("gallery", "gallery") if at <= count // 2 else ("mated probe", "mated_probe")
            file = f"{IDENTIFICATION}/{folder}/{label}_cam{1 + (at > count // 2)}_{at}.jpg"
            planned.append(PlannedImage(image, name, part, label, file, camera))
    used = {*tested, *trained}
    others = [(name, image) for name in pool.people() if name not in used for image in pool.images[name]]
    for at, (name, image) in enumerate(others[: SIZES["unmated probe"]], 1):
        file = f"{IDENTIFICATION}/unmated_probe/distractors_{at}.jpg"
        planned.append(PlannedImage(image, name, "unmated probe", -1, file, camera))
    parts = [image.part for image in planned]
    found = {f"{part} images": parts.count(part) for part in ("training", *SIZES)}
    nominal = {"training images": TRAINING["images"]} | {f"{part} images": size for part, size in SIZES.items()}
    parts_of_test = (f"{IDENTIFICATION}/{name}" for name in ("gallery", "mated_probe", "unmated_probe"))
    return Plan(
        planned, ("training_set", *parts_of_test, f"{VERIFICATION}/verification_images"), shortfall(found, nominal)
    )


def write_lists(folder: Path, planned: Sequence[PlannedImage], captures: Sequence[Capture]) -> None:
    """Write the two lists for identification and the lists of pairs, and copy the images of the pairs."""
    for part, prefix in (("gallery", "gallery"), ("mated probe", "mated_probe")):
        listed = [image for image in planned if image.part == part]
        names = cells([Path(image.file).name for image in listed])
        ids = np.array([image.label for image in listed], np.uint16).reshape(-1, 1)
        write_mat(
            folder / IDENTIFICATION / f"{prefix}_img_ID_pairs.mat", {f"{prefix}_set": names, f"{prefix}_ids": ids}
        )
    tested = {Path(image.file).name: image for image in planned if image.part in ("gallery", "mated probe")}
    positive = _same(tested)
    negative = _different(tested, len(positive))
    for kind, pairs in (("positive", positive), ("negative", negative)):
        key = f"{kind}_pairs_names"
        write_mat(folder / VERIFICATION / f"{key}.mat", {key: cells(pairs)})
    for name in sorted({name for pair in positive + negative for name in pair}):
        shutil.copyfile(folder / tested[name].file, folder / VERIFICATION / "verification_images" / name)


def _same(tested: dict[str, PlannedImage]) -> list[list[str]]:
    """Pairs of images of one person, in random order, at most ``PAIRS``."""
    people: dict[int, list[str]] = {}
    for name, image in tested.items():
        people.setdefault(image.label, []).append(name)
    pairs = {f"{a}\0{b}": [a, b] for names in people.values() for a, b in combinations(names[:16], 2)}
    return [pairs[key] for key in shuffled(pairs, 0, "pairs")[:PAIRS]]


def _different(tested: dict[str, PlannedImage], wanted: int) -> list[list[str]]:
    """Pairs of images of two people. The images, in random order, are paired with the same list moved by 1, 2, ... positions."""
    order = shuffled(tested, 0, "strangers")
    moved = ((a, order[(at + step) % len(order)]) for step in range(1, len(order)) for at, a in enumerate(order))
    pairs: dict[frozenset[str], list[str]] = {}
    for a, b in moved:
        if len(pairs) == wanted:
            break
        if tested[a].label != tested[b].label:
            pairs.setdefault(frozenset((a, b)), [a, b])
    return list(pairs.values())


def count(folder: Path) -> dict[str, int]:
    """Number of people and images in each part, and of pairs."""
    survface = read_survface(folder)
    pairs = survface.pairs
    return {
        "training people": survface.train.people,
        "training images": len(survface.train),
        "gallery people": survface.gallery.people,
        "gallery images": len(survface.gallery),
        "mated probe images": len(survface.mated),
        "unmated probe images": len(survface.unmated),
        "positive pairs": int(pairs.same.sum()) if pairs else 0,
        "negative pairs": int((~pairs.same).sum()) if pairs else 0,
    }

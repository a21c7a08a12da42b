"""The layout of the UCCS challenge; see :mod:`lrface.data.sets.uccs`."""

import csv
from collections.abc import Sequence
from pathlib import Path

from lrface.data.rehearse.degrade import Camera, Capture
from lrface.data.rehearse.plan import Plan, PlannedImage, allot, shortfall
from lrface.data.rehearse.pool import Pool
from lrface.data.sets.subject_split import shuffled
from lrface.data.sets.uccs import SUBJECTS, TEST_IMAGES, TRAIN_IMAGES, read_uccs
from lrface.data.sets.uccs_challenge import BOX, POINTS
from lrface.errors import LrfaceError
from lrface.files import atomic_write

NAME = "uccs"
FOLDER = "uccs"

#: Number of people in the challenge's gallery, and of gallery images of each.
PEOPLE, GALLERY_IMAGES = 1000, 10
#: Largest number of images from one person.
MOST = 60


def plan(pool: Pool, camera: Camera) -> Plan:
    """Take the people with the most images: up to ten images each for the gallery, the rest for the validation set.

    The validation set also gets one image of each unknown person, up to the number of images of known people there.

    Raises:
        LrfaceError: fewer than two people with two images.
    """
    people = sorted(pool.people(least=2), key=lambda name: -len(pool.images[name]))[:PEOPLE]  # sorting is stable
    if len(people) < 2:
        raise LrfaceError(f"{len(people)} people have two images or more: UCCS needs at least two")
    planned, photos = [], []
    counts = allot([len(pool.images[name]) for name in people], sum(len(pool.images[name]) for name in people), MOST)
    for label, (name, count) in enumerate(zip(people, counts, strict=True), 1):
        listed = min(GALLERY_IMAGES, (count + 1) // 2)
        for number, image in enumerate(pool.images[name][:count]):
            if number < listed:
                file = f"gallery_images/{label:04d}/{label:04d}_{number}.png"
                planned.append(PlannedImage(image, name, "gallery", label, file, camera))
            else:
                photos.append((image, name, label))
    known = set(people)
    strangers = [(pool.images[name][0], name, -1) for name in pool.people() if name not in known][: len(photos)]
    by_path = {pool.paths[photo[0]]: photo for photo in photos + strangers}
    for number, path in enumerate(shuffled(by_path, pool.seed, "validation"), 1):
        image, name, label = by_path[path]
        planned.append(PlannedImage(image, name, "validation", label, f"validation_images/{number:06d}.jpg", camera))
    total = sum(image.label > 0 for image in planned)
    found = {"people": len(people), "images of known people": total}
    notes = shortfall(found, {"people": SUBJECTS, "images of known people": TRAIN_IMAGES + TEST_IMAGES})
    return Plan(planned, ("gallery_images", "validation_images"), notes)


def write_lists(folder: Path, planned: Sequence[PlannedImage], captures: Sequence[Capture]) -> None:
    """Write ``gallery.csv`` with landmarks, and ``validation.csv`` with the whole image as the box."""
    gallery: list[list[object]] = []
    validation: list[list[object]] = []
    for image, capture in zip(planned, captures, strict=True):
        name = Path(image.file).name
        if image.part == "gallery":
            gallery.append([name, image.label, *(f"{value:.3f}" for value in capture.landmarks.ravel())])
        else:
            validation.append([name, len(validation) + 1, image.label, 0, 0, capture.size, capture.size])
    columns = [f"{point}_{axis}" for point in POINTS for axis in "XY"]
    _write(folder / "gallery.csv", ["FILE", "SUBJECT_ID", *columns], gallery)
    _write(folder / "validation.csv", ["FILE", "FACE_ID", "SUBJECT_ID", *BOX], validation)
    with atomic_write(folder / "exclude_gallery_validation.txt", "w"):
        pass  # no face is in both lists


def _write(file: Path, header: list[str], rows: list[list[object]]) -> None:
    with atomic_write(file, "w") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def count(folder: Path) -> dict[str, int]:
    """Number of images in the two lists and in the split that is made from them."""
    uccs = read_uccs(folder)
    rows = {name: len((folder / f"{name}.csv").read_text().splitlines()) - 1 for name in ("gallery", "validation")}
    return {
        "gallery images": rows["gallery"],
        "validation images": rows["validation"],
        "subjects of the split": uccs.subjects,
        "training images of the split": len(uccs.train),
        "test images of the split": len(uccs.test),
    }

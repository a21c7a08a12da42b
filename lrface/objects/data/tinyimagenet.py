"""TinyImageNet (Stanford CS231n): 200 classes of 64 pixels. Its ``val`` is used as test set: the real one has no labels."""

from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.objects.data.pictures import Pictures, checked, read_files, read_folders

CLASSES, SIDE = 200, 64
FOLDER = "tiny-imagenet-200"


def read_tinyimagenet(path: Path, split: str) -> Pictures:
    """Read ``train/WNID/images``, or for ``test`` either ``val/images`` with ``val_annotations.txt``, or ``val/WNID``.

    Raises:
        LrfaceError: a file or a class is missing.
    """
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    if split == "train":
        return read_folders(root / "train", CLASSES, SIDE, "images")
    notes = root / "val" / "val_annotations.txt"
    if not notes.is_file():
        return read_folders(root / "val", CLASSES, SIDE)
    names = tuple(sorted(each.name for each in (root / "train").glob("*") if each.is_dir()))
    rows = [line.split("\t")[:2] for line in notes.read_text().splitlines() if line.strip()]
    number = {name: place for place, name in enumerate(names)}
    for row in rows:
        if len(row) < 2 or row[1] not in number:
            raise LrfaceError(f"{notes}: the line {row[0]!r} names no class of {root / 'train'}")
    images = read_files([root / "val" / "images" / file for file, _ in rows], SIDE)
    return checked(images, np.array([number[name] for _, name in rows]), names, str(root / "val"))

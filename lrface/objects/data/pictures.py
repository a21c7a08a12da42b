"""A labelled set of small pictures in memory."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.degrade import resize
from lrface.faces.images import read_image
from lrface.files import looked_in

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm")


@dataclass(frozen=True)
class Pictures:
    """Pictures and their classes.

    Attributes:
        images: uint8 RGB ``[N, side, side, 3]``.
        labels: int64 ``[N]``, numbers of the classes from 0.
        names: names of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.images.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all pixels, labels and class names, in hex."""
        digest = hashlib.sha256(repr((self.images.shape, self.names)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def take(self, chosen: np.ndarray) -> "Pictures":
        """The pictures at the positions ``chosen``."""
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    def first(self, classes: int) -> "Pictures":
        """Only the first ``classes`` classes.

        Raises:
            LrfaceError: there are fewer classes.
        """
        if classes > len(self.names):
            raise LrfaceError(f"{classes} classes are asked for, and the set has {len(self.names)}: lower data.classes")
        part = self.take(np.flatnonzero(self.labels < classes))
        return replace(part, names=self.names[:classes])

    def resized(self, side: int) -> "Pictures":
        """All pictures resized to another side, bilinear with antialiasing."""
        if side == self.side:
            return self
        return replace(self, images=np.stack([resize(image, side) for image in self.images]))

    def part(self, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw ``per_class`` pictures of each class at random.

        Returns:
            Positions of the drawn pictures and of all others, both int64 and sorted.

        Raises:
            LrfaceError: a class has too few pictures: at least one must remain.
        """
        rng = np.random.default_rng(seed)
        chosen = []
        for number, name in enumerate(self.names):
            places = np.flatnonzero(self.labels == number)
            if len(places) <= per_class:
                raise LrfaceError(
                    f"{per_class} pictures of each class are asked for, and class {name} has {len(places)}: ask for fewer"
                )
            chosen.append(rng.permutation(places)[:per_class])
        taken = np.sort(np.concatenate(chosen))
        return taken, np.setdiff1d(np.arange(len(self)), taken)


def checked(images: np.ndarray, labels: np.ndarray, names: tuple[str, ...], where: str) -> Pictures:
    """Make a set after checking that the counts agree and that every class has pictures.

    Args:
        images: uint8 RGB ``[N, side, side, 3]``.
        labels: integers ``[N]``.
        names: names of the classes.
        where: source of the set, for error messages.

    Raises:
        LrfaceError: an array has the wrong dtype or shape, the counts differ, or a class has no picture.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not len(images):
        raise LrfaceError(f"{where} holds {images.dtype} of shape {list(images.shape)}: expected uint8 RGB pictures")
    if len(images) != len(labels):
        raise LrfaceError(f"{where} has {len(images)} pictures and {len(labels)} labels")
    labels = labels.astype(np.int64)
    if labels.min() < 0 or labels.max() >= len(names):
        raise LrfaceError(f"{where} has labels {labels.min()} to {labels.max()}, and {len(names)} classes")
    counts = np.bincount(labels, minlength=len(names))
    if not counts.all():
        raise LrfaceError(f"{where} has no picture of class {names[int(np.argmin(counts > 0))]}")
    return Pictures(images, labels, names)


def read_folders(folder: Path, classes: int | None = None, side: int | None = None, inner: str = "") -> Pictures:
    """Read a folder that has a subfolder for each class.

    Args:
        folder: the folder.
        classes: required number of classes; None: any.
        side: size to which all pictures are resized, in pixels; None: all pictures have the same size.
        inner: name of a folder inside each class that holds the pictures; empty: the class's folder itself.

    Raises:
        LrfaceError: the folder is missing, the number of classes is wrong, a class is empty, or the sizes differ.
    """
    if not folder.is_dir():
        raise LrfaceError(f"no such folder: {folder} ({looked_in(folder)})")
    names = tuple(sorted(each.name for each in folder.iterdir() if each.is_dir()))
    if classes is not None and len(names) != classes:
        raise LrfaceError(f"{folder} has {len(names)} folders of classes, {classes} are expected")
    files: list[tuple[Path, int]] = []
    for number, name in enumerate(names):
        inside = folder / name / inner
        found = sorted(each for each in inside.glob("*") if each.suffix.lower() in SUFFIXES)
        if not found:
            raise LrfaceError(f"{inside} holds no picture: the class {name} is missing")
        files += [(each, number) for each in found]
    if not files:
        raise LrfaceError(f"{folder} holds no folders of classes")
    return checked(read_files([path for path, _ in files], side), np.array([n for _, n in files]), names, str(folder))


def read_files(paths: list[Path], side: int | None = None) -> np.ndarray:
    """Read pictures as uint8 RGB ``[N, side, side, 3]``.

    Raises:
        LrfaceError: a picture cannot be read or has another size.
    """

    def read(path: Path) -> np.ndarray:
        image = read_image(path)
        return image if side is None else resize(image, side)

    with ThreadPoolExecutor() as pool:
        images = list(pool.map(read, paths))
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise LrfaceError(f"{path} is {image.shape[1]} x {image.shape[0]} pixels, others differ: set data.side")
    return np.stack(images)

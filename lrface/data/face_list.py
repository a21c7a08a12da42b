"""Faces as files with a label each: what the readers of the low-resolution data sets give, and what is embedded."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.folders import Passed
from lrface.data.sets.matlists import read_id_list
from lrface.data.sources import FolderSource
from lrface.errors import LrfaceError
from lrface.faces.formats import SUFFIXES
from lrface.files import read_json

#: Label of a person whom nobody has named.
UNKNOWN = -1
#: Label of a gallery image that is nobody's mate; the official TinyFace code uses this number.
DISTRACTOR = -100
#: A set that holds this file was made by ``lrface data rehearse`` and is none of the field's.
MARKER = "REHEARSAL.json"


@dataclass(frozen=True, eq=False)
class FaceList:
    """Faces in files; several may lie in one photo, told apart by their landmarks.

    Attributes:
        paths: the image of each face, absolute or relative to the working directory.
        ids: int64 ``[n]``: the person, from 0 or 1 on; ``UNKNOWN`` or ``DISTRACTOR`` for those without a name.
        landmarks: float32 ``[n, 5, 2]`` pixels in the order of :data:`lrface.faces.align.TEMPLATE`, the points that the
            aligned crop is cut by; a row of NaN where none are known. None where none are known at all.

    Raises:
        LrfaceError: the three differ in length.
    """

    paths: tuple[Path, ...]
    ids: np.ndarray
    landmarks: np.ndarray | None = None

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, np.int64).reshape(-1)
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "ids", ids)
        if len(ids) != len(self.paths):
            raise LrfaceError(f"{len(self.paths)} faces with {len(ids)} labels: one each is needed")
        if self.landmarks is not None:
            points = np.asarray(self.landmarks, np.float32)
            if points.shape != (len(ids), 5, 2):
                raise LrfaceError(
                    f"landmarks of the shape {list(points.shape)} for {len(ids)} faces: [n, 5, 2] is needed"
                )
            object.__setattr__(self, "landmarks", points)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def people(self) -> int:
        """How many named people there are."""
        return len(np.unique(self.ids[self.ids >= 0]))

    def subset(self, which: Sequence[int] | np.ndarray | slice) -> "FaceList":
        """The faces at these positions, in this order, or where a boolean mask is true."""
        at = np.arange(len(self))[which if isinstance(which, slice) else np.asarray(which)]
        points = None if self.landmarks is None else self.landmarks[at]
        return FaceList(tuple(self.paths[i] for i in at), self.ids[at], points)

    @staticmethod
    def merge(*lists: "FaceList") -> "FaceList":
        """One list after the other; landmarks are NaN where a list has none and another has."""
        paths = tuple(path for faces in lists for path in faces.paths)
        ids = np.concatenate([faces.ids for faces in lists]) if lists else np.empty(0, np.int64)
        if all(faces.landmarks is None for faces in lists):
            return FaceList(paths, ids)
        nothing = [np.full((len(faces), 5, 2), np.nan, np.float32) for faces in lists]
        known = [
            none if faces.landmarks is None else faces.landmarks for faces, none in zip(lists, nothing, strict=True)
        ]
        return FaceList(paths, ids, np.concatenate(known))

    def fingerprint(self) -> str:
        """Names the list: SHA-256 of the images' relative paths and sizes in bytes, labels and landmarks.

        It stays the same where the whole set is moved. Contents are not read: an image that was replaced by another
        one of exactly the same number of bytes goes unnoticed.

        Raises:
            LrfaceError: an image is missing.
        """
        digest = hashlib.sha256()
        root = os.path.commonpath([path.parent for path in self.paths]) if self.paths else ""
        for path in self.paths:
            try:
                size = path.stat().st_size
            except OSError as error:
                raise LrfaceError(f"cannot read {path}: {error.strerror or error}") from error
            digest.update(f"{os.path.relpath(path, root)}\0{size}\n".encode("utf-8", "surrogateescape"))
        digest.update(self.ids.astype("<i8").tobytes())
        digest.update(b"" if self.landmarks is None else self.landmarks.astype("<f4").tobytes())
        return digest.hexdigest()


NO_FACES = FaceList((), np.empty(0, np.int64))


def images_in(folder: Path, set_name: str) -> list[Path]:
    """The images of one folder, sorted by name; other files are none of ours.

    Args:
        folder: the folder.
        set_name: what ``lrface data where`` calls the set, for the error.

    Raises:
        LrfaceError: there is no such folder.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if Path(entry.name).suffix.lower() in SUFFIXES)
    except OSError as error:
        raise LrfaceError(
            f"cannot list {folder}: {error.strerror or error}; `lrface data where {set_name}` tells the layout"
        ) from error
    return [folder / name for name in names]


def require_images(paths: Iterable[Path], listed_in: str | Path) -> None:
    """Make sure that all these files exist, by listing their folders once each.

    Raises:
        LrfaceError: some do not: how many, the first of them, and where it was listed.
    """
    there: dict[Path, set[str]] = {}
    missing, total = [], 0
    for path in paths:
        total += 1
        if path.parent not in there:
            there[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        if path.name not in there[path.parent]:
            missing.append(path)
    if missing:
        raise LrfaceError(
            f"{len(missing)} of the {total} images that {listed_in} lists are missing, first {missing[0]}: "
            "unpack the archive again"
        )


def read_listed(file: Path, prefix: str, folder: Path, set_name: str) -> tuple[FaceList, list[str]]:
    """The faces of a MATLAB list, in its order, and a line if the folder has images that it does not list.

    Args:
        file: with the variables ``<prefix>_set`` and ``<prefix>_ids``.
        prefix: of the two variables.
        folder: where the images lie.
        set_name: what ``lrface data where`` calls the set, for errors.

    Raises:
        LrfaceError: the list is missing or damaged, has a negative label, or names an image that is missing.
    """
    listed = read_id_list(file, f"{prefix}_set", f"{prefix}_ids")
    if (listed.ids < 0).any():
        raise LrfaceError(f"{file} has the label {listed.ids.min()}; people count from 0 or 1 on: get it again")
    paths = tuple(folder / name for name in listed.names)
    require_images(paths, file)
    beside = len(images_in(folder, set_name)) - len(paths)
    return FaceList(paths, listed.ids), (
        [f"{beside:,} images in {folder.name} are not in its list and not used"] if beside else []
    )


def read_identities(root: Path) -> FaceList:
    """:func:`read_folder` without what is not used."""
    return read_folder(root)[0]


def read_folder(root: Path) -> tuple[FaceList, Passed]:
    """A folder per identity, and what lies in it and is not used.

    Labels count the folders in the order of their names, empty ones left out.

    Raises:
        LrfaceError: no folders or no images.
    """
    source = FolderSource(root)
    items = list(source.items(0, len(source.counts())))
    if not items:
        raise LrfaceError(f"{root} holds no images: expected one folder of images for each identity")
    labels = np.unique([item.label for item in items], return_inverse=True)[1]
    return FaceList(tuple(root / item.path for item in items), labels), source.passed()


def read_marker(root: Path) -> dict[str, Any] | None:
    """What ``lrface data rehearse`` wrote of a set that it made, or None for a set that is not of its making.

    Raises:
        LrfaceError: the marker is damaged.
    """
    if not (root / MARKER).exists():
        return None
    content = read_json(root / MARKER)
    if not isinstance(content, dict):
        raise LrfaceError(f"{root / MARKER} is damaged: make the rehearsal again")
    return content


def mate_note(probes: FaceList, gallery: FaceList, kind: str = "probe") -> list[str]:
    """A line that counts the probes whose person is not in the gallery, if there are any; they stay in the list."""
    count = int((~np.isin(probes.ids, gallery.ids[gallery.ids >= 0])).sum())
    return [f"{count:,} of {len(probes):,} {kind}s have no mate in the gallery"] if count else []


def size_notes(found: dict[str, int], nominal: dict[str, int]) -> list[str]:
    """A line for each part of a set that has another number of images than the published set."""
    return [
        f"{found[part]:,} {part} images, the published set has {count:,}"
        for part, count in nominal.items()
        if found[part] != count
    ]

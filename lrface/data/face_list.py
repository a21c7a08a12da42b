"""Lists of faces: image files with a label each. The low-resolution data sets are read as such lists, and embedded from them."""

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

#: Label of a person without a known name.
UNKNOWN = -1
#: Label of a gallery image that is the mate of no probe; the official TinyFace code uses this number.
DISTRACTOR = -100
#: This file marks a set that ``lrface data rehearse`` made, as opposed to a real one.
MARKER = "REHEARSAL.json"


@dataclass(frozen=True, eq=False)
class FaceList:
    """Faces in files. Several faces may come from one photo; their landmarks tell them apart.

    Attributes:
        paths: the image of each face, absolute or relative to the working directory.
        ids: int64 ``[n]``: label of the person, starting at 0 or 1; ``UNKNOWN`` or ``DISTRACTOR`` for faces without a name.
        landmarks: float32 ``[n, 5, 2]`` pixels in the order of :data:`lrface.faces.align.TEMPLATE`, for cutting the aligned
            crops. A row is NaN if the landmarks of this face are unknown. None if all are unknown.

    Raises:
        LrfaceError: the three differ in length, or the landmarks have another shape.
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
        """Number of named people."""
        return len(np.unique(self.ids[self.ids >= 0]))

    def subset(self, which: Sequence[int] | np.ndarray | slice) -> "FaceList":
        """The faces at these positions, in this order, or those where a boolean mask is true."""
        at = np.arange(len(self))[which if isinstance(which, slice) else np.asarray(which)]
        points = None if self.landmarks is None else self.landmarks[at]
        return FaceList(tuple(self.paths[i] for i in at), self.ids[at], points)

    @staticmethod
    def merge(*lists: "FaceList") -> "FaceList":
        """Join lists in order. The landmarks of a list without any become NaN if another list has landmarks."""
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
        """Digest that identifies the list: SHA-256 of the relative paths and sizes in bytes of the images, labels and landmarks.

        It does not change if the whole set is moved. The image contents are not read: replacing an image by another one with
        the same number of bytes is not noticed.

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
    """The images of one folder, sorted by name; other files are ignored.

    Args:
        folder: the folder.
        set_name: name of the set in ``lrface data where``, for the error.

    Raises:
        LrfaceError: the folder does not exist or cannot be listed.
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
    """Check that all these files exist. Each folder is listed only once.

    Args:
        paths: the files.
        listed_in: the list that names them, for the error.

    Raises:
        LrfaceError: some are missing; the message says how many, which one is the first, and which list names it.
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
    """Read the faces of a MATLAB list, in its order, and a note if the folder has images that are not in the list.

    Args:
        file: MATLAB file with the variables ``<prefix>_set`` and ``<prefix>_ids``.
        prefix: beginning of the names of both variables.
        folder: the folder with the images.
        set_name: name of the set in ``lrface data where``, for errors.

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
    """Read a folder with one subfolder per identity; see :func:`read_folder`. Skipped files are not reported."""
    return read_folder(root)[0]


def read_folder(root: Path) -> tuple[FaceList, Passed]:
    """Read a folder with one subfolder per identity.

    Labels number the subfolders from 0 in the order of their names; empty subfolders get no label.

    Returns:
        The faces, and the files and folders that were skipped.

    Raises:
        LrfaceError: there are no subfolders or no images.
    """
    source = FolderSource(root)
    items = list(source.items(0, len(source.counts())))
    if not items:
        raise LrfaceError(f"{root} holds no images: expected one folder of images for each identity")
    labels = np.unique([item.label for item in items], return_inverse=True)[1]
    return FaceList(tuple(root / item.path for item in items), labels), source.passed()


def read_marker(root: Path) -> dict[str, Any] | None:
    """Read the marker that ``lrface data rehearse`` writes into its sets; None for a real set.

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
    """A note with the number of probes whose person is not in the gallery; empty if there are none. They stay in the list."""
    count = int((~np.isin(probes.ids, gallery.ids[gallery.ids >= 0])).sum())
    return [f"{count:,} of {len(probes):,} {kind}s have no mate in the gallery"] if count else []


def size_notes(found: dict[str, int], nominal: dict[str, int]) -> list[str]:
    """One note for each part of a set whose number of images differs from that of the published set."""
    return [
        f"{found[part]:,} {part} images, the published set has {count:,}"
        for part, count in nominal.items()
        if found[part] != count
    ]

"""Sources of faces: a folder per identity, or an insightface RecordIO file. ``prepare`` reads both in the same way."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lrface.data.folders import DEEPER, LOOSE, Passed, leave_out, list_folder, walk
from lrface.data.recordio import MAX_EXACT_LABEL, RecordReader
from lrface.errors import LrfaceError
from lrface.files import looked_in, require_path

EYE_COLUMNS = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")
POINT_COLUMNS = (*EYE_COLUMNS, "nose_x", "nose_y", "left_mouth_x", "left_mouth_y", "right_mouth_x", "right_mouth_y")


#: Name of the folder, and label, of faces without an identity.
UNLABELLED = "-1"


@dataclass(frozen=True)
class Item:
    """One image of a source.

    Attributes:
        path: its name within the source: a relative path, or the key of a record.
        identity: the name of the person.
        label: number of the identity within the whole source, the same on every machine; -1 for no identity.
        landmarks: ``[n][2]`` pixels if the source has them.
        known: False if there is a landmarks file that does not list this image.
    """

    path: str
    identity: str
    label: int
    landmarks: list[list[float]] | None = None
    known: bool = True


class Source(Protocol):
    """A set of images, grouped by identity, listed in the same order on every machine.

    It is pickled for worker processes, which only call ``load``. A pickled copy therefore need not contain the list.
    """

    root: Path

    def counts(self) -> list[tuple[str, int]]:
        """The identities in order, each with its number of images."""

    def items(self, first: int, stop: int) -> Iterator[Item]:
        """The images of the identities ``first`` to ``stop`` (exclusive), in order."""

    def load(self, item: Item) -> bytes:
        """Read the encoded image. Raises LrfaceError if it cannot be read."""

    def passed(self) -> Passed:
        """The contents of the source that are not items."""


def open_source(path: str | Path, landmarks: str | Path | None = None) -> Source:
    """Open a folder per identity, a ``.rec`` file, or a folder that holds ``train.rec``.

    Args:
        path: the source.
        landmarks: a CSV file with landmarks for a folder; see :class:`FolderSource`.

    Raises:
        LrfaceError: there is no such source, it holds no images, or the landmarks cannot be used.
    """
    root = Path(require_path(path))
    if is_record(root):
        if landmarks:
            raise LrfaceError(f"{root} holds aligned crops: a landmarks file cannot be applied to it")
        return RecordSource(root if root.suffix == ".rec" else root / "train.rec")
    if not root.is_dir():
        raise LrfaceError(
            f"no such source: {root} (expected a folder per identity or an insightface .rec file; {looked_in(root)})"
        )
    return FolderSource(root, Path(landmarks) if landmarks else None)


def is_record(path: str | Path) -> bool:
    """Whether a source is insightface's RecordIO: a ``.rec`` file, or a folder that holds ``train.rec``."""
    return Path(path).suffix == ".rec" or (Path(path) / "train.rec").exists()


class FolderSource:
    """A folder per identity, as in CASIA-WebFace, LFW and most collections: ``root/<identity>/<image>``.

    Faces in the folder ``-1`` have no identity.

    A landmarks CSV names images in the column ``path``, relative to ``root``. It has either the columns ``left_eye_x,
    left_eye_y, right_eye_x, right_eye_y``, or these and the same columns for ``nose``, ``left_mouth`` and ``right_mouth``.
    Left means left in the image.

    Raises:
        LrfaceError: the folder cannot be listed or has no subfolders, or the landmarks cannot be read.
    """

    def __init__(self, root: Path, landmarks: Path | None = None) -> None:
        self.root = root
        self._landmarks = read_landmarks(landmarks) if landmarks else None
        self._identities = list_folder(root, Passed()).folders
        if not self._identities:
            raise LrfaceError(f"{root} holds no folders: expected one folder of images for each identity")

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def counts(self) -> list[tuple[str, int]]:
        """The identities in order, each with its number of images."""
        return [(name, len(self._files(name))) for name in self._identities]

    def items(self, first: int, stop: int) -> Iterator[Item]:
        """The images of the identities ``first`` to ``stop`` (exclusive), in order."""
        for number in range(first, stop):
            name = self._identities[number]
            label = -1 if name == UNLABELLED else number
            for file in self._files(name):
                path = f"{name}/{file}"
                points = None if self._landmarks is None else self._landmarks.get(path)
                yield Item(path, name, label, points, self._landmarks is None or points is not None)

    def load(self, item: Item) -> bytes:
        """Read the encoded image. Raises LrfaceError if it cannot be read."""
        try:
            with open(f"{self.root}/{item.path}", "rb", buffering=0) as file:
                return file.read()
        except OSError as error:
            raise LrfaceError(f"cannot read {item.path}: {error.strerror or error}") from error

    def passed(self) -> Passed:
        """Images beside the identities' folders or deeper than these, linked folders, and other files."""
        passed = Passed()
        leave_out(list_folder(self.root, passed).images, LOOSE, passed)
        for name in self._identities:
            for deeper in list_folder(self.root / name, passed, name).folders:
                leave_out(walk(self.root / name / deeper, passed, f"{name}/{deeper}"), DEEPER, passed)
        return passed

    def _files(self, identity: str) -> list[str]:
        return list_folder(self.root / identity, Passed()).images


class RecordSource:
    """insightface's ``train.rec`` with ``train.idx``: aligned crops, labels in the record headers."""

    def __init__(self, path: Path) -> None:
        self.root = path
        self._reader = RecordReader(path)
        labels = self._reader.image_labels()
        order = np.argsort(labels, kind="stable")
        self._keys = self._reader.image_keys[order]
        self._labels, starts = np.unique(labels[order], return_index=True)
        self._bounds = np.append(starts, len(labels))

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_reader": self._reader}

    def counts(self) -> list[tuple[str, int]]:
        """The identities in order, each with its number of images."""
        return list(zip(map(str, self._labels), np.diff(self._bounds).tolist(), strict=True))

    def items(self, first: int, stop: int) -> Iterator[Item]:
        """The images of the identities ``first`` to ``stop`` (exclusive), in order."""
        for number in range(first, stop):
            name = str(self._labels[number])
            label = -1 if name == UNLABELLED else number
            for key in self._keys[self._bounds[number] : self._bounds[number + 1]]:
                yield Item(str(key), name, label)

    def load(self, item: Item) -> bytes:
        """Read the encoded image. Raises LrfaceError if the record is damaged."""
        return self._reader.read_image_bytes(int(item.path))[1]

    def passed(self) -> Passed:
        """Nothing, because every record is an item."""
        return Passed()


class Landmarks:
    """Landmarks by relative image path. The memory is 80 bytes per image plus its name.

    Args:
        paths: relative image paths.
        points: float64 ``[n, 5, 2]`` or ``[n, 2, 2]`` pixels.
    """

    def __init__(self, paths: list[str], points: np.ndarray) -> None:
        self._rows = dict(zip(paths, range(len(paths)), strict=True))
        self._points = points

    def get(self, path: str) -> list[list[float]] | None:
        """``[5][2]`` or ``[2][2]`` pixels, or None if the image is not listed."""
        row = self._rows.get(path)
        return None if row is None else self._points[row].tolist()


def read_landmarks(path: Path) -> Landmarks:
    """Read a landmarks CSV; see :class:`FolderSource`.

    Raises:
        LrfaceError: the file is missing, lacks a column, lists an image twice, or holds a value that is not a number.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"path": str})
    except FileNotFoundError as error:
        raise LrfaceError(f"no such landmarks file: {path} ({looked_in(path)})") from error
    except (ValueError, OSError) as error:
        raise LrfaceError(f"{path} is not a CSV file that can be read: {error}") from error
    columns = POINT_COLUMNS if "nose_x" in table.columns else EYE_COLUMNS
    missing = [name for name in ("path", *columns) if name not in table.columns]
    if missing:
        raise LrfaceError(f"{path} lacks the column {missing[0]!r}; it needs path, {', '.join(columns)}")
    repeated = table["path"][table["path"].duplicated()]
    if len(repeated):
        raise LrfaceError(f"{path} lists {repeated.iloc[0]} twice: an image has one face here")
    try:
        points = table[list(columns)].to_numpy(np.float64).reshape(len(table), -1, 2)
    except ValueError as error:
        raise LrfaceError(f"{path} holds a landmark that is not a number: {error}") from error
    return Landmarks(table["path"].tolist(), points)


@dataclass(frozen=True)
class Share:
    """The part of a source for one shard: whole identities, about ``1 / shards`` of the images.

    Attributes:
        first, stop: identities ``first`` to ``stop`` (exclusive).
        images: their number of images.
        listing: digest of all identities of the source and their counts; all shards must come from the same listing.
    """

    first: int
    stop: int
    images: int
    listing: str


def take_share(source: Source, shard: int, shards: int) -> Share:
    """Compute part ``shard`` of ``shards``. The images are cut evenly; an identity belongs to the part with its first image.

    No part is empty: if a large identity spans several cuts, its neighbours fill the other parts.

    Raises:
        LrfaceError: no images, fewer identities than shards, or more images than one ``.rec`` can number.
    """
    counts = source.counts()
    sizes = np.array([count for _, count in counts], np.int64)
    filled = np.flatnonzero(sizes)
    if not len(filled):
        raise LrfaceError(f"{source.root} holds no images")
    if len(filled) < shards:
        raise LrfaceError(
            f"the {len(filled)} identities of {source.root} cannot be cut into {shards} shards: "
            f"ask for {len(filled)} or fewer"
        )
    starts = (np.cumsum(sizes) - sizes)[filled]
    steps = np.arange(shards + 1)
    bounds = np.searchsorted(starts, steps * sizes.sum() // shards)
    # Each part begins at least one identity after the previous one.
    bounds = np.maximum.accumulate(bounds - steps) + steps
    bounds = np.minimum(bounds, len(filled) - shards + steps)  # and leaves one identity for each part that follows
    first, stop = int(filled[bounds[shard]]), int(filled[bounds[shard + 1] - 1]) + 1
    images = int(sizes[first:stop].sum())
    if images + (stop - first) + 1 >= MAX_EXACT_LABEL:
        raise LrfaceError(
            f"a share of {images:,} images of {source.root} is too many for one .rec, which holds 2**24 records: "
            f"cut the source into more shards than {shards}"
        )
    return Share(first, stop, images, hashlib.sha256(repr(counts).encode()).hexdigest())

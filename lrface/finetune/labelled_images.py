"""Labelled faces for finetuning: their people, their crops, and their embeddings."""

import hashlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.crop import Settings
from lrface.data.face_crops import read_faces
from lrface.data.face_list import FaceList, read_folder
from lrface.data.folders import Passed
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation, resize
from lrface.files import looked_in, require_path
from lrface.models.embedder import Embedder
from lrface.models.teacher_map import normalised
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.finder import OTHERS, TAKEN, TURNED, ImageError

BATCH = 64

#: An aligned crop, uint8 RGB ``[h, w, 3]``, with a note or None; or the reason why there is no crop.
Outcome = tuple[np.ndarray, str | None] | str


@dataclass(frozen=True)
class LabelledImages:
    """Images of known people, before any is read.

    Attributes:
        names: names of the people, by label.
        labels: int64 ``[n]``.
        paths: name of each image in messages.
        crops: reads the images in order.
        alignment: how they are cropped, for the record.
        source: their origin, for messages.
        passed: files that are not used.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    paths: Sequence[str]
    crops: Callable[[], Generator[Outcome, None, None]]
    alignment: dict[str, Any]
    source: str
    passed: Passed = field(default_factory=Passed)


def from_folder(root: str | Path, encoder: FaceEncoder, alignment: dict[str, Any]) -> LabelledImages:
    """A folder per person, cropped like the images that ``encoder`` gets later. Folders without images are ignored.

    Args:
        root: the folder.
        encoder: crops the images.
        alignment: description of the cropping, for the record.

    Raises:
        LrfaceError: there is no such folder, or it has no images.
    """
    root = Path(require_path(root))
    if not root.is_dir():
        raise LrfaceError(f"no such folder: {root} (expected a folder of images for each person; {looked_in(root)})")
    faces, passed = read_folder(root)
    folders = dict(zip(faces.ids.tolist(), (path.parent.name for path in faces.paths), strict=True))
    people = from_images(faces, [folders[label] for label in range(len(folders))], encoder, alignment, str(root))
    return replace(people, passed=passed)


def from_images(
    faces: FaceList, names: Sequence[str], encoder: FaceEncoder, alignment: dict[str, Any], source: str
) -> LabelledImages:
    """A list of images, cropped like the images that ``encoder`` gets later; ``names`` by label."""

    def crops() -> Generator[Outcome, None, None]:
        for path in faces.paths:
            try:
                yield encoder.crop(path)
            except ImageError as error:
                yield str(error).removeprefix(f"{path}: ")

    return LabelledImages(_as_text(names), faces.ids, [str(path) for path in faces.paths], crops, alignment, source)


def from_list(
    faces: FaceList, settings: Settings, names: Sequence[str] = (), workers: int = 1, device: str = "cpu",
    source: str = "the list of faces",
) -> LabelledImages:  # fmt: skip
    """A list of faces, cropped according to ``settings``; see :func:`lrface.data.face_crops.read_faces`.

    ``names`` are by label. Without them the labels are the names. Raises LrfaceError if a face has no identity.
    """
    if len(faces) and faces.ids.min() < 0:
        raise LrfaceError("the list has faces of nobody in particular: finetuning needs people")
    names = names or [str(label) for label in range(int(faces.ids.max(initial=-1)) + 1)]

    def crops() -> Generator[Outcome, None, None]:
        with closing(read_faces(faces, settings, _as_it_is, BATCH, workers, device)) as chunks:
            for chunk in chunks:
                for outcome in chunk:
                    yield outcome if isinstance(outcome, str) else (outcome, None)

    paths = [str(path) for path in faces.paths]
    return LabelledImages(_as_text(names), faces.ids, paths, crops, settings.as_dict(), source)


def from_store(path: str | Path) -> LabelledImages:
    """The crops of a store that ``lrface prepare`` made.

    Raises:
        LrfaceError: there is no store, or it has faces without an identity.
    """
    import pandas as pd

    store = Store(path)
    if bool((store.labels < 0).any()):
        raise LrfaceError(f"{path} holds faces of nobody in particular (the folder -1): prepare one of people alone")
    columns = ["path", "identity", "status"]
    manifest = pd.concat([pd.read_parquet(folder / "manifest.parquet", columns=columns) for folder in store.folders])
    used = manifest[manifest["status"] == "ok"]
    names = dict(zip(store.labels.tolist(), used["identity"], strict=True))

    def crops() -> Generator[Outcome, None, None]:
        for index in range(len(store)):
            try:
                yield store.crop(index), None
            except LrfaceError as error:
                yield str(error)

    named = [names[label] for label in range(store.identities)]
    return LabelledImages(_as_text(named), store.labels, used["path"].tolist(), crops, store.settings, str(path))


@dataclass(frozen=True)
class KnownFaces:
    """The faces that could be read, and their people.

    Attributes:
        names: by label.
        labels: int64 ``[n]``, 0 to ``len(names) - 1``.
        kept: int64 ``[n]``, positions of these faces among all images.
        views: float32 ``[2, n, dim]``, the backbone's embeddings of the crops and of the mirrored crops, not normalised.
        low: uint8 ``[n, side, side, 3]``, the crops at the backbone's input size; empty unless requested.
        source: uint8 ``[n, source, source, 3]``, larger crops for random views; empty unless requested.
        degradation: from a crop to ``low``.
        fingerprint: digest of the people and of the pixels that the backbone sees.
        alignment: how the faces were cropped.
        refused: path and reason of each image that cannot be used, or is in the wrong place.
        lost: people without any usable image.
        notes: on used images, such as that some were taken as the face itself.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    kept: np.ndarray
    views: np.ndarray
    low: np.ndarray
    source: np.ndarray
    degradation: Degradation
    fingerprint: str
    alignment: dict[str, Any]
    refused: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def embeddings(self) -> np.ndarray:
        """float32 ``[n, dim]``: the sum of the embeddings of each face and its mirror image, scaled to unit length."""
        return normalised(self.views[0] + self.views[1])


def read_people(
    people: LabelledImages,
    embedder: Embedder,
    pixels: bool = False,
    source_size: int = 0,
    progress: bool = True,
    least: int = 2,
) -> KnownFaces:
    """Read, crop and embed all images. Every image that cannot be used is reported.

    Args:
        people: see :class:`LabelledImages`.
        embedder: the backbone.
        pixels: keep the pixels too, for training a backbone.
        source_size: side of the larger crops to keep, in pixels; 0 for none.
        progress: show a progress bar with rate and remaining time.
        least: smallest number of people.

    Raises:
        LrfaceError: there are fewer people, or fewer with a usable image, or the detector is not available.
    """
    if len(np.unique(people.labels)) < least:
        raise LrfaceError(f"{people.source} shows {len(np.unique(people.labels))} person: {least} or more are needed")
    reader = _Reader(embedder, pixels, source_size)
    refused: list[tuple[str, str]] = []
    kept: list[int] = []
    notes: list[str] = []
    with closing(people.crops()) as crops, _bar(len(people.paths), progress) as bar:
        for at, outcome in enumerate(crops):
            bar.update(1)
            if isinstance(outcome, str):
                refused.append((people.paths[at], outcome))
                continue
            notes += [outcome[1]] if outcome[1] else []
            kept.append(at)
            reader.add(outcome[0], people.names[people.labels[at]])
    known, labels = np.unique(people.labels[kept], return_inverse=True)
    if len(known) < least:
        raise LrfaceError(
            f"of the {len(people.paths)} images of {people.source} {len(kept)} can be used, of {len(known)} people: "
            f"{least} people are needed; first {refused[0][0]}: {refused[0][1]}"
        )
    lost = tuple(people.names[label] for label in np.setdiff1d(people.labels, known))
    views, low, source = reader.finish()
    if not np.isfinite(views).all():
        raise LrfaceError(f"the model gives NaN or infinity for images of {people.source}: it cannot be used on them")
    reduced = embedder.preprocessing.degradation or Degradation(embedder.preprocessing.input_size)
    names = tuple(people.names[label] for label in known)
    return KnownFaces(
        names, labels, np.array(kept), views, low, source, reduced, reader.fingerprint, people.alignment,
        (*refused, *people.passed.rows), lost, (*_summary(notes), *people.passed.notes()),
    )  # fmt: skip


def _summary(notes: list[str]) -> tuple[str, ...]:
    """The number of images with a note of each kind."""
    kinds = {
        TAKEN: "small images without a detected face are taken as the face itself",
        TURNED: "images without an upright face were turned",
        OTHERS: "images show other faces of like size, too",
    }
    counts = {kind: sum(kind in note for note in notes) for kind in kinds}
    return tuple(f"{count:,} {kinds[kind]}" for kind, count in counts.items() if count)


class _Reader:
    """Takes crops one by one and embeds them in batches."""

    def __init__(self, embedder: Embedder, pixels: bool, source_size: int) -> None:
        self._embedder, self._pixels, self._source_size = embedder, pixels, source_size
        self._waiting: list[np.ndarray] = []
        self._low: list[np.ndarray] = []
        self._source: list[np.ndarray] = []
        self._views: list[np.ndarray] = []
        self._digest = hashlib.sha256()

    def add(self, crop: np.ndarray, name: str) -> None:
        """Add the next crop and the name of its person."""
        fitted = self._embedder.compact(crop)
        self._digest.update(name.encode() + b"\0" + fitted.tobytes())
        self._waiting.append(fitted)
        if self._source_size:
            self._source.append(resize(crop, self._source_size))
        if len(self._waiting) == BATCH:
            self._embed()

    def _embed(self) -> None:
        if not self._waiting:
            return
        batch, self._waiting = np.stack(self._waiting), []
        network, prepare = self._embedder.network, self._embedder.preprocessing.batch
        self._views.append(np.stack([network(prepare(batch)), network(prepare(batch[:, :, ::-1]))]))
        if self._pixels:
            self._low.append(batch)

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the views, and the pixels if they are kept; see :class:`KnownFaces`."""
        self._embed()
        none = np.empty((0, 0, 0, 3), np.uint8)
        low = np.concatenate(self._low) if self._low else none
        return np.concatenate(self._views, axis=1), low, np.stack(self._source) if self._source else none

    @property
    def fingerprint(self) -> str:
        return self._digest.hexdigest()


def _as_it_is(crop: np.ndarray) -> np.ndarray:
    """Return the crop unchanged. A named function, because a lambda cannot be sent to worker processes."""
    return crop


def _as_text(names: Sequence[str]) -> tuple[str, ...]:
    """Make names valid UTF-8, which files and terminals need and folder names need not be. Invalid bytes become ``\\udcff``."""
    return tuple(name.encode("utf-8", "backslashreplace").decode("utf-8") for name in names)


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="img", desc="faces", disable=None if progress else True)

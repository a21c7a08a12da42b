"""The faces that a model is finetuned on: whose they are, how they are cropped, and what a backbone makes of them."""

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
from lrface.recognition.encoder import OTHERS, TAKEN, TURNED, FaceEncoder, ImageError
from lrface.train.targets import normalised

BATCH = 64

#: An aligned crop, uint8 RGB ``[h, w, 3]``, and a note on it or None; or the reason why there is none.
Outcome = tuple[np.ndarray, str | None] | str


@dataclass(frozen=True)
class People:
    """Images of known people, before any is read.

    Attributes:
        names: of the people, by label.
        labels: int64 ``[n]``.
        paths: what each image is called in messages.
        crops: reads them, in order.
        alignment: how they are cropped, for the record.
        source: where they come from, for messages.
        passed: what lies there and is not used.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    paths: Sequence[str]
    crops: Callable[[], Generator[Outcome, None, None]]
    alignment: dict[str, Any]
    source: str
    passed: Passed = field(default_factory=Passed)


def from_folder(root: str | Path, encoder: FaceEncoder, alignment: dict[str, Any]) -> People:
    """A folder per person, cropped as ``encoder`` crops what it is asked about; folders without images count for nothing.

    ``alignment`` records how that is.

    Raises:
        LrfaceError: no such folder, or no images in it.
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
) -> People:
    """A list of images, cropped as ``encoder`` crops what it is asked about; ``names`` by label."""

    def crops() -> Generator[Outcome, None, None]:
        for path in faces.paths:
            try:
                yield encoder.crop(path)
            except ImageError as error:
                yield str(error).removeprefix(f"{path}: ")

    return People(_as_text(names), faces.ids, [str(path) for path in faces.paths], crops, alignment, source)


def from_list(
    faces: FaceList, settings: Settings, names: Sequence[str] = (), workers: int = 1, device: str = "cpu",
    source: str = "the list of faces",
) -> People:  # fmt: skip
    """A list of faces, cropped as ``settings`` say; see :func:`lrface.data.face_crops.read_faces`.

    ``names`` are by label; without them people are called by their labels.
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
    return People(_as_text(names), faces.ids, paths, crops, settings.as_dict(), source)


def from_store(path: str | Path) -> People:
    """The crops of a store that ``lrface prepare`` made.

    Raises:
        LrfaceError: there is none, or it holds faces of nobody in particular.
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
    return People(_as_text(named), store.labels, used["path"].tolist(), crops, store.settings, str(path))


@dataclass(frozen=True)
class KnownFaces:
    """What was read, of the people of whom something could be read.

    Attributes:
        names: by label.
        labels: int64 ``[n]``, 0 to ``len(names) - 1``.
        kept: int64 ``[n]``, which of the images these are.
        views: float32 ``[2, n, dim]``, the backbone's embeddings of the crops and of the mirrored crops, as it gives them.
        low: uint8 ``[n, side, side, 3]``, the crops as the backbone takes them; empty unless asked for.
        source: uint8 ``[n, source, source, 3]``, larger crops to make random views from; empty unless asked for.
        degradation: from a crop to ``low``.
        fingerprint: names the people and the pixels that the backbone sees of them.
        alignment: how they were cropped.
        refused: path and reason of each image that cannot be used, or lies where none belongs.
        lost: people all of whose images were refused.
        notes: on images that were used, such as that some were taken as the face itself.
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
        """float32 ``[n, dim]``: the sum over each face and its mirror image, of unit length."""
        return normalised(self.views[0] + self.views[1])


def read_people(
    people: People,
    embedder: Embedder,
    pixels: bool = False,
    source_size: int = 0,
    progress: bool = True,
    least: int = 2,
) -> KnownFaces:
    """Read, crop and embed all images. One that cannot be used is counted, never left out in silence.

    Args:
        people: see :class:`People`.
        embedder: the backbone.
        pixels: keep the pixels too, for training a backbone.
        source_size: side of the larger crops to keep; 0 for none.
        progress: show a bar with rate and time left.
        least: people whom there must be.

    Raises:
        LrfaceError: there are fewer people, or fewer of whom an image can be used, or the detector cannot be had.
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
    """How many images have a note of each kind."""
    kinds = {
        TAKEN: "small images without a detected face are taken as the face itself",
        TURNED: "images without an upright face were turned",
        OTHERS: "images show other faces of like size, too",
    }
    counts = {kind: sum(kind in note for note in notes) for kind in kinds}
    return tuple(f"{count:,} {kinds[kind]}" for kind, count in counts.items() if count)


class _Reader:
    """Takes crops one by one and hands them to the network in batches."""

    def __init__(self, embedder: Embedder, pixels: bool, source_size: int) -> None:
        self._embedder, self._pixels, self._source_size = embedder, pixels, source_size
        self._waiting: list[np.ndarray] = []
        self._low: list[np.ndarray] = []
        self._source: list[np.ndarray] = []
        self._views: list[np.ndarray] = []
        self._digest = hashlib.sha256()

    def add(self, crop: np.ndarray, name: str) -> None:
        """Take the next crop, and whose it is."""
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
        """The views, and the pixels if they are wanted; see :class:`KnownFaces`."""
        self._embed()
        none = np.empty((0, 0, 0, 3), np.uint8)
        low = np.concatenate(self._low) if self._low else none
        return np.concatenate(self._views, axis=1), low, np.stack(self._source) if self._source else none

    @property
    def fingerprint(self) -> str:
        return self._digest.hexdigest()


def _as_it_is(crop: np.ndarray) -> np.ndarray:
    """For worker processes, which can be sent no lambda."""
    return crop


def _as_text(names: Sequence[str]) -> tuple[str, ...]:
    """Folder names need not be valid UTF-8, files and terminals want it: what is not appears as ``\\udcff``."""
    return tuple(name.encode("utf-8", "backslashreplace").decode("utf-8") for name in names)


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="img", desc="faces", disable=None if progress else True)

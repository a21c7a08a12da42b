"""Many image files -> one file of embeddings, and a report of those that could not be used."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from lrface.encoder import FaceEncoder, ImageError
from lrface.errors import LrfaceError
from lrface.faces.images import SUFFIXES
from lrface.files import atomic_write


@dataclass(frozen=True)
class Report:
    """What became of the images; ``embedded + len(refused)`` is their number.

    Attributes:
        embedded: how many are in the file.
        refused: path and reason of each that is not.
        notes: what should be known of images that are, such as that one was too small for a detector.
    """

    embedded: int
    refused: list[tuple[str, str]]
    notes: list[str]


def embed_files(
    encoder: FaceEncoder, sources: Sequence[str | Path], out: str | Path, batch_size: int = 64, progress: bool = True
) -> Report:
    """Embed the main face of each image, and write a NumPy ``.npz`` file, atomically.

    The file holds ``embeddings`` float32 ``[n, dim]``, L2-normalised; ``paths``, str ``[n]``, in the same order; and
    ``model``, the fingerprint of the model.

    Args:
        encoder: the model.
        sources: image files, and folders that are searched to the bottom for them.
        out: the file to write, ``*.npz``.
        batch_size: how many images go through the network at once; no more are held in memory.
        progress: show a bar with rate and time left.

    Raises:
        LrfaceError: ``out`` is no ``.npz`` or cannot be written, a source does not exist or holds no images, the
            detector cannot be had, or no image can be used. A single image that cannot be used is a row of the report.
    """
    if Path(out).suffix != ".npz":
        raise LrfaceError(f"--out {out}: embeddings are written as NumPy .npz, call it so")
    paths = list_images(sources)
    kept: list[str] = []
    parts: list[np.ndarray] = []
    refused: list[tuple[str, str]] = []
    notes: list[str] = []
    # The file is opened first: that it cannot be written should not come out at the end.
    with atomic_write(out) as file:
        for names, crops, details in _batches(_crops(encoder, paths, refused, notes, progress), batch_size):
            kept += names
            parts.append(encoder.embed_crops(crops, batch_size, details))
        if not kept:
            name, reason = refused[0]
            raise LrfaceError(f"none of the {len(paths)} images can be used; the first one, {name}: {reason}")
        np.savez(file, embeddings=np.concatenate(parts), paths=np.array(kept), model=encoder.embedder.fingerprint)
    return Report(len(kept), refused, notes)


def list_images(sources: Iterable[str | Path]) -> list[str]:
    """The image files that ``sources``, files or folders, stand for; those of a folder sorted.

    Raises:
        LrfaceError: one does not exist, or a folder holds no images.
    """
    paths: list[str] = []
    for source in map(Path, sources):
        if not source.exists():
            raise LrfaceError(f"no such file or folder: {source}")
        if not source.is_dir():
            paths.append(str(source))
            continue
        found = sorted(str(path) for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not found:
            raise LrfaceError(f"{source} holds no images ({', '.join(sorted(SUFFIXES))})")
        paths += found
    return paths


def _crops(
    encoder: FaceEncoder, paths: list[str], refused: list[tuple[str, str]], notes: list[str], progress: bool
) -> Iterator[tuple[str, np.ndarray, float]]:
    from tqdm import tqdm

    for path in tqdm(paths, unit="img", desc="embed", disable=None if progress else True):
        try:
            crop, detail, note = encoder.compact(path)
        except ImageError as error:
            refused.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        if note:
            notes.append(note)
        yield path, crop, detail


def _batches(
    crops: Iterator[tuple[str, np.ndarray, float]], size: int
) -> Iterator[tuple[tuple[str, ...], tuple[np.ndarray, ...], tuple[float, ...]]]:
    while batch := list(islice(crops, size)):
        names, images, details = zip(*batch, strict=True)
        yield names, images, details

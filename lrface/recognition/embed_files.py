"""Embedding many image files into one file, with a report of the images that could not be used."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from lrface.data.folders import Passed, walk
from lrface.errors import LrfaceError
from lrface.faces.formats import SUFFIXES
from lrface.files import atomic_write, looked_in, require_path
from lrface.recognition.encoder import CroppedFace, FaceEncoder, ImageError


@dataclass(frozen=True)
class Report:
    """The outcome of all images. ``embedded + len(refused)`` is their number.

    Attributes:
        embedded: number of faces in the file.
        refused: path and reason of each image that was not used.
        notes: remarks about used images, such as that one was too small for a detector.
        faces: the rows of the file without embeddings: where each face was found, and its quality.
    """

    embedded: int
    refused: list[tuple[str, str]]
    notes: list[str]
    faces: tuple[CroppedFace, ...] = ()


def embed_files(
    encoder: FaceEncoder,
    sources: Sequence[str | Path],
    out: str | Path,
    batch_size: int = 64,
    progress: bool = True,
    every: bool = False,
) -> Report:
    """Embed the main face of each image, or every face, and write a NumPy ``.npz`` or a Parquet file, atomically.

    The file has a row for each face: ``embeddings`` float32 ``[n, dim]``, L2-normalised; ``paths``, str ``[n]``; ``boxes``
    float32 ``[n, 4]`` (left, top, right, bottom), ``landmarks`` float32 ``[n, 5, 2]`` and ``scores`` float32 ``[n]`` of the
    detector, NaN if the whole image was taken as the face; ``details`` float32 ``[n]``, pixels of detail; and ``model``, the
    fingerprint of the model. A Parquet file has the columns path, box, landmarks, score, detail and embedding, and the
    fingerprint in its metadata.

    Args:
        encoder: the model.
        sources: image files, and folders, which are searched with all their subfolders.
        out: the file to write, ``*.npz`` or ``*.parquet``.
        batch_size: number of images in one pass of the network, and in memory.
        progress: show a progress bar with rate and remaining time.
        every: embed all faces of an image, from left to right, instead of the main one.

    Raises:
        LrfaceError: ``out`` is neither ``.npz`` nor ``.parquet`` or cannot be written, a source does not exist or has no
            images, the detector is not available, or no image can be used. A single image that cannot be used is an entry of
            the report.
    """
    if Path(require_path(out)).suffix not in (".npz", ".parquet"):
        raise LrfaceError(f"--out {out}: embeddings are written as NumPy .npz or as .parquet, call it so")
    passed = Passed()
    paths = list_images(sources, passed)
    # The file is opened first, so that a file that cannot be written is found at once.
    with atomic_write(out) as file:
        part = embed_paths(encoder, paths, batch_size, progress, every)
        return write_parts(file, out, [part], encoder.embedder.fingerprint, passed)


@dataclass(frozen=True)
class Part:
    """The embedded faces of some of the images.

    Attributes:
        table: column -> array with a row per face; None if there is no face. See :func:`embed_files`.
        refused, notes, faces: see :class:`Report`.
    """

    table: dict[str, np.ndarray] | None
    refused: list[tuple[str, str]]
    notes: list[str]
    faces: tuple[CroppedFace, ...] = ()


def embed_paths(encoder: FaceEncoder, paths: list[str], batch_size: int, progress: bool, every: bool) -> Part:
    """Embed the faces of image files; see :func:`embed_files`."""
    kept: list[tuple[str, CroppedFace]] = []
    rows: list[np.ndarray] = []
    refused: list[tuple[str, str]] = []
    notes: list[str] = []
    for faces, crops in _batches(_crops(encoder, paths, refused, notes, progress, every), batch_size):
        kept += faces
        details = [cropped.quality.resolution for _, cropped in faces]
        rows.append(encoder.embed_crops(crops, batch_size, details))
    table = _table(kept, np.concatenate(rows)) if kept else None
    return Part(table, refused, notes, tuple(cropped for _, cropped in kept))


def write_parts(file: IO[bytes], out: str | Path, parts: Sequence[Part], fingerprint: str, passed: Passed) -> Report:
    """Write all parts in order to ``file``, in the format of the name ``out``, and make the report.

    Raises:
        LrfaceError: no image could be used.
    """
    refused = [each for part in parts for each in part.refused]
    tables = [part.table for part in parts if part.table is not None]
    if not tables:
        name, reason = refused[0]
        first = reason if name in reason else f"{name}: {reason}"
        raise LrfaceError(
            first if len(refused) == 1 else f"none of {len(refused):,} images can be used; the first one: {first}"
        )
    table = {key: np.concatenate([each[key] for each in tables]) for key in tables[0]}
    write: Callable[..., None] = np.savez if Path(out).suffix == ".npz" else _write_parquet
    write(file, **table, model=fingerprint)
    notes = [*passed.notes(), *(note for part in parts for note in part.notes)]
    faces = tuple(face for part in parts for face in part.faces)
    return Report(len(table["paths"]), refused + passed.rows, notes, faces)


def list_images(sources: Iterable[str | Path], passed: Passed | None = None) -> list[str]:
    """List the image files of ``sources``, which are files or folders. Folders are searched with all subfolders, sorted.

    Args:
        sources: a file is accepted with any name.
        passed: collects the contents of the folders that are not used.

    Raises:
        LrfaceError: a source does not exist, or a folder has no images.
    """
    paths: list[str] = []
    for source in map(Path, map(require_path, sources)):
        if not source.exists():
            raise LrfaceError(f"no such file or folder: {source} ({looked_in(source)})")
        if not source.is_dir():
            paths.append(str(source))
            continue
        found = sorted(walk(source, Passed() if passed is None else passed))
        if not found:
            raise LrfaceError(f"{source} holds no images ({', '.join(sorted(SUFFIXES))})")
        paths += found
    return paths


def _crops(
    encoder: FaceEncoder,
    paths: list[str],
    refused: list[tuple[str, str]],
    notes: list[str],
    progress: bool,
    every: bool,
) -> Iterator[tuple[tuple[str, CroppedFace], np.ndarray]]:
    from tqdm import tqdm

    for path in tqdm(paths, unit="img", desc="embed", disable=None if progress else True):
        try:
            all_cropped = encoder.cropped_faces(path) if every else [encoder.cropped_face(path)]
        except ImageError as error:
            refused.append((path, error.reason(path)))
            continue
        if not all_cropped:
            refused.append((path, "no face found"))
        for cropped in all_cropped:
            notes += cropped.notes
            crop = encoder.embedder.member(cropped.quality.resolution).compact(cropped.crop)
            # The small crop replaces the large one, so that no large photo stays in memory.
            yield (path, replace(cropped, crop=crop)), crop


def _batches(
    crops: Iterator[tuple[tuple[str, CroppedFace], np.ndarray]], size: int
) -> Iterator[tuple[tuple[tuple[str, CroppedFace], ...], tuple[np.ndarray, ...]]]:
    while batch := list(islice(crops, size)):
        faces, images = zip(*batch, strict=True)
        yield faces, images


def _table(faces: list[tuple[str, CroppedFace]], embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """Make the columns of the file."""
    nowhere = np.full((5, 2), np.nan, np.float32)
    return {
        "embeddings": embeddings,
        "paths": np.array([path for path, _ in faces]),
        "boxes": np.stack(
            [np.full(4, np.nan, np.float32) if cropped.face is None else cropped.face.box for _, cropped in faces]
        ),
        "landmarks": np.stack([nowhere if cropped.face is None else cropped.face.landmarks for _, cropped in faces]),
        "scores": np.array(
            [np.nan if cropped.face is None else cropped.face.score for _, cropped in faces], np.float32
        ),
        "details": np.array([cropped.quality.resolution for _, cropped in faces], np.float32),
    }


def _write_parquet(
    file: IO[bytes],
    embeddings: np.ndarray,
    paths: np.ndarray,
    boxes: np.ndarray,
    landmarks: np.ndarray,
    scores: np.ndarray,
    details: np.ndarray,
    model: str,
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "path": pa.array(paths.tolist()),
        "box": pa.array(list(boxes)),
        "landmarks": pa.array(list(landmarks.reshape(-1, 10))),
        "score": pa.array(scores),
        "detail": pa.array(details),
        "embedding": pa.array(list(embeddings)),
    }
    parquet.write_table(pa.table(columns).replace_schema_metadata({"model": model}), file)

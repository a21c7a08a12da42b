"""Embedding many image files into one file, on a Ray cluster."""

import hashlib
import pickle
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrface.data.cluster import check_shared, connected, run_tasks
from lrface.data.folders import Passed
from lrface.errors import LrfaceError
from lrface.files import atomic_write, require_path
from lrface.recognition.embed_files import Part, Report, embed_paths, list_images, write_parts
from lrface.recognition.encoder import FaceEncoder

#: Number of images per task: so many are embedded again when a worker is lost.
CHUNK = 256


def embed_on_ray(
    options: tuple[Any, ...],
    sources: Sequence[str | Path],
    out: str | Path,
    address: str = "",
    batch_size: int = 64,
    progress: bool = True,
    every: bool = False,
) -> Report:
    """The same as :func:`lrface.recognition.embed_files.embed_files`, on a cluster.

    Finished parts are stored beside ``out``, in ``OUT.parts``, until ``out`` is written. After a kill the same call resumes.

    Args:
        options: arguments of :meth:`FaceEncoder.load`, with which each worker loads the model.
        sources, out: paths that all machines share.
        address: see :func:`lrface.data.cluster.connected`.
        batch_size, progress, every: see ``embed_files``.

    Raises:
        LrfaceError: as ``embed_files``; or there is no cluster, or its machines share no folders.
    """
    from tqdm import tqdm

    if Path(require_path(out)).suffix not in (".npz", ".parquet"):
        raise LrfaceError(f"--out {out}: embeddings are written as NumPy .npz or as .parquet, call it so")
    passed = Passed()
    names = list_images(sources, passed)
    # Loads the model here first, so that a wrong model is found at once.
    fingerprint = FaceEncoder.load(*options).embedder.fingerprint
    parts = Path(f"{Path(out).resolve()}.parts")
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    jobs = [
        (
            options,
            chunk,
            str(Path.cwd()),
            parts / f"{_name(fingerprint, options, chunk, every)}.part",
            batch_size,
            every,
        )
        for chunk in chunks
    ]
    with (
        connected(address),
        tqdm(total=len(names), unit="img", desc="embed", disable=None if progress else True) as bar,
    ):
        check_shared(parts, sources)
        run_tasks(_embed, jobs, str(options[3]), lambda done: _show(bar, sum(len(chunks[at]) for at in done)))
    with atomic_write(out) as file:
        report = write_parts(file, out, [_read(job[3]) for job in jobs], fingerprint, passed)
    shutil.rmtree(parts)
    return report


def _show(bar: Any, images: int) -> None:
    bar.update(images - bar.n)


def _name(fingerprint: str, options: tuple[Any, ...], chunk: list[str], every: bool) -> str:
    """The name of a part: a digest of all its inputs."""
    return hashlib.sha256(repr((fingerprint, options, chunk, every)).encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _load(options: tuple[Any, ...]) -> FaceEncoder:
    return FaceEncoder.load(*options)


def _embed(options: tuple[Any, ...], names: list[str], here: str, path: Path, batch_size: int, every: bool) -> None:
    """Task: embed images whose names are relative to the folder ``here``, and store the part."""
    import os

    if path.exists():
        return
    os.chdir(here)  # so that the stored image names stay as they were given
    part = embed_paths(_load(options), names, batch_size, False, every)
    with atomic_write(path) as file:
        pickle.dump((part.table, part.refused, part.notes), file)


def _read(path: Path) -> Part:
    with open(path, "rb") as file:
        return Part(*pickle.load(file))

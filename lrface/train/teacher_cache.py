"""The teacher cache: embeddings of every crop and of its mirror image, computed once and kept on disk.

The cache is in the store's folder, in a subfolder named by the teacher's fingerprint, and records the store's fingerprint. So
embeddings of other faces, of another alignment or of another teacher are never used by mistake.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import locked, read_json, write_json

BATCH = 64
COMMIT_BATCHES = 16
STATE_FILE, ARRAY_FILE = "state.json", "embeddings.npy"


class Teacher(Protocol):
    """What is cached: an :class:`lrface.models.embedder.Embedder`, or anything else that gives a row of numbers a crop."""

    fingerprint: str

    def embed(self, crops: list[np.ndarray], batch_size: int = 64, flip: bool = False) -> np.ndarray:
        """float32 ``[n, dim]`` of uint8 RGB crops, or of their mirror images."""


def cached_embeddings(
    store: Store, teacher: Teacher, progress: bool = True, folder: Path | None = None, flips: bool = True,
    label: str = "teacher",
) -> np.ndarray:  # fmt: skip
    """Teacher embeddings of a store, from the cache or computed into it. A killed computation resumes at the next call.

    Args:
        store: the faces.
        teacher: the network.
        progress: show a progress bar with rate and remaining time.
        folder: another place for the cache than the store's folder.
        flips: embed the mirrored crops too. Otherwise the crop's embedding is used for both, in half the time.
        label: of the progress bar.

    Returns:
        float32 ``[2, N, embedding_dim]``, memory-mapped: of the crops, and of the mirrored crops; not normalised.

    Raises:
        LrfaceError: the cache belongs to another teacher or other data, cannot be written, or the teacher gives NaN.
    """
    folder = folder or store.path / "teachers" / (teacher.fingerprint[:16] + ("" if flips else "-plain"))
    facts = {"teacher": teacher.fingerprint, "store": store.fingerprint, "images": len(store)}
    if _done(folder, facts) < len(store):
        with locked(folder / "lock"):  # of several runs that start together, one computes and the others wait
            _compute(store, teacher, folder, facts, 1 + flips, label if progress else None)
    array_file = folder / ARRAY_FILE
    try:
        array: np.ndarray = np.load(array_file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise LrfaceError(f"{array_file} is damaged ({error}): remove it to compute it again") from error
    return array if flips else np.broadcast_to(array, (2, *array.shape[1:]))


def _done(folder: Path, facts: dict[str, Any]) -> int:
    """Number of images whose embeddings are complete."""
    if not (folder / STATE_FILE).exists() or not (folder / ARRAY_FILE).exists():
        return 0
    state = read_json(folder / STATE_FILE)
    for key, value in facts.items():
        if state.get(key) != value:
            raise LrfaceError(
                f"the teacher cache {folder} was computed with another {key}: remove that folder to compute it again"
            )
    return int(state["done"])


def _compute(
    store: Store, teacher: Teacher, folder: Path, facts: dict[str, Any], views: int, label: str | None
) -> None:
    from tqdm import tqdm

    done = _done(folder, facts)
    if done == len(store):
        return
    array = _open_array(store, teacher, folder, done, views)
    with (
        ThreadPoolExecutor(1) as reader,
        tqdm(total=len(store), initial=done, unit="img", desc=label, disable=label is None) as bar,
    ):
        # Decoding runs in parallel with the network: one batch is read while another is embedded.
        waiting = reader.submit(_read, store, done)
        for number, start in enumerate(range(done, len(store), BATCH), start=1):
            crops, waiting = waiting.result(), reader.submit(_read, store, start + BATCH)
            stop = start + len(crops)
            for view in range(views):
                array[view, start:stop] = teacher.embed(crops, BATCH, flip=view == 1)
            if not np.isfinite(array[:, start:stop]).all():
                raise LrfaceError(
                    f"the teacher gives NaN or infinity among images {start} to {stop - 1} of {store.path}"
                )
            bar.update(len(crops))
            if number % COMMIT_BATCHES == 0 or stop == len(store):
                array.flush()
                write_json(folder / STATE_FILE, facts | {"done": stop})


def _open_array(store: Store, teacher: Teacher, folder: Path, done: int, views: int) -> np.memmap:
    file = folder / ARRAY_FILE
    try:
        if done:
            return np.lib.format.open_memmap(file, "r+")
        (folder / STATE_FILE).unlink(missing_ok=True)
        dim = teacher.embed([store.crop(0)]).shape[1]
        array = np.lib.format.open_memmap(file, "w+", np.float32, (views, len(store), dim))
        # If the disk became full while a mapping is written, the process would be killed.
        if hasattr(os, "posix_fallocate"):
            with open(file, "r+b") as reserved:
                os.posix_fallocate(reserved.fileno(), 0, os.fstat(reserved.fileno()).st_size)
        return array
    except OSError as error:
        raise LrfaceError(f"cannot write the teacher cache {file}: {error.strerror or error}") from error


def _read(store: Store, start: int) -> list[np.ndarray]:
    return [store.crop(index) for index in range(start, min(start + BATCH, len(store)))]

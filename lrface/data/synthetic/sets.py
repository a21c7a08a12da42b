"""Whole sets of drawn faces, in memory or in a folder per identity."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lrface.data.synthetic.identity import sample_identity
from lrface.data.synthetic.nuisance import sample_nuisance
from lrface.data.synthetic.picture import MAX_SIZE, MIN_SIZE, render
from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.files import read_json, write_json

# Raise this with every change that alters a drawn pixel, so that no folder mixes two ways of drawing.
VERSION = 1
RECORD = ".synthetic.json"
_JPEG_QUALITY = 95
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


def face(identity: int, number: int, seed: int, size: int = 112) -> NDArray[np.uint8]:
    """Picture ``number`` of person ``identity``: uint8 RGB ``[size, size, 3]``.

    The person depends only on ``identity``, and the conditions on ``identity``, ``number`` and ``seed``. Earlier calls have
    no influence. Equal numbers give equal bytes with equal versions of numpy and OpenCV.

    Raises:
        LrfaceError: the identity or the size makes no sense.
    """
    rng = np.random.default_rng([0x50, seed, identity, number])
    return render(sample_identity(identity), sample_nuisance(rng), size)


def faces(
    first_identity: int, identities: int, images_per_identity: int, seed: int, size: int = 112
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw a set into memory: images uint8 RGB ``[N, size, size, 3]`` and identity numbers int64 ``[N]``, person by person.

    The labels are the identity numbers, so they start at ``first_identity``. ``generate`` writes the same pictures as files
    for the same arguments.

    Raises:
        LrfaceError: a count, number or size makes no sense.
    """
    _check(first_identity, identities, images_per_identity, seed, size)
    images = np.empty((identities * images_per_identity, size, size, 3), np.uint8)
    for index in range(len(images)):
        person, number = divmod(index, images_per_identity)
        images[index] = face(first_identity + person, number, seed, size)
    labels = np.repeat(np.arange(first_identity, first_identity + identities, dtype=np.int64), images_per_identity)
    return images, labels


def generate(
    out: str | Path,
    identities: int,
    images_per_identity: int,
    seed: int,
    *,
    first_identity: int = 0,
    size: int = 112,
    workers: int = 1,
    progress: bool = True,
) -> int:
    """Write ``out/<identity:05d>/<number:04d>.jpg`` and return the number of newly drawn pictures.

    Complete pictures that exist already stay; missing and truncated ones are drawn. Each file appears only when it is
    complete. The bytes do not depend on ``workers``, the number of processes. A folder may hold several sets of identities,
    but only with the same seed, size and version of the generator.

    With more than one worker, a script has to call this under ``if __name__ == "__main__"`` (processes are spawned).

    Raises:
        LrfaceError: an argument makes no sense, ``out`` holds another set or cannot be written, or a process was killed.
    """
    _check(first_identity, identities, images_per_identity, seed, size)
    _check_number("workers", workers, 1)
    out = Path(out)
    _claim(out, {"version": VERSION, "seed": int(seed), "size": int(size)})
    draw = partial(_draw_identity, out, images=images_per_identity, seed=seed, size=size)
    people = range(first_identity, first_identity + identities)
    total = identities * images_per_identity
    with tqdm(total=total, desc="drawing faces", unit="face", disable=None if progress else True) as bar:
        if workers == 1:
            return sum(_count(bar, draw(person), images_per_identity) for person in people)
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,))
        try:
            drawn = pool.map(draw, people, chunksize=max(1, min(8, identities // workers)))
            return sum(_count(bar, count, images_per_identity) for count in drawn)
        except BrokenProcessPool as error:
            raise LrfaceError(f"a process that draws faces was killed; run again to go on in {out}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _count(bar: "tqdm", drawn: int, images: int) -> int:
    bar.update(images)
    return drawn


def _draw_identity(out: Path, identity: int, *, images: int, seed: int, size: int) -> int:
    """Draw the missing pictures of one person; return their number."""
    drawn = 0
    for number in range(images):
        path = out / f"{identity:05d}" / f"{number:04d}.jpg"
        if _is_complete(path):
            continue
        picture = face(identity, number, seed, size)
        _write(path, encode_image(picture, "jpg", _JPEG_QUALITY))
        drawn += 1
    return drawn


def _write(path: Path, data: bytes) -> None:
    """Put a complete picture at its path, without waiting for the disk.

    ``atomic_write`` waits for the disk, which takes several times as long as the drawing. Not waiting is safe here: after a
    power failure a picture may be empty or truncated, and the next run detects this and draws it again.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise LrfaceError(f"cannot write {path}: {error.strerror or error}") from error


def _is_complete(path: Path) -> bool:
    """Whether a JPEG has its first and last bytes. Decoding every picture would take as long as drawing it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {error.strerror or error}; remove it and run again") from error
    return data.startswith(_JPEG_START) and data.endswith(_JPEG_END)


def _claim(out: Path, record: dict[str, int]) -> None:
    """Record in the folder which set is drawn there; refuse if it holds another one."""
    path = out / RECORD
    if path.exists():
        found = read_json(path)
        if found != record:
            raise LrfaceError(f"{out} holds drawn faces of {found}, not of {record}; name another folder or remove it")
        return
    if out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise LrfaceError(f"{out} holds files that were not drawn by lrface; name an empty or a new folder")
    write_json(path, record)


def _check(first_identity: int, identities: int, images_per_identity: int, seed: int, size: int) -> None:
    _check_number("first_identity", first_identity, 0)
    _check_number("identities", identities, 1)
    _check_number("images_per_identity", images_per_identity, 1)
    _check_number("seed", seed, 0)
    _check_number("size", size, MIN_SIZE, MAX_SIZE)


def _check_number(name: str, value: int, low: int, high: int | None = None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise LrfaceError(f"synthetic faces: {name} must be a whole number {bounds}, not {value!r}")

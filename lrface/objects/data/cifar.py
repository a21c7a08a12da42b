"""CIFAR-100 (Krizhevsky 2009): the Python archive, packed or unpacked, or PNGs by class in ``train/`` and ``test/``."""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.objects.data.pictures import Pictures, checked, read_folders

CLASSES = 100
ARCHIVE, FOLDER = "cifar-100-python.tar.gz", "cifar-100-python"


def read_cifar100(path: Path, split: str) -> Pictures:
    """Read a split of CIFAR-100.

    Args:
        path: the archive, its unpacked folder, a folder that contains either, or a folder with ``train/`` and ``test/``
            of PNGs by class.
        split: ``train`` or ``test``.

    Raises:
        LrfaceError: the path has none of these, or the file is damaged.
    """
    if path.is_dir() and (path / FOLDER / split).is_file():
        path = path / FOLDER
    elif path.is_dir() and (path / ARCHIVE).is_file():
        path = path / ARCHIVE
    if path.is_file():
        return _pickled(_from_archive(path, split), _from_archive(path, "meta"), f"{path}: {split}")
    if (path / split).is_file():
        return _pickled(_bytes(path / split), _bytes(path / "meta"), str(path / split))
    if (path / split).is_dir():
        return read_folders(path / split, CLASSES)
    raise LrfaceError(
        f"no CIFAR-100 at {path}: expected {ARCHIVE}, its folder {FOLDER}, or folders train/ and test/ with PNGs by class"
    )


def _from_archive(path: Path, name: str) -> bytes:
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile(f"{FOLDER}/{name}")
            if member is None:
                raise KeyError(name)
            return member.read()
    except (tarfile.TarError, KeyError, OSError, EOFError) as error:
        raise LrfaceError(f"{path} is no whole {ARCHIVE} ({error}): download it again") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {error.strerror or error}") from error


class _Unpickler(pickle.Unpickler):
    """An unpickler that can only build arrays. A pickle can run any code, so every other class is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("numpy._core", "numpy.core"), name) == ("numpy.core.multiarray", "_reconstruct"):
            return _reconstruct
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode("latin1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _reconstruct(kind: type, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.ndarray.__new__(np.ndarray, shape, dtype)


def _pickled(data: bytes, meta: bytes, where: str) -> Pictures:
    try:
        content, names = (_Unpickler(io.BytesIO(each), encoding="bytes").load() for each in (data, meta))
        pixels = np.asarray(content[b"data"], np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(content[b"fine_labels"])
        classes = tuple(name.decode() for name in names[b"fine_label_names"])
    except Exception as error:  # a damaged or malicious pickle may raise anything
        raise LrfaceError(f"{where} is no CIFAR-100 file, or is damaged: {error or type(error).__name__}") from error
    return checked(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels, classes, where)

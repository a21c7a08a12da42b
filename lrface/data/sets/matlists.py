"""MATLAB's lists of images and labels, versions 5 (with scipy) and 7.3 (HDF5, with h5py), read into the same arrays."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, because, require_path

#: Fixed text of the header. scipy would write the time, and equal lists would give different bytes.
_HEADER = b"MATLAB 5.0 MAT-file, written by lrface".ljust(116)


class IdList(NamedTuple):
    """File names, and int64 ``[n]`` labels."""

    names: list[str]
    ids: np.ndarray


def read_mat(path: str | Path) -> dict[str, np.ndarray]:
    """Read the variables of a ``.mat`` file in scipy's form: cells are object arrays, a text is ``array(["text"])``.

    Structures and other classes that lists do not use are skipped in a version 7.3 file.

    Raises:
        LrfaceError: the file is missing, damaged or not a ``.mat`` file, or h5py is not installed and the file has
            version 7.3.
    """
    path = Path(require_path(path))
    try:
        with open(path, "rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error
    if any(start[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512)):
        return _read_hdf5(path)
    from scipy.io import loadmat

    try:
        return {key: value for key, value in loadmat(str(path)).items() if not key.startswith("__")}
    except Exception as error:  # scipy raises almost anything on damaged files
        raise LrfaceError(f"{path} is not a .mat file that can be read ({_short(error)}): get it again") from error


def read_id_list(path: str | Path, names_key: str, ids_key: str) -> IdList:
    """Read a list of images with labels, such as ``probe_set`` and ``probe_ids``; name i is ``set[i, 0][0]``.

    Args:
        path: the ``.mat`` file.
        names_key, ids_key: names of the two variables.

    Raises:
        LrfaceError: as :func:`read_mat`; or a variable is missing, the two differ in length, a name is not a plain file
            name, a label is not a whole number, or a name is listed twice.
    """
    mat = read_mat(path)
    names = _names(_variable(mat, names_key, path).reshape(-1), path, names_key)
    ids = _whole(_variable(mat, ids_key, path).reshape(-1), path, ids_key)
    if len(names) != len(ids):
        raise LrfaceError(f"{path}: {names_key} has {len(names)} names and {ids_key} {len(ids)} labels: get it again")
    seen: dict[str, int] = {}
    for name, label in zip(names, ids.tolist(), strict=True):
        if name in seen:
            what = "" if seen[name] == label else f", as {seen[name]} and as {label}"
            raise LrfaceError(f"{path} lists {name} twice{what}: get it again, or remove one")
        seen[name] = label
    return IdList(names, ids)


def read_pair_list(path: str | Path, key: str) -> list[tuple[str, str]]:
    """Read a list of pairs of images, cells ``[n, 2]``.

    Raises:
        LrfaceError: as :func:`read_mat`; or the variable is missing or has another shape, or a name is not a plain file
            name.
    """
    cells = _variable(read_mat(path), key, path)
    if cells.ndim != 2 or cells.shape[1] != 2:
        raise LrfaceError(f"{path}: {key} has the shape {list(cells.shape)}, pairs are [n, 2]: get it again")
    first, second = (_names(cells[:, side], path, key) for side in (0, 1))
    return list(zip(first, second, strict=True))


def cells(names: Any) -> np.ndarray:
    """Convert texts, in nested lists of any shape, to the object array that :func:`write_mat` stores as MATLAB's cells."""
    texts = np.array(names, dtype=object)
    return texts.reshape(-1, 1) if texts.ndim == 1 else texts


def write_mat(path: str | Path, variables: dict[str, np.ndarray]) -> None:
    """Write a version 5 file, atomically. Equal variables give equal bytes."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, variables)
    with atomic_write(path) as file:
        file.write(_HEADER + buffer.getvalue()[len(_HEADER) :])


def _variable(mat: dict[str, np.ndarray], key: str, path: str | Path) -> np.ndarray:
    if key not in mat:
        raise LrfaceError(
            f"{path} has no variable {key!r}, only {', '.join(sorted(mat)) or 'none'}: is it another list?"
        )
    return mat[key]


def _names(values: np.ndarray, path: str | Path, key: str) -> list[str]:
    names = []
    for at, value in enumerate(values):
        while isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        name = str(value).strip() if isinstance(value, str) else ""
        if not name or name in (".", "..") or any(mark in name for mark in "/\\\0"):
            raise LrfaceError(f"{path}: entry {at + 1} of {key} is no file name: {str(value)!r:.60}")
        names.append(name)
    return names


def _whole(values: np.ndarray, path: str | Path, key: str) -> np.ndarray:
    """Convert labels to int64 at once: they can be uint16, in which -100 would become 65,436."""
    plain = values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool(np.all(values == np.floor(values))))
    if not plain or not np.all(np.abs(values.astype(np.float64)) < 2**53):
        raise LrfaceError(f"{path}: {key} holds labels that are no whole numbers ({values.dtype}): get it again")
    return values.astype(np.int64)


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise LrfaceError(f"{path} is of MATLAB's version 7.3: pip install 'lrface[benchmark]' to read it") from error
    try:
        with h5py.File(path, "r") as file:
            return {
                key: _decode(node, file)
                for key, node in file.items()
                if isinstance(node, h5py.Dataset) and not key.startswith("#")
            }
    except LrfaceError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and others on damaged files
        raise LrfaceError(f"{path} is not a .mat file that can be read ({_short(error)}): get it again") from error


def _decode(node: Any, file: Any) -> np.ndarray:
    """Convert a dataset to scipy's form. MATLAB stores arrays column by column, so each one is transposed."""
    kind = node.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    value = np.asarray(node[()])
    if node.attrs.get("MATLAB_empty"):
        return np.empty(tuple(int(side) for side in value), object if kind == "cell" else None)
    value = value.T
    if kind == "cell":
        result = np.empty(value.shape, object)
        for at, reference in np.ndenumerate(value):
            result[at] = _decode(file[reference], file)
        return result
    if kind == "char":
        return np.array([row.astype("<u2").tobytes().decode("utf-16-le") for row in np.atleast_2d(value)])
    return value


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]

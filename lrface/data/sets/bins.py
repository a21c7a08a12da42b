"""insightface's verification packs: ``lfw.bin``, ``cfp_fp.bin``, ``agedb_30.bin``, ``calfw.bin``, ``cplfw.bin``.

A pack is a pickle of ``(bins, issame)`` (insightface ``eval/verification.py::load_bin``, ``build_eval_pack.py``). A pickle is
a program, so it is run here without access to any real class or function. The few names that packs use, from Python 2 and 3
and from numpy 1 and 2, refer to objects of this module that only keep bytes.
"""

import io
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrface.errors import LrfaceError
from lrface.faces.images import read_image
from lrface.files import atomic_write, because, require_path

_FLAG_TYPES = {"b1", "u1", "i1", "i4", "i8"}


class _DType:
    """Replaces ``numpy.dtype``. Only the name, such as ``u1``, is kept."""

    __slots__ = ("name",)

    def __init__(self, name: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: Any) -> None:
        if tuple(state)[1] not in ("|", "<", "=", b"|", b"<", b"="):
            raise pickle.UnpicklingError("big-endian array")


class _Array:
    """Replaces ``numpy.ndarray``. Keeps raw bytes and the name of their type."""

    __slots__ = ("data", "dtype", "shape")

    def __init__(self, data: Any = b"", dtype: _DType | None = None, shape: Any = ()) -> None:
        self.data, self.dtype, self.shape = data, dtype, shape

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, _, self.data = state

    def flat(self, types: set[str]) -> NDArray[Any]:
        """The values as one row. Raises ``ValueError`` unless type, shape and bytes agree."""
        if not isinstance(self.dtype, _DType) or self.dtype.name not in types:
            raise ValueError("an array of a type that packs do not use")
        values = np.frombuffer(self.data, np.dtype(self.dtype.name))
        if not all(isinstance(side, int) for side in self.shape) or len(values) != math.prod(self.shape):
            raise ValueError("an array whose bytes do not fill its shape")
        return values


# A few bytes can make the C unpickler allocate gigabytes for its memo. The Python one uses a dictionary.
class _Unpickler(pickle._Unpickler):
    """Loads lists, tuples, numbers and bytes; numpy's arrays and scalars become the classes above."""

    def find_class(self, module: str, name: str) -> Any:
        # New functions at each call: a pickle may set attributes of what it gets, and this must not affect the next pickle.
        known: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): None,
            ("numpy", "dtype"): lambda name, *_: _DType(name),
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy.core.multiarray", "scalar"): lambda dtype, data: _Array(data, dtype).flat(_FLAG_TYPES)[0],
            ("numpy.core.numeric", "_frombuffer"): lambda data, dtype, shape, *_: _Array(data, dtype, shape),
            ("_codecs", "encode"): lambda text, encoding: _latin1(text, encoding),
        }
        try:
            return known[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no pack needs") from None


def _latin1(text: str, encoding: str) -> bytes:
    """Python 3's form of bytes in the pickle protocols of Python 2."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"it encodes as {encoding!r}")
    return text.encode("latin1")


def read_bin(path: str | Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Decode a verification pack.

    Returns:
        images: uint8 RGB ``[2N, H, W, 3]``; pair i is ``images[2i]`` and ``images[2i + 1]``.
        same: bool ``[N]``.

    Raises:
        LrfaceError: the file is missing, truncated, not a pack, or contains anything but arrays and bytes; the counts
            disagree; an image (named by its index) cannot be decoded or differs from the first one in size.
    """
    bins, same = _load(Path(require_path(path)))
    images: NDArray[np.uint8] | None = None
    for index, encoded in enumerate(bins):
        name = f"{path}: image {index}"
        image = read_image(_image_bytes(encoded, name), name)
        if images is None:
            images = np.empty((len(bins), *image.shape), dtype=np.uint8)
        if image.shape != images.shape[1:]:
            sizes = " and ".join(f"{shape[1]} x {shape[0]}" for shape in (image.shape, images.shape[1:]))
            raise LrfaceError(f"{name} and image 0 differ in size ({sizes} pixels)")
        images[index] = image
    if images is None:
        raise LrfaceError(f"{path} holds no pairs")
    return images, same


def write_bin(path: str | Path, images: Sequence[bytes], same: Sequence[bool] | NDArray[np.bool_]) -> None:
    """Write a pack that insightface's ``load_bin`` can read too.

    Args:
        path: the ``.bin``.
        images: 2N encoded images (JPEG or PNG); pair i is at 2i and 2i + 1.
        same: N flags.

    Raises:
        LrfaceError: the counts disagree, or the file cannot be written.
    """
    if len(images) != 2 * len(same):
        raise LrfaceError(f"cannot write {path}: {len(images)} images for {len(same)} pairs")
    with atomic_write(path) as file:
        pickle.dump(([bytes(image) for image in images], [bool(flag) for flag in same]), file, protocol=4)


def _load(path: Path) -> tuple[Sequence[Any], NDArray[np.bool_]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except EOFError as error:
        raise LrfaceError(f"{path} is truncated ({len(data)} bytes): copy or download it again") from error
    except Exception as error:  # a damaged or hostile pickle may raise anything
        raise LrfaceError(f"{path} is no verification pack, or is damaged: {error or type(error).__name__}") from error
    if not isinstance(content, tuple | list) or len(content) != 2 or not isinstance(content[0], tuple | list):
        raise LrfaceError(f"{path} is no verification pack: expected a pickle of (images, same)")
    bins, same = content[0], _flags(content[1], path)
    if len(bins) != 2 * len(same):
        raise LrfaceError(f"{path} is inconsistent: {len(bins)} images for {len(same)} pairs")
    return bins, same


def _flags(same: Any, path: Path) -> NDArray[np.bool_]:
    try:
        values = same.flat(_FLAG_TYPES).tolist() if isinstance(same, _Array) else list(same)
    except (TypeError, ValueError) as error:
        raise LrfaceError(f"{path}: the list of same and different pairs cannot be read: {error}") from error
    for index, value in enumerate(values):
        if not isinstance(value, bool | int | np.bool_ | np.integer) or value not in (0, 1):
            raise LrfaceError(f"{path}: pair {index} is neither same nor different: {value!r:.40}")
    return np.array(values, dtype=np.bool_)


def _image_bytes(encoded: Any, name: str) -> bytes:
    if isinstance(encoded, bytes | bytearray):
        return bytes(encoded)
    if not isinstance(encoded, _Array):
        raise LrfaceError(f"{name} should be an encoded image, found {type(encoded).__name__}")
    try:
        return encoded.flat({"u1"}).tobytes()
    except (TypeError, ValueError) as error:
        raise LrfaceError(f"{name} is {error}") from error

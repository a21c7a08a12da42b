"""STL10 (Coates, Ng and Lee 2011): the binary files, 96 pixels, 10 classes."""

from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.objects.data.pictures import Pictures, checked

SIDE = 96
FOLDER = "stl10_binary"
NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def read_stl10(path: Path, split: str) -> Pictures:
    """Read ``SPLIT_X.bin`` and ``SPLIT_y.bin`` from ``path`` or from its folder ``stl10_binary``.

    Raises:
        LrfaceError: a file is missing or cut short, or the counts differ.
    """
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    pixels, labels = (_read(folder / f"{split}_{part}.bin") for part in ("X", "y"))
    if not len(pixels) or len(pixels) % (3 * SIDE * SIDE):
        raise LrfaceError(f"{folder / f'{split}_X.bin'} is cut short: its {len(pixels)} bytes are no whole pictures")
    # The file stores each picture column by column.
    images = np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1))
    names_file = folder / "class_names.txt"
    names = tuple(names_file.read_text().split()) if names_file.is_file() else NAMES
    return checked(images, labels.astype(np.int64) - 1, names, str(folder))


def _read(file: Path) -> np.ndarray:
    try:
        return np.fromfile(file, np.uint8)
    except OSError as error:
        raise LrfaceError(f"no STL10 here: cannot read {file}: {error.strerror or error}") from error

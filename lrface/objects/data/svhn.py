"""SVHN, cropped digits (Netzer et al. 2011): ``train_32x32.mat``, ``test_32x32.mat``, ``extra_32x32.mat``."""

from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.objects.data.pictures import Pictures, checked


def read_svhn(path: Path, split: str) -> Pictures:
    """Read the digits of ``path/SPLIT_32x32.mat``. The label 10 in the file means the digit 0.

    Raises:
        LrfaceError: scipy or the file is missing, or the file is damaged.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise LrfaceError("SVHN's .mat files need scipy: pip install 'lrface[benchmark]'") from error
    file = path / f"{split}_32x32.mat"
    if not file.is_file():
        raise LrfaceError(f"no SVHN at {path}: expected {file.name}")
    try:
        content = loadmat(file)
        images, labels = content["X"], content["y"].ravel().astype(np.int64) % 10
    except Exception as error:  # a damaged file may raise anything
        raise LrfaceError(f"{file} is no SVHN file, or is damaged: {error or type(error).__name__}") from error
    if images.ndim != 4:
        raise LrfaceError(f"{file} holds an array of shape {list(images.shape)}: expected [32, 32, 3, N]")
    images = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
    return checked(images, labels, tuple(str(digit) for digit in range(10)), str(file))

"""The definition of low resolution: side, kernel, antialiasing, rounding.

Two different operators are called "bilinear", and they change accuracies by whole points:

- ``antialias=True`` widens the kernel by the reduction factor. Every source pixel then counts, as a camera sensor
  integrates light over its pixels. Pillow's ``resize`` and torchvision's ``antialias=True`` do this. It is the default.
- ``antialias=False`` samples the image at the centres of the target pixels with the kernel as it is. OpenCV's
  ``INTER_LINEAR`` and ``INTER_CUBIC`` do this. From 112 to 16 pixels these centres fall on pixels: bilinear and bicubic
  read one pixel of every 49 and give the same result as ``nearest``.

Every store, checkpoint and result therefore records its operator, as :attr:`Degradation.name`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError

KERNELS = ("bilinear", "area", "bicubic", "nearest")


@dataclass(frozen=True)
class Degradation:
    """How a face is reduced to low resolution.

    Attributes:
        size: side of the square result in pixels, 1 to 4096.
        kernel: ``bilinear``, ``area``, ``bicubic`` or ``nearest``.
        antialias: whether the kernel covers the whole area of a target pixel; see the module's text. It has no effect on
            ``area``, which always does, and on ``nearest``, which never does.

    Raises:
        LrfaceError: unknown kernel, or a size outside this range.
    """

    size: int = 16
    kernel: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise LrfaceError(f"unknown kernel {self.kernel!r}: choose one of {', '.join(KERNELS)}")
        if not 1 <= self.size <= 4096:
            raise LrfaceError(f"a low-resolution side of {self.size} pixels makes no sense: choose 1 to 4096")

    @property
    def name(self) -> str:
        """The operator in one word, as tables print it: ``16px-bilinear-antialias`` or ``16px-bilinear-sampled``."""
        suffix = {"area": "", "nearest": ""}.get(self.kernel, "-antialias" if self.antialias else "-sampled")
        return f"{self.size}px-{self.kernel}{suffix}"

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Reduce uint8 RGB ``[height, width, 3]`` to uint8 ``[size, size, 3]``; see :func:`resize`."""
        return resize(image, self.size, self.kernel, self.antialias)


def resize(image: np.ndarray, size: int, kernel: str = "bilinear", antialias: bool = True) -> np.ndarray:
    """Resize uint8 RGB ``[height, width, 3]`` to uint8 ``[size, size, 3]``, rounded to nearest.

    An image that already has this size is returned itself, not as a copy. Pillow computes the antialiased kernels, OpenCV
    the sampled ones and ``area``. Enlarging never widens the kernel. The two bilinear operators then agree up to rounding;
    the two bicubic ones do not, as Pillow's parameter is -0.5 and OpenCV's -0.75.

    Raises:
        LrfaceError: unknown kernel.
    """
    if kernel not in KERNELS:
        raise LrfaceError(f"unknown kernel {kernel!r}: choose one of {', '.join(KERNELS)}")
    if image.shape[0] == size and image.shape[1] == size:
        return image
    if kernel in ("bilinear", "bicubic") and antialias:
        from PIL import Image

        resample = Image.Resampling.BILINEAR if kernel == "bilinear" else Image.Resampling.BICUBIC
        return np.array(Image.fromarray(image).resize((size, size), resample))
    import cv2

    flags = {
        "bilinear": cv2.INTER_LINEAR,
        "bicubic": cv2.INTER_CUBIC,
        "area": cv2.INTER_AREA,
        "nearest": cv2.INTER_NEAREST_EXACT,
    }
    return cv2.resize(image, (size, size), interpolation=flags[kernel])

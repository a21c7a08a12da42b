"""How many pixels of detail an image of a face holds. A face of 12 pixels enlarged to 112 still has the detail of 12.

An estimate is a quadratic form in the logarithms of some parts of the image's spectrum (its cosine transform). It is fitted to
faces that were reduced to known sizes, blurred, compressed and enlarged again. There are two: :func:`detail` tells small faces
apart, for thresholds, and :func:`crop_detail` large ones, for choosing what to train on. ``tools/fit_detail.py`` fits them and
compares them with simpler estimators on other people's faces. The figures are in ``benchmarks/results/detail.md``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Estimator:
    """Estimates the pixels of detail across a face.

    Attributes:
        lowest, highest: range of the estimate in pixels. More detail than the upper end cannot be told apart.
        side: side in pixels to which the image is resized before its spectrum is computed.
        rings: limits of the rings of the spectrum, in half waves over the image.
        floor: fraction of the mean power that is added to each ring. Below it there is only rounding and noise.
        coefficients: of the terms 1, x_i, and x_i x_j with i <= j, where x are the logarithms of the rings' powers.
    """

    lowest: float
    highest: float
    side: int
    rings: tuple[int, ...]
    floor: float
    coefficients: tuple[float, ...]

    def __call__(self, image: np.ndarray) -> float:
        """Pixels of detail, ``lowest`` to ``highest``, of uint8 RGB ``[h, w, 3]``, filled by the face as an aligned crop is."""
        estimate = float(self.terms(self.ring_powers(image)) @ np.asarray(self.coefficients))
        return float(2 ** np.clip(estimate, np.log2(self.lowest), np.log2(self.highest)))

    def ring_powers(self, image: np.ndarray) -> np.ndarray:
        """Mean power of the image's brightness in each ring of the spectrum, divided by the mean power of the whole spectrum.

        Args:
            image: uint8 RGB ``[h, w, 3]``.

        Returns:
            float64 ``[rings]``; all zero for an image without any contrast.
        """
        import cv2

        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        # INTER_AREA enlarges by repeating pixels. Their edges would count as detail.
        larger = min(image.shape[:2]) > self.side
        shape = (self.side, self.side)
        reduced: np.ndarray = cv2.resize(grey, shape, interpolation=cv2.INTER_AREA if larger else cv2.INTER_CUBIC)
        power = np.square(cv2.dct(reduced - reduced.mean()), dtype=np.float64)
        ring, size = self._ring_of_each
        sums = np.bincount(ring, power.ravel(), minlength=len(self.rings) + 1)[1 : len(self.rings)]
        return sums / size / max(power.mean(), 1e-9)

    def terms(self, powers: np.ndarray) -> np.ndarray:
        """The terms of the quadratic form, in the order of ``coefficients``: ring powers ``[..., n]`` -> float64."""
        x = np.log(powers + self.floor)
        i, j = np.triu_indices(x.shape[-1])
        return np.concatenate([np.ones_like(x[..., :1]), x, x[..., i] * x[..., j]], axis=-1)

    @cached_property
    def _ring_of_each(self) -> tuple[np.ndarray, np.ndarray]:
        """The ring of each coefficient of the transform (0 and the last lie outside all rings), and the sizes of the rings."""
        waves = np.arange(self.side)
        ring = np.digitize(np.hypot(waves[:, None], waves[None]), self.rings).ravel()
        return ring, np.bincount(ring)[1 : len(self.rings)]


#: For small faces.
SMALL = Estimator(
    lowest=2.0,
    highest=32.0,
    side=64,
    rings=(1, 3, 6, 10, 16, 24, 40),
    floor=1e-4,
    coefficients=(
        2.72713, -2.74607, 2.08295, 0.0286934, -0.113122, 0.311124, -0.181517, 0.466249, -0.236768, 0.0501126,
        0.0277645, 0.0572981, 0.00442036, -0.00267126, 0.00177279, 0.014812, 0.00108615, 0.0382311, 0.0268474,
        -0.00813535, -0.0509342, 0.0506203, 0.0394705, 0.018714, -0.0561771, 0.0403943, 0.0125986, 0.00365205,
    ),
)  # fmt: skip

#: For aligned crops of large faces.
LARGE = Estimator(
    lowest=16.0,
    highest=100.0,
    side=112,
    rings=(1, 3, 6, 10, 16, 24, 40, 56, 80, 113),
    floor=1e-5,
    coefficients=(
        -12.1135, -0.610999, 2.79251, 2.67042, 0.450489, 0.0892605, 0.29872, 0.286033, 0.183624, 0.101177, 0.537461,
        -0.665792, -0.356032, -0.0376443, 0.0232579, 0.0466949, 0.0167486, -0.00455899, -0.0546591, 0.309517,
        -0.188482, -0.0143636, 0.0160412, 0.020511, 0.00747156, -0.0317619, -0.0327981, 0.114636, 0.0827604,
        -0.017229, -0.00903794, 0.00406849, -0.0102721, -0.00945421, -0.0863154, 0.0375352, -0.029269, 0.0331084,
        0.0139056, 0.00481219, 0.00602875, 0.0264899, -0.0264773, 0.0119251, 0.00446421, 0.0102844, 0.0305377,
        -0.00980444, 0.0214215, 0.0178458, 0.00565386, 0.0078717, 0.0179494, -0.0341118, -0.0263798,
    ),
)  # fmt: skip

#: Standard deviation of the binary logarithm of both estimates, rounded. It corresponds to a factor of 1.2.
ERROR = 0.25


def detail(image: np.ndarray) -> float:
    """Estimate the pixels of detail across a face: the side of a sharp face that has as much detail.

    Blur counts like a smaller size. A face of s pixels that is blurred by a Gaussian with a standard deviation of b pixels
    has the detail of ``s / sqrt(1 + 3 b^2)``: antialiased bilinear reduction to this side, and enlargement, blur as much.

    Args:
        image: uint8 RGB ``[h, w, 3]``, filled by the face as an aligned crop is.

    Returns:
        2 to 32, in pixels. More is not told apart.
    """
    return SMALL(image)


def crop_detail(crop: np.ndarray) -> float:
    """As :func:`detail`, for aligned crops of large faces: how sharp the photo was from which a crop was cut.

    Args:
        crop: uint8 RGB ``[112, 112, 3]``; other sides are resized.

    Returns:
        16 to 100, in pixels.
    """
    return LARGE(crop)

"""How many pixels of detail an image of a face holds. A face of 12 pixels enlarged to 112 still has the detail of 12.

The estimate is a quadratic form in the logarithms of six parts of the image's spectrum (its cosine transform). It is
fitted to faces that were reduced to known sizes, blurred, compressed and enlarged again. ``tools/fit_detail.py`` fits it
and compares it with simpler estimators on other people's faces. The figures are in ``benchmarks/results/detail.md``.
"""

from functools import cache

import numpy as np

#: Range of the estimate in pixels. More detail than the upper end cannot be told apart.
LOWEST, HIGHEST = 2.0, 32.0

#: Standard deviation of the estimate's binary logarithm, rounded. It corresponds to a factor of 1.2.
ERROR = 0.25

#: Side in pixels to which the image is resized before its spectrum is computed.
SIDE = 64

#: Limits of the six rings of the spectrum, in half waves over the image.
RINGS = (1, 3, 6, 10, 16, 24, 40)

#: Fraction of the mean power that is added to each ring. Below it there is only rounding and noise.
FLOOR = 1e-4

#: Coefficients of the terms 1, x_i, and x_i x_j with i <= j, where x are the logarithms of the six rings.
COEFFICIENTS = (
    2.72713, -2.74607, 2.08295, 0.0286934, -0.113122, 0.311124, -0.181517, 0.466249, -0.236768, 0.0501126,
    0.0277645, 0.0572981, 0.00442036, -0.00267126, 0.00177279, 0.014812, 0.00108615, 0.0382311, 0.0268474,
    -0.00813535, -0.0509342, 0.0506203, 0.0394705, 0.018714, -0.0561771, 0.0403943, 0.0125986, 0.00365205,
)  # fmt: skip


def detail(image: np.ndarray) -> float:
    """Estimate the pixels of detail across a face: the side of a sharp face that has as much detail.

    Blur counts like a smaller size. A face of s pixels that is blurred by a Gaussian with a standard deviation of b pixels
    has the detail of ``s / sqrt(1 + 3 b^2)``: antialiased bilinear reduction to this side, and enlargement, blur as much.

    Args:
        image: uint8 RGB ``[h, w, 3]``, filled by the face as an aligned crop is.

    Returns:
        ``LOWEST`` to ``HIGHEST``, in pixels.
    """
    estimate = float(terms(ring_powers(image)) @ np.asarray(COEFFICIENTS))
    return float(2 ** np.clip(estimate, np.log2(LOWEST), np.log2(HIGHEST)))


def ring_powers(image: np.ndarray) -> np.ndarray:
    """Mean power of the image's brightness in each ring of the spectrum, divided by the mean power of the whole spectrum.

    Args:
        image: uint8 RGB ``[h, w, 3]``.

    Returns:
        float64 ``[6]``; all zero for an image without any contrast.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # INTER_AREA enlarges by repeating pixels. Their edges would count as detail.
    larger = min(image.shape[:2]) > SIDE
    reduced: np.ndarray = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if larger else cv2.INTER_CUBIC)
    power = np.square(cv2.dct(reduced - reduced.mean()), dtype=np.float64)
    ring, size = _rings()
    sums = np.bincount(ring, power.ravel(), minlength=len(RINGS) + 1)[1 : len(RINGS)]
    return sums / size / max(power.mean(), 1e-9)


def terms(powers: np.ndarray) -> np.ndarray:
    """The terms of the quadratic form, in the order of ``COEFFICIENTS``: ring powers ``[..., 6]`` -> float64 ``[..., 28]``."""
    x = np.log(powers + FLOOR)
    i, j = np.triu_indices(x.shape[-1])
    return np.concatenate([np.ones_like(x[..., :1]), x, x[..., i] * x[..., j]], axis=-1)


@cache
def _rings() -> tuple[np.ndarray, np.ndarray]:
    """The ring of each coefficient of the transform (1 to 6; 0 and 7 lie outside all rings), and the sizes of the rings."""
    waves = np.arange(SIDE)
    ring = np.digitize(np.hypot(waves[:, None], waves[None]), RINGS).ravel()
    return ring, np.bincount(ring)[1 : len(RINGS)]

"""How many pixels of detail an image of a face holds: a face of 12 pixels enlarged to 112 is a face of 12 pixels.

A quadratic form in the logarithms of six shares of the image's spectrum (its cosine transform), fitted to faces that
were reduced to known sizes, blurred, compressed and enlarged again. ``tools/fit_detail.py`` fits it and measures it on
other people's faces beside simpler estimators; ``benchmarks/results/detail.md`` has the figures.
"""

from functools import cache

import numpy as np

#: Detail in pixels that is told apart; what has more is given the upper end.
LOWEST, HIGHEST = 2.0, 32.0

#: Standard deviation of the estimate's binary logarithm, rounded: a factor of 1.2.
ERROR = 0.25

#: Side at which the spectrum is taken.
SIDE = 64

#: Ends of the six rings of the spectrum, in half waves over the image.
RINGS = (1, 3, 6, 10, 16, 24, 40)

#: Share of the mean power that is added to each ring: below it there is rounding and noise.
FLOOR = 1e-4

#: Of 1, the logarithms x of the six rings, and their products x_i x_j, i <= j.
COEFFICIENTS = (
    2.72713, -2.74607, 2.08295, 0.0286934, -0.113122, 0.311124, -0.181517, 0.466249, -0.236768, 0.0501126,
    0.0277645, 0.0572981, 0.00442036, -0.00267126, 0.00177279, 0.014812, 0.00108615, 0.0382311, 0.0268474,
    -0.00813535, -0.0509342, 0.0506203, 0.0394705, 0.018714, -0.0561771, 0.0403943, 0.0125986, 0.00365205,
)  # fmt: skip


def detail(image: np.ndarray) -> float:
    """Pixels of detail across a face, ``LOWEST`` to ``HIGHEST``: the side of the sharp face that is as detailed.

    Blur counts as a smaller face does: one of s pixels, blurred by a Gaussian of b of its pixels, has the detail of
    ``s / sqrt(1 + 3 b^2)``, whose antialiased bilinear reduction and enlargement blur as much.

    Args:
        image: uint8 RGB ``[h, w, 3]``, a face that fills it as an aligned crop does.
    """
    estimate = float(terms(ring_powers(image)) @ np.asarray(COEFFICIENTS))
    return float(2 ** np.clip(estimate, np.log2(LOWEST), np.log2(HIGHEST)))


def ring_powers(image: np.ndarray) -> np.ndarray:
    """Mean power of the image's brightness in each ring of the spectrum, relative to that of the whole: float64 ``[6]``.

    All zero for an image without any contrast.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # INTER_AREA enlarges by repeating pixels, whose edges would be taken for detail.
    larger = min(image.shape[:2]) > SIDE
    reduced: np.ndarray = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if larger else cv2.INTER_CUBIC)
    power = np.square(cv2.dct(reduced - reduced.mean()), dtype=np.float64)
    ring, size = _rings()
    sums = np.bincount(ring, power.ravel(), minlength=len(RINGS) + 1)[1 : len(RINGS)]
    return sums / size / max(power.mean(), 1e-9)


def terms(powers: np.ndarray) -> np.ndarray:
    """What the coefficients belong to: float64 ``[..., 28]`` from ring powers ``[..., 6]``."""
    x = np.log(powers + FLOOR)
    i, j = np.triu_indices(x.shape[-1])
    return np.concatenate([np.ones_like(x[..., :1]), x, x[..., i] * x[..., j]], axis=-1)


@cache
def _rings() -> tuple[np.ndarray, np.ndarray]:
    """The ring of each coefficient of the transform, 1 to 6 (others 0 and 7), and the rings' sizes."""
    waves = np.arange(SIDE)
    ring = np.digitize(np.hypot(waves[:, None], waves[None]), RINGS).ravel()
    return ring, np.bincount(ring)[1 : len(RINGS)]

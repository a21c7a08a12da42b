"""Native views: faces that are small in their photo, made as inference makes them: photographed, detected, aligned.

The standard protocol reduces an aligned crop, so that the pixel grid is always that of the crop. In a real photo the face
lies on the camera's grid at any position. A detector finds its landmarks with an error, and the aligned crop is warped from
these pixels. Here the crop is the scene. A simulated camera takes it on its own grid, and the result is aligned with
:func:`lrface.faces.align.norm_crop`, the function that inference uses.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cv2
import numpy as np

from lrface.faces.align import TEMPLATE, TEMPLATE_SIZE, norm_crop
from lrface.faces.degrade import resize
from lrface.train.recipe import NativeSection

#: Alignment error of CenterFace's landmarks against MTCNN's in the full photo. For each side of the ArcFace crop in the
#: photo: mean and standard deviation of the shift to the right and down (pixels of the 112 crop), of the logarithm of the
#: scale, and of the angle (radians). From 200 photos of the training pairs of LFW's View 1, without the extreme hundredth at
#: each end. ``benchmarks/native_faces.py`` measures it.
MISSED = {
    8: ((-0.68, 0.10, -0.083, 0.006), (2.55, 2.61, 0.061, 0.045)),
    10: ((-1.06, 0.45, -0.062, 0.015), (1.90, 2.12, 0.064, 0.042)),
    12: ((-0.57, -0.12, -0.056, 0.012), (1.41, 1.76, 0.044, 0.038)),
    16: ((-0.71, -0.62, -0.058, 0.011), (1.03, 1.60, 0.049, 0.034)),
    20: ((-0.56, -0.57, -0.029, 0.007), (1.00, 1.35, 0.051, 0.031)),
    24: ((-0.22, -0.01, -0.024, 0.010), (0.91, 1.21, 0.038, 0.030)),
    32: ((0.39, 0.50, -0.037, 0.022), (1.13, 1.50, 0.042, 0.035)),
    40: ((0.25, 0.42, -0.023, 0.007), (1.14, 1.38, 0.055, 0.039)),
}

#: Width of the mirrored border around the scene, as a fraction of its side. The photo is larger by this on each side.
MARGIN = 0.25


def native_views(crops: np.ndarray, seeds: Sequence[int], section: NativeSection, size: int) -> np.ndarray:
    """Make one view of each crop.

    Args:
        crops: uint8 RGB ``[b, s, s, 3]``, aligned to the template.
        seeds: one per view. A view depends only on its crop, its seed and the section.
        section: settings of the camera.
        size: side of the result in pixels.

    Returns:
        uint8 RGB ``[b, size, size, 3]``.
    """
    views = np.empty((len(crops), size, size, 3), np.uint8)

    def make(row: int) -> None:
        views[row] = native_view(crops[row], int(seeds[row]), section, size)

    for _ in _pool().map(make, range(len(crops))):
        pass
    return views


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


def native_view(crop: np.ndarray, seed: int, section: NativeSection, size: int) -> np.ndarray:
    """Photograph a crop at a small size, detect and align it: uint8 RGB ``[size, size, 3]``; see :func:`native_views`."""
    rng = np.random.default_rng(seed)
    low, high = section.sides
    side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    photo, matrix = photograph(crop, side, np.radians(section.rotate) * rng.uniform(-1, 1), rng.uniform(-0.5, 0.5, 2))
    photo = _spoil(photo, section, rng)
    places = miss(side, rng, section.landmarks)
    return resize(norm_crop(photo, places @ matrix[:, :2].T + matrix[:, 2]), size)


def photograph(crop: np.ndarray, side: float, angle: float, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a camera's sensor: each pixel is the mean of the area that it covers.

    Args:
        crop: uint8 RGB ``[s, s, 3]``, aligned to the template. It is the scene, with its mirror image around it.
        side: side of the crop in the photo, in pixels; need not be whole.
        angle: of the camera, in radians.
        shift: of the scene's centre from the photo's centre, x and y in pixels.

    Returns:
        The photo, uint8 RGB, and the float64 ``[2, 3]`` matrix from pixels of the 112 crop to pixels of the photo.
    """
    source = len(crop)
    times = max(round(source / side), 1)
    width = int(np.ceil(side * (1 + 2 * MARGIN))) + 2
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def matrix(of: float, to: float) -> np.ndarray:
        """The matrix from a crop of ``of`` pixels to a photo with ``to`` times finer pixels."""
        linear = turned * (side * to / of)
        middle = (width / 2 + shift) * to - 0.5
        return np.hstack([linear, (middle - linear @ np.full(2, of / 2 - 0.5))[:, None]])

    fine = cv2.warpAffine(
        crop, matrix(source, times), (width * times,) * 2, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    photo = cv2.resize(fine, (width, width), interpolation=cv2.INTER_AREA) if times > 1 else fine
    return photo, matrix(TEMPLATE_SIZE, 1)


def _spoil(photo: np.ndarray, section: NativeSection, rng: np.random.Generator) -> np.ndarray:
    """Add optical blur, sensor noise and JPEG compression of random strengths."""
    sigma, noise = section.blur * rng.random(), 255 * section.noise * rng.random()
    if sigma > 0.1:  # a smaller value does not change the pixels
        photo = cv2.GaussianBlur(photo, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    if noise:
        grain = rng.standard_normal(photo.shape, np.float32) * noise
        photo = np.clip(np.rint(photo + grain), 0, 255).astype(np.uint8)
    if rng.random() < section.jpeg:
        quality = int(rng.integers(section.quality[0], section.quality[1] + 1))
        data = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        photo = np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
    return photo


@cache
def _missed() -> tuple[np.ndarray, np.ndarray]:
    """``MISSED`` as arrays: logarithms of the sides ``[sides]``, and ``[sides, 2, 4]``."""
    return np.log(list(MISSED)), np.array(list(MISSED.values()))


def miss(side: float, rng: np.random.Generator, factor: float = 1.0) -> np.ndarray:
    """Simulate a detector: the template's landmarks as found in a face whose crop has ``side`` pixels: float64 ``[5, 2]``.

    Only the effect on the alignment counts: a shift, a scale and an angle. These are drawn according to ``MISSED``.

    Args:
        side: in pixels.
        rng: random generator.
        factor: multiplies the measured errors.
    """
    known, table = _missed()
    at = min(max(np.interp(np.log(side), known, np.arange(len(known))), 0), len(known) - 1)
    below = min(int(at), len(known) - 2)
    mean, spread = table[below] + (at - below) * (table[below + 1] - table[below])
    right, down, grow, turn = factor * (mean + spread * np.clip(rng.standard_normal(4), -3, 3))
    centre = TEMPLATE.mean(0, dtype=np.float64)
    linear = np.exp(grow) * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    places: np.ndarray = (TEMPLATE - centre) @ linear.T + centre + [right, down]
    return places

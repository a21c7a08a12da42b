"""Views of faces that are small in their photo, made as inference makes them: photographed small, found, and warped.

The protocol reduces an aligned crop, so that the pixels' grid is always that of the crop. In a photo the face lies on the
camera's grid, anyhow; a detector finds its landmarks with an error; and the aligned crop is warped from those pixels. Here
the crop plays the scene: a camera sees it on a grid of its own, and what follows is :func:`lrface.faces.align.norm_crop`,
the very function that inference calls.
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

#: What the alignment by CenterFace's landmarks misses: by side of the ArcFace crop in the photo, mean and standard
#: deviation of the shift right and down in pixels of the 112 crop, of the logarithm of the scale, and of the angle in
#: radians, against MTCNN's landmarks in the full photo; 200 photos of LFW View 1's training pairs, the outermost hundredth
#: left out at each end. ``benchmarks/native_faces.py`` measures it.
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

#: What the mirror image goes on for around the scene, as a part of its side: the photo is that much larger on each side.
MARGIN = 0.25


def native_views(crops: np.ndarray, seeds: Sequence[int], section: NativeSection, size: int) -> np.ndarray:
    """One view of each crop.

    Args:
        crops: uint8 RGB ``[b, s, s, 3]``, aligned to the template.
        seeds: of each view; a view depends on its crop, its seed and the section alone.
        section: what a camera does.
        size: side of the result.

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
    """A crop seen small by a camera, found and aligned: uint8 RGB ``[size, size, 3]``; see :func:`native_views`."""
    rng = np.random.default_rng(seed)
    low, high = section.sides
    side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    photo, matrix = photograph(crop, side, np.radians(section.rotate) * rng.uniform(-1, 1), rng.uniform(-0.5, 0.5, 2))
    photo = _spoil(photo, section, rng)
    places = miss(side, rng, section.landmarks)
    return resize(norm_crop(photo, places @ matrix[:, :2].T + matrix[:, 2]), size)


def photograph(crop: np.ndarray, side: float, angle: float, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a sensor sees of a scene: each of its pixels is the mean of what it covers.

    Args:
        crop: uint8 RGB ``[s, s, 3]``, aligned to the template: the scene, its mirror image around it.
        side: of the crop in the photo, in pixels; no whole number.
        angle: of the camera, in radians.
        shift: of the scene's centre off that of the photo, x and y in pixels.

    Returns:
        uint8 RGB photo, and the ``[2, 3]`` matrix from pixels of the 112 crop to those of the photo.
    """
    source = len(crop)
    times = max(round(source / side), 1)
    width = int(np.ceil(side * (1 + 2 * MARGIN))) + 2
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def matrix(of: float, to: float) -> np.ndarray:
        """From a crop of ``of`` pixels to a photo whose pixels are ``to`` times finer."""
        linear = turned * (side * to / of)
        middle = (width / 2 + shift) * to - 0.5
        return np.hstack([linear, (middle - linear @ np.full(2, of / 2 - 0.5))[:, None]])

    fine = cv2.warpAffine(
        crop, matrix(source, times), (width * times,) * 2, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    photo = cv2.resize(fine, (width, width), interpolation=cv2.INTER_AREA) if times > 1 else fine
    return photo, matrix(TEMPLATE_SIZE, 1)


def _spoil(photo: np.ndarray, section: NativeSection, rng: np.random.Generator) -> np.ndarray:
    """Blur of the optics, noise of the sensor, JPEG, each of a random strength."""
    sigma, noise = section.blur * rng.random(), 255 * section.noise * rng.random()
    if sigma > 0.1:  # less leaves the pixels as they are
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
    """``MISSED`` as arrays: logarithms of the sides, and ``[sides, 2, 4]``."""
    return np.log(list(MISSED)), np.array(list(MISSED.values()))


def miss(side: float, rng: np.random.Generator, factor: float = 1.0) -> np.ndarray:
    """Where a detector sees the template's landmarks in a face whose crop has ``side`` pixels: float64 ``[5, 2]``.

    Only what an alignment makes of them counts, a shift, a scale and an angle: these are drawn as ``MISSED`` says.

    Args:
        side: in pixels.
        rng: what is drawn from.
        factor: by which errors are larger than measured.
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

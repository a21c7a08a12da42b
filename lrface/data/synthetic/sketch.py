"""Shapes on a head: smooth curves are placed on it, turned with it, aligned to the template and then drawn."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lrface.data.synthetic.identity import Identity
from lrface.data.synthetic.nuisance import Nuisance

Points = NDArray[np.float64]
Colour = tuple[float, float, float]

# The ArcFace template (insightface, utils/face_align.py) as complex numbers x + iy, which makes the alignment one line.
_TEMPLATE = np.array(
    [38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j]
)
_SUBPIXEL_BITS = 4
_HEAD_DEPTH = 40.0
_HEAD_CENTRE_Y = -18.0
_HEAD_HALF_HEIGHT = 72.0


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour at ``share`` of the way from ``a`` to ``b``."""
    rest = 1.0 - share
    return (a[0] * rest + b[0] * share, a[1] * rest + b[1] * share, a[2] * rest + b[2] * share)


@lru_cache(maxsize=256)
def _spline_basis(count: int, closed: bool, steps: int) -> Points:
    """Matrix ``[n, count]`` that turns control points into points of the Catmull-Rom curve through them."""
    t = np.arange(steps)[:, None] / steps
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2])
    segments = count if closed else count - 1
    basis = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for offset in range(4):
            at = segment + offset - 1
            column = at % count if closed else min(max(at, 0), count - 1)
            basis[segment * steps : (segment + 1) * steps, column] += weights[:, offset]
    if not closed:
        basis[-1, -1] = 1.0
    return basis


def curve(control: list[tuple[float, float]], closed: bool = False, steps: int = 4) -> Points:
    """Smooth curve ``[n, 2]`` through the control points."""
    return _spline_basis(len(control), closed, steps) @ np.array(control)


@lru_cache(maxsize=8)
def _circle(count: int) -> Points:
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def ellipse(x: float, y: float, half_width: float, half_height: float, count: int = 14) -> Points:
    """Outline ``[count, 2]`` of an upright ellipse."""
    return _circle(count) * (half_width, half_height) + (x, y)


class Head:
    """The map from the plane of the face to the aligned picture, for one person in one pose."""

    def __init__(self, who: Identity, how: Nuisance, landmarks: Points) -> None:
        """``landmarks``: the five points ``[5, 2]`` in the plane of the face, image-left eye first."""
        self._half_width = who.face_width * 1.08
        self._cos_yaw, self._sin_yaw = np.cos(how.yaw), np.sin(how.yaw)
        self._cos_pitch, self._sin_pitch = np.cos(how.pitch), np.sin(how.pitch)
        seen = self._turn(landmarks, np.array([0.0, 0.0, who.nose_depth, 0.0, 0.0]))
        error = np.array(how.landmark_error)
        target = _TEMPLATE + error[0::2] + 1j * error[1::2]
        # Least-squares similarity without reflection (Umeyama), in the complex plane.
        centred = seen - seen.mean()
        self._factor = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred)
        self._shift = target.mean() - self._factor * seen.mean()
        self.centre = self.place(np.array([[0.0, _HEAD_CENTRE_Y + 12]]), np.zeros(1))[0]

    def _turn(self, points: Points, lift: Points) -> NDArray[np.complex128]:
        x, y = points[:, 0], points[:, 1]
        bulge = 1 - (x / self._half_width) ** 2 - ((y - _HEAD_CENTRE_Y) / _HEAD_HALF_HEIGHT) ** 2
        z = _HEAD_DEPTH * np.sqrt(np.maximum(bulge, 0.0)) + lift
        turned_z = z * self._cos_yaw - x * self._sin_yaw
        return x * self._cos_yaw + z * self._sin_yaw + 1j * (y * self._cos_pitch + turned_z * self._sin_pitch)

    def place(self, points: Points, lift: Points) -> Points:
        """Pixels ``[n, 2]`` of points ``[n, 2]`` in the plane of the face, raised by ``lift`` ``[n]`` above the head's surface."""
        placed = self._factor * self._turn(points, lift) + self._shift
        return np.stack([placed.real, placed.imag], 1)


class Sketch:
    """Collects shapes in the plane of the face and draws them in the order in which they were added."""

    def __init__(self) -> None:
        self._points: list[Points] = []
        self._lifts: list[float] = []
        self._styles: list[tuple[Colour, float]] = []  # thickness 0: filled

    def fill(self, points: Points, colour: Colour, lift: float = 0.0) -> None:
        """Add a filled polygon ``[n, 2]``."""
        self.line(points, colour, 0.0, lift)

    def line(self, points: Points, colour: Colour, thickness: float, lift: float = 0.0) -> None:
        """Add an open stroke through points ``[n, 2]``; ``thickness`` is in pixels of the 112 frame."""
        self._points.append(points)
        self._lifts.append(lift)
        self._styles.append((colour, thickness))

    def draw(self, canvas: NDArray[np.uint8], head: Head | None) -> None:
        """Draw all shapes on ``canvas`` ``[S, S]`` or ``[S, S, 3]``. Without a head the points are pixels of the 112 frame."""
        if not self._points:
            return
        scale = canvas.shape[0] / 112.0
        lengths = [len(points) for points in self._points]
        points = np.concatenate(self._points)
        if head is not None:
            points = head.place(points, np.repeat(self._lifts, lengths))
        # OpenCV and the template both count pixels from their centres, so only a change of size shifts them.
        pixels = (points + 0.5) * scale - 0.5
        fixed = np.rint(np.clip(pixels, -2000, 2000) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        start = 0
        for length, (colour, thickness) in zip(lengths, self._styles, strict=True):
            part = fixed[start : start + length]
            start += length
            if thickness == 0:
                cv2.fillPoly(canvas, [part], colour, cv2.LINE_AA, _SUBPIXEL_BITS)
            else:
                width = max(1, round(thickness * scale))
                cv2.polylines(canvas, [part], False, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)

"""Light and camera: all effects on the drawn picture as a whole."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lrface.data.synthetic.identity import Identity
from lrface.data.synthetic.nuisance import Nuisance
from lrface.data.synthetic.sketch import Head, Sketch, ellipse
from lrface.faces.images import encode_image, read_image

Image = NDArray[Any]  # uint8; OpenCV's stubs lose the type
_MAP = 56  # light changes slowly, so its map has half the frame's size
_TILE = 512


@lru_cache(maxsize=1)
def _noise_tile() -> NDArray[np.float32]:
    """Standard normal numbers, float32 ``[512, 512, 3]``. A picture uses a window of them, which is faster than new ones."""
    return np.random.default_rng(0xCA).standard_normal((_TILE, _TILE, 3), dtype=np.float32)


@lru_cache(maxsize=1)
def _grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y of the light map's pixels, in pixels of the 112 frame: float32 ``[1, 56]`` and ``[56, 1]``."""
    line = (np.arange(_MAP, dtype=np.float32) + 0.5) * (112 / _MAP) - 0.5
    return line[None, :], line[:, None]


def background(numbers: tuple[float, ...], size: int) -> Image:
    """Draw a blurred room, uint8 ``[size, size, 3]``: smooth colours and a few bars, from 94 numbers between 0 and 1."""
    values = np.array(numbers)
    base = 25 + 195 * values[0] + 80 * (values[1:4] - 0.5)
    coarse = np.clip(base + 70 * (values[4:79].reshape(5, 5, 3) - 0.5), 0, 255).astype(np.uint8)
    small = cv2.resize(coarse, (28, 28), interpolation=cv2.INTER_LINEAR)
    for x, y, width, height, shift in values[79:94].reshape(3, 5).tolist():
        left, top = int(28 * x), int(28 * y)
        colour = np.clip(base + 120 * (shift - 0.5), 0, 255).tolist()
        cv2.rectangle(small, (left, top), (left + 3 + int(15 * width), top + 3 + int(25 * height)), colour, -1)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def _relief(who: Identity, how: Nuisance) -> Sketch:
    """Draw hollows (dark) and ridges (light) of the face, as grey levels around 128."""
    sketch = Sketch()
    tip = who.nose_tip
    lamp = how.light_strength * how.light_x
    for side in (-1.0, 1.0):
        x = side * who.eye_spacing
        socket = ellipse(x, who.eye_height - 3.5, who.eye_width + 2, 6.5)
        sketch.fill(socket, (114, 0, 0))
        cheek = ellipse(side * who.face_width * 0.6, 2.0, 8.0, 7.0)
        sketch.fill(cheek, (136, 0, 0))
        hollow = ellipse(side * who.face_width * 0.72, 15.0, 6.0, 9.0)
        sketch.fill(hollow, (118, 0, 0))
        flank = np.array(
            [
                (side * who.nose_bridge, who.eye_height + 2),
                (side * (who.nose_width + 1.5), tip + 2.5),
                (side * who.nose_width * 0.4, tip - 1),
            ]
        )
        # The side of the nose that faces away from the lamp is in shadow.
        sketch.fill(flank, (128 - 10 + 30 * side * lamp, 0, 0), who.nose_depth * 0.4)
    sketch.fill(ellipse(0, tip + 6.5, who.nose_width, 2.6), (104, 0, 0))
    sketch.fill(ellipse(0, who.mouth_height + who.lower_lip + 3.0 + 0.75 * how.mouth_open, 6.5, 2.0), (108, 0, 0))
    ridge = [(-1.3, who.eye_height), (1.3, who.eye_height), (1.8, tip), (-1.8, tip)]
    sketch.fill(np.array(ridge), (148, 0, 0), who.nose_depth * 0.7)
    sketch.fill(ellipse(0, who.chin_length - 7, 6, 4), (136, 0, 0))
    return sketch


def light(picture: Image, who: Identity, how: Nuisance, head: Head) -> Image:
    """Shade the head like a round object, add a cast shadow, and set the exposure: uint8 ``[S, S, 3]``."""
    relief: Image = np.full((_MAP, _MAP), 128, np.uint8)
    _relief(who, how).draw(relief, head)
    relief = cv2.GaussianBlur(relief, (0, 0), 1.5)
    x, y = _grid()
    across = (x - head.centre[0]) / (who.face_width * 1.25)
    down = (y - head.centre[1]) / 72.0
    # Outside the head the light keeps its value at the outline, so that the background shows no edge.
    radius = np.sqrt(across**2 + down**2)
    inside = np.minimum(1.0, 0.9 / np.maximum(radius, 1e-3))
    across, down = across * inside, down * inside
    towards = np.sqrt(1 - across**2 - down**2)
    lamp = np.array([how.light_x, how.light_y, 1.0]) / np.sqrt(how.light_x**2 + how.light_y**2 + 1)
    facing = np.maximum(across * lamp[0] + down * lamp[1] + towards * lamp[2], 0.0)
    shade = relief * np.float32(1 / 128) * (1 - how.light_strength + 1.35 * how.light_strength * facing)
    angle, place, depth = how.shadow
    if depth:
        distance = (x - 56) * np.cos(angle) + (y - 60) * np.sin(angle) - place
        shade = shade * (1 - depth / (1 + np.exp(-np.clip(distance, -40, 40) / 1.5)))
    size = picture.shape[0]
    shade = cv2.resize((shade * how.exposure).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    lit = cv2.multiply(picture, cv2.merge([shade * factor for factor in how.tint]), dtype=cv2.CV_8U)
    return _tone(lit, how)


def _tone(picture: Image, how: Nuisance) -> Image:
    """Apply saturation and the camera's response curve."""
    grey = np.tile((0.299, 0.587, 0.114), (3, 1))  # ITU-R BT.601
    picture = cv2.transform(picture, how.saturation * np.eye(3) + (1 - how.saturation) * grey)
    level = np.arange(256) / 255
    return cv2.LUT(picture, np.rint(255 * level**how.gamma).astype(np.uint8))


def expose(picture: Image, how: Nuisance) -> Image:
    """Add blur, motion, noise and compression: uint8 ``[S, S, 3]``."""
    size = picture.shape[0]
    scale = size / 112
    if how.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), how.blur * scale)
    length, angle = how.motion[0] * scale, how.motion[1]
    if length > 1:
        radius = int(np.ceil(length / 2))
        kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
        end = np.array([np.cos(angle), np.sin(angle)]) * length / 2 * 16
        centre = radius * 16
        points = np.rint([centre - end, centre + end]).astype(np.int32)
        cv2.polylines(kernel, [points], False, 1.0, 1, cv2.LINE_8, 4)
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    window = _noise_tile()
    row, column = how.grain_place
    if size > 112:
        noise = cv2.resize(window[row : row + 112, column : column + 112], (size, size))
    else:
        noise = window[row : row + size, column : column + size]
    picture = cv2.add(picture, noise * np.float32(how.noise), dtype=cv2.CV_8U)
    if how.jpeg:
        picture = read_image(encode_image(picture, "jpg", how.jpeg))
    return picture

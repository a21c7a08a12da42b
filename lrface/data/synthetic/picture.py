"""Rendering one picture of one person."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lrface.data.synthetic import camera, features, head
from lrface.data.synthetic.identity import RANGES, Identity
from lrface.data.synthetic.nuisance import Nuisance
from lrface.data.synthetic.palette import Palette, palette
from lrface.data.synthetic.sketch import Head, Sketch, curve, ellipse, mix
from lrface.errors import LrfaceError

MIN_SIZE, MAX_SIZE = 8, 1024
# The parameters that a new hairstyle changes, and how strongly.
_STYLES = {"hair_length": 1.0, "hair_part": 1.0, "hair_fringe": 0.8, "hair_volume": 0.8, "hair_shade": 0.5}
# Smaller pictures are drawn at 112 and reduced, because lines thinner than a pixel cannot be drawn well.
_DRAWN_FROM = 96


def render(identity: Identity, nuisance: Nuisance, size: int = 112) -> NDArray[np.uint8]:
    """Draw a face, aligned to the ArcFace template at this size: uint8 RGB ``[size, size, 3]``.

    Raises:
        LrfaceError: the size is not a whole number from 8 to 1024.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not MIN_SIZE <= size <= MAX_SIZE:
        raise LrfaceError(f"a face's size must be a whole number from {MIN_SIZE} to {MAX_SIZE} pixels, not {size!r}")
    identity = restyled(identity, nuisance)
    drawn = int(size) if size >= _DRAWN_FROM else 112
    colours = palette(identity)
    pose = Head(identity, nuisance, features.landmarks(identity, nuisance))
    picture: camera.Image = camera.background(nuisance.background, drawn)
    skin = Sketch()
    head.behind(skin, identity, nuisance, colours)
    head.face(skin, identity, nuisance, colours)
    skin.draw(picture, pose)
    _grow_beard(picture, identity, nuisance, colours, pose)
    front = Sketch()
    features.lines_of_age(front, identity, nuisance, colours)
    features.mouth(front, identity, nuisance, colours)
    features.eyes(front, identity, nuisance, colours)
    features.brows(front, identity, nuisance, colours)
    features.nose(front, identity, colours)
    head.moles(front, identity, colours)
    head.hair(front, identity, nuisance, colours)
    _wear(front, identity, nuisance)
    front.draw(picture, pose)
    if nuisance.occlusion == "patch":
        _patch(picture, nuisance)
    picture = camera.light(picture, identity, nuisance, pose)
    picture = camera.expose(picture, nuisance)
    if drawn != size:
        return np.asarray(cv2.resize(picture, (int(size), int(size)), interpolation=cv2.INTER_AREA), np.uint8)
    return picture


def restyled(who: Identity, how: Nuisance) -> Identity:
    """The person with the hairstyle and beard of this picture."""
    values = {}
    for name, share in zip(_STYLES, how.hair_style, strict=True):
        low, high = RANGES[name]
        change = how.hair_change * _STYLES[name]
        values[name] = (1 - change) * getattr(who, name) + change * (low + (high - low) * share)
    return replace(who, beard=who.beard * how.shave, moustache=who.moustache * how.shave, **values)


def _grow_beard(picture: NDArray[np.uint8], who: Identity, how: Nuisance, colours: Palette, pose: Head) -> None:
    """Blend in the colour of the beard, in place. A mask with soft edges is used, because a beard has no sharp outline."""
    if who.beard == 0 and who.moustache == 0:
        return
    size = picture.shape[0]
    mask: camera.Image = np.zeros((size, size), np.uint8)
    shapes = Sketch()
    strength = 60 + 190 * who.beard if who.beard > 0 else 235.0
    head.beard_shapes(shapes, who, how, (strength, 0, 0))
    shapes.draw(mask, pose)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.6 * size / 112)
    share = cv2.merge([mask, mask, mask])
    colour = np.empty_like(picture)
    colour[:] = np.rint(colours.beard)
    grown = cv2.add(cv2.multiply(picture, 255 - share, scale=1 / 255), cv2.multiply(colour, share, scale=1 / 255))
    picture[:] = grown


def _wear(sketch: Sketch, who: Identity, how: Nuisance) -> None:
    """Draw glasses, and a scarf or hat that hides a part of the face."""
    colour = how.occlusion_colour
    if how.occlusion == "sunglasses":
        features.glasses(sketch, who, lens=mix((18, 18, 22), colour, 0.12))
    elif how.glasses_draw < who.glasses:
        features.glasses(sketch, who)
    width = who.face_width
    if how.occlusion == "scarf":
        top = who.nose_tip + 2 + 0.12 * how.occlusion_place[2]
        edge = [
            (-width - 3, top - 6),
            (-width * 0.5, top - 2),
            (0.0, top),
            (width * 0.5, top - 2),
            (width + 3, top - 6),
        ]
        low = who.chin_length + 9
        sketch.fill(np.concatenate([curve(edge), [(width * 0.8, low), (0, low + 6), (-width * 0.8, low)]]), colour, 4.0)
        for fold in (7.0, 15.0):
            sketch.line(curve([(x * 0.96, y + fold) for x, y in edge]), mix(colour, (0, 0, 0), 0.3), 1.2, 4.0)
    elif how.occlusion == "hat":
        brim = -42.0 + 0.12 * how.occlusion_place[3]
        edge = [
            (-width - 8, brim + 2),
            (-width * 0.5, brim + 4),
            (0.0, brim + 5),
            (width * 0.5, brim + 4),
            (width + 8, brim + 2),
        ]
        sketch.fill(np.concatenate([curve(edge), [(width + 9, -110), (-width - 9, -110)]]), colour, 6.0)
        for band in (0.0, 8.0):
            sketch.line(curve([(x, y - band) for x, y in edge]), mix(colour, (0, 0, 0), 0.35), 2.0, 6.0)


def _patch(picture: NDArray[np.uint8], how: Nuisance) -> None:
    """Draw an object in front of the camera, at a position in the frame and not on the head."""
    x, y, width, height = how.occlusion_place
    sketch = Sketch()
    sketch.fill(ellipse(x, y, width / 2, height / 2, 7), how.occlusion_colour)
    sketch.draw(picture, None)

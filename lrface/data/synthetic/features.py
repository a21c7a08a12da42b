"""Eyes, brows, nose, mouth and glasses, as shapes in the plane of the face."""

import numpy as np

from lrface.data.synthetic.identity import Identity
from lrface.data.synthetic.nuisance import Nuisance
from lrface.data.synthetic.palette import Palette
from lrface.data.synthetic.sketch import Colour, Points, Sketch, curve, ellipse, mix

_SIDES = (-1.0, 1.0)
_LID = np.linspace(-1, 1, 11)
_LID_ARC = 1 - np.abs(_LID) ** 2.2
_BROW = np.linspace(0, 1, 9)


def landmarks(who: Identity, how: Nuisance) -> Points:
    """The five points ``[5, 2]`` that a detector would find: eyes, nose tip, mouth corners, image-left first."""
    half_mouth, corner = mouth_corner(who, how)
    return np.array(
        [
            (-who.eye_spacing, who.eye_height),
            (who.eye_spacing, who.eye_height),
            (0.0, who.nose_tip),
            (-half_mouth, corner),
            (half_mouth, corner),
        ]
    )


def mouth_corner(who: Identity, how: Nuisance) -> tuple[float, float]:
    """x and y of the image-right corner of the mouth. A smile widens the mouth and lifts its corners."""
    half_width = who.mouth_width * (1 + 0.15 * how.smile - 0.025 * how.mouth_open)
    return half_width, who.mouth_height - who.mouth_corner - 2.4 * how.smile + 0.2 * how.mouth_open


def eyes(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw both eyes with their lids."""
    opening = 1 - how.eye_closure
    upper = max(who.eye_opening * 1.12 * opening, 0.15)
    lower = max((who.eye_opening * 0.78 - 0.3 * max(how.smile, 0.0)) * opening, 0.1)
    along = _LID * who.eye_width  # from the nose to the temple
    slant = who.eye_height - who.eye_tilt * along
    top = np.stack([along, slant - upper * _LID_ARC * (1 + 0.18 * _LID)], 1)
    bottom = np.stack([along, slant + lower * _LID_ARC], 1)
    white = mix((236, 232, 228), colours.skin, 0.12)
    fold = mix(colours.skin, colours.line, 0.35 + 0.5 * who.lid_fold)
    for side in _SIDES:
        mirror, centre = np.array([side, 1.0]), np.array([side * who.eye_spacing, 0.0])
        if opening > 0.1:
            sketch.fill(np.concatenate([top, bottom[::-1]]) * mirror + centre, white)
            _iris(sketch, who, how, colours, side, top, bottom)
        sketch.line(bottom[2:] * mirror + centre, mix(colours.line, colours.skin, 0.35), 0.8)
        sketch.line(top * mirror + centre, mix(colours.line, (20, 12, 12), 0.75), 1.7)
        sketch.line((top[1:] - (0.0, 1.0 + 2.2 * who.lid_fold)) * mirror + centre, fold, 0.9)
        if who.age > 0.45:
            below = bottom[1:9] + np.array([0.0, 2.4])
            bag = mix(colours.skin, colours.line, 0.7 * (who.age - 0.3))
            sketch.line(below * mirror + centre, bag, 0.9)


def _iris(
    sketch: Sketch, who: Identity, how: Nuisance, colours: Palette, side: float, top: Points, bottom: Points
) -> None:
    """Draw iris, pupil and glint, cut by the lids ``top`` and ``bottom`` ``[n, 2]`` of the image-right eye."""
    x, y = side * how.gaze[0], who.eye_height + how.gaze[1] - 0.3
    rings = ((1.0, mix(colours.iris, (0, 0, 0), 0.35)), (0.8, colours.iris), (0.42, (14.0, 11.0, 11.0)))
    for share, colour in rings:
        ring = ellipse(x, y, share * who.iris_size, share * who.iris_size)
        above = np.interp(ring[:, 0], top[:, 0], top[:, 1])
        below = np.interp(ring[:, 0], top[:, 0], bottom[:, 1])
        ring[:, 1] = np.minimum(np.maximum(ring[:, 1], above), below)
        sketch.fill(ring * (side, 1.0) + (side * who.eye_spacing, 0.0), colour)
    if how.eye_closure < 0.4:
        glint = ellipse(side * (who.eye_spacing + x) - 0.9, y - 1.0, 0.75, 0.75, 8)
        sketch.fill(glint, (250, 250, 252))


def brows(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw both brows: thick at the nose, thin at the temple."""
    t = _BROW
    half = who.brow_thickness * np.minimum(1, 0.62 + 1.4 * t) * (1 - 0.75 * t**2)
    x = who.eye_spacing - who.eye_width + who.brow_inset - 1.0 + t * who.brow_length * 1.35
    base = who.eye_height - who.brow_gap - how.brow_raise
    y = base - np.tan(who.brow_angle) * (t - 0.3) * who.brow_length - who.brow_arch * np.sin(np.pi * t**1.3)
    outline = np.concatenate([np.stack([x, y - half], 1), np.stack([x, y + half * 0.8], 1)[::-1]])
    for side in _SIDES:
        sketch.fill(outline * (side, 1.0), colours.brow, 1.0)


def nose(sketch: Sketch, who: Identity, colours: Palette) -> None:
    """Draw bridge, wings and nostrils."""
    tip, width, depth = who.nose_tip, who.nose_width, who.nose_depth
    line = colours.line
    # The third number is the height above the face: the tip of the nose has its full depth, other points less.
    sketch.fill(ellipse(0, tip + 0.5, width * 0.62, 3.6), mix(colours.skin, (255, 240, 226), 0.1), depth * 0.8)
    for side in _SIDES:
        bridge = curve([(side * (who.nose_bridge + 1.6), who.eye_height + 1), (side * who.nose_bridge, tip - 12)])
        sketch.line(bridge, mix(colours.skin, line, 0.28), 0.9, depth * 0.3)
        side_line = curve([(side * who.nose_bridge, tip - 11), (side * (who.nose_bridge + 0.6), tip - 6)])
        sketch.line(side_line, mix(colours.skin, line, 0.3), 0.9, depth * 0.5)
        wing = curve(
            [
                (side * width * 0.82, tip - 2.6),
                (side * width, tip + 0.6),
                (side * width * 0.86, tip + 3.2),
                (side * width * 0.5, tip + 3.4),
            ]
        )
        sketch.line(wing, mix(colours.skin, line, 0.75), 1.2, depth * 0.4)
        nostril = ellipse(side * width * 0.46, tip + 3.0, 1.1 + 0.7 * who.nostril, 0.55 + 0.5 * who.nostril, 10)
        sketch.fill(nostril, mix(line, (30, 10, 8), 0.6), depth * 0.5)
    under = curve([(-width * 0.3, tip + 3.9), (0, tip + 4.6), (width * 0.3, tip + 3.9)])
    sketch.line(under, mix(colours.skin, line, 0.6), 0.9, depth * 0.6)


def mouth(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw the lips, and the teeth if the mouth is open."""
    half, corner = mouth_corner(who, how)
    middle, gap = who.mouth_height - 0.5 * max(how.smile, 0), how.mouth_open
    top = middle - 0.25 * gap
    thin = 1 - 0.22 * max(how.smile, 0)
    upper, lower = who.upper_lip * thin, who.lower_lip * thin
    up_outer = [
        (-half, corner),
        (-half * 0.5, top - upper * 0.72 + 0.2 * (corner - middle)),
        (-half * 0.17, top - upper - 0.3),
        (0.0, top - upper + who.cupid_bow),
        (half * 0.17, top - upper - 0.3),
        (half * 0.5, top - upper * 0.72 + 0.2 * (corner - middle)),
        (half, corner),
    ]
    inner_top = [(half, corner), (half * 0.5, top + 0.3), (0.0, top + 0.5), (-half * 0.5, top + 0.3), (-half, corner)]
    bottom = middle + 0.75 * gap
    inner_bottom = [(x, y + (bottom - top) * (1 - (x / half) ** 2)) for x, y in inner_top]
    low_outer = [
        (-half, corner),
        (-half * 0.55, bottom + lower * 0.72 + 0.2 * (corner - middle)),
        (0.0, bottom + lower),
        (half * 0.55, bottom + lower * 0.72 + 0.2 * (corner - middle)),
        (half, corner),
    ]
    roof, floor = curve(inner_top), curve(inner_bottom)
    if gap > 0:
        sketch.fill(np.concatenate([roof, floor[::-1]]), (64, 22, 24), 1.0)
        teeth = roof + np.stack([np.zeros(len(roof)), (floor - roof)[:, 1] * min(0.6, 2.2 / (gap + 1))], 1)
        sketch.fill(np.concatenate([roof, teeth[::-1]]), (232, 226, 214), 1.0)
    sketch.fill(np.concatenate([curve(low_outer), floor]), colours.lower_lip, 2.0)
    sketch.fill(np.concatenate([curve(up_outer), roof]), colours.upper_lip, 2.0)
    sketch.line(roof, mix(colours.upper_lip, (50, 12, 14), 0.6), 1.0, 2.0)


def lines_of_age(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw folds beside the mouth and on the forehead, deeper with a smile and with raised brows."""
    half, corner = mouth_corner(who, how)
    fold = min(0.85, 0.7 * max(0.0, who.age - 0.25) + 0.4 * max(how.smile, 0.0))
    for side in _SIDES:
        sketch.line(
            curve(
                [
                    (side * (who.nose_width + 1.5), who.nose_tip + 1.5),
                    (side * (half * 0.72 + 4.5), 0.5 * (who.nose_tip + corner) + 1.0),
                    (side * (half + 3.0), corner - 0.5),
                ]
            ),
            mix(colours.skin, colours.line, fold),
            1.0,
        )
    forehead = 0.8 * max(0.0, who.age - 0.5) + 0.12 * max(how.brow_raise, 0.0)
    if forehead > 0.1:
        for step in (0.0, 4.2):
            y = who.eye_height - who.brow_gap - 7.5 - step - how.brow_raise
            line = curve([(-14.0, y + 0.8), (-5.0, y - 0.8), (5.0, y - 0.6), (14.0, y + 0.8)])
            sketch.line(line, mix(colours.skin, colours.line, min(forehead, 0.6)), 0.9)


def glasses(sketch: Sketch, who: Identity, lens: Colour | None = None) -> None:
    """Draw glasses in the person's own frame; with ``lens``, dark glasses that are the same for everybody."""
    frame = mix((28, 24, 24), (150, 104, 62), who.glasses_shade)
    size, power = who.glasses_size, 1.0 - 0.62 * who.glasses_shape
    unit = ellipse(0, 0, 1, 1, 22)
    rounded = np.sign(unit) * np.abs(unit) ** power
    if lens is not None:
        frame, size = (22, 22, 24), 12.5
    y = who.eye_height + 1.2
    for side in _SIDES:
        rim = rounded * (size, size * 0.8) + (side * max(who.eye_spacing, size + 1.5), y)
        if lens is not None:
            sketch.fill(rim, lens, 6.0)
        sketch.line(np.concatenate([rim, rim[:2]]), frame, 1.0 + who.glasses_shade, 6.0)
        outer = max(who.eye_spacing, size + 1.5) + size
        sketch.line(np.array([(side * outer, y - 2), (side * (outer + 9), y - 3.5)]), frame, 1.5, 3.0)
    inner = max(who.eye_spacing, size + 1.5) - size
    sketch.line(curve([(-inner, y - 1), (0.0, y - 2.4), (inner, y - 1)]), frame, 1.4, 8.0)

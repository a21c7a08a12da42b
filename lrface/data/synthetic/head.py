"""Head, ears, neck, hair, beard and skin marks, as shapes in the plane of the face."""

from functools import lru_cache

import numpy as np

from lrface.data.synthetic.features import mouth_corner
from lrface.data.synthetic.identity import Identity
from lrface.data.synthetic.nuisance import Nuisance
from lrface.data.synthetic.palette import Palette
from lrface.data.synthetic.sketch import Colour, Points, Sketch, curve, ellipse, mix

_CROWN = -84.0
_SIDES = (-1.0, 1.0)


@lru_cache(maxsize=64)
def _details(seed: int) -> Points:
    """Uniform numbers ``[40, 4]`` that fix the freckles, strands and curls of a person."""
    return np.random.default_rng(seed).random((40, 4))


def face_outline(who: Identity, how: Nuisance) -> Points:
    """Closed outline ``[n, 2]`` of the face. An open mouth lowers the chin."""
    width = who.face_width
    chin = who.chin_length + 0.7 * how.mouth_open
    jaw = width * who.jaw_width
    right = [
        (width * 0.62, _CROWN + 9),
        (width * 0.98, -52.0),
        (width * 1.0, -22.0),
        (width * 0.97, -4.0),
        (jaw, 19.0),
        (jaw * (0.55 + 0.5 * who.chin_width), 0.45 * 19 + 0.55 * chin),
        (width * who.chin_width, chin - 1.6),
    ]
    left = [(-x, y) for x, y in reversed(right)]
    return curve([(0.0, _CROWN), *right, (0.0, chin), *left], closed=True)


def behind(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw the parts behind the face: long hair, clothes, neck and ears."""
    width, chin = who.face_width, who.chin_length
    if not who.bald and who.hair_length > 0.35:
        reach = -20 + 95 * (who.hair_length - 0.35)
        outer = width + 3 + 0.9 * who.hair_volume + 8 * who.hair_curl * who.hair_length
        shape = [(-outer * 0.8, reach), (-outer, reach * 0.5 - 20), (-outer * 0.92, -55), (-outer * 0.5, _CROWN - 6)]
        mirrored = [(-x, y) for x, y in reversed(shape)]
        sketch.fill(curve([*shape, *mirrored], closed=True), colours.hair_dark, -18.0)
    shoulder = [
        (-90.0, 95.0),
        (-80.0, chin + 32),
        (-30.0, chin + 17),
        (30.0, chin + 17),
        (80.0, chin + 32),
        (90.0, 95.0),
    ]
    sketch.fill(np.array(shoulder), how.clothes, -30.0)
    neck = width * 0.62
    sketch.fill(
        np.array(
            [(-neck, chin - 25), (neck, chin - 25), (neck * 1.1, chin + 20), (0, chin + 28), (-neck * 1.1, chin + 20)]
        ),
        mix(colours.skin, colours.line, 0.42),
        -12.0,
    )
    for side in _SIDES:
        ear_x, ear_y = side * (width + 0.5 + 2 * who.ear_size), -12.0
        sketch.fill(ellipse(ear_x, ear_y, 4.0 + 2.4 * who.ear_size, 9 + 3 * who.ear_size), colours.shade, -4.0)
        sketch.fill(
            ellipse(ear_x, ear_y - 0.5, 2.0 + 1.2 * who.ear_size, 5.5), mix(colours.skin, colours.line, 0.5), -4.0
        )


def face(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw the skin and its freckles."""
    sketch.fill(face_outline(who, how), colours.skin)
    details = _details(who.detail_seed)
    for u, v, w, _ in details[: round(34 * who.freckles)].tolist():
        side = 1 if u < 0.5 else -1
        x = side * (4 + 40 * (u % 0.5)) if w < 0.85 else 8 * (u - 0.5)
        sketch.fill(ellipse(x, -12 + 18 * v, 0.45 + 0.4 * w, 0.45 + 0.4 * w, 6), colours.freckle, 1.0)


def moles(sketch: Sketch, who: Identity, colours: Palette) -> None:
    """Draw the moles at their fixed positions."""
    for x, y, radius in who.moles:
        sketch.fill(ellipse(x, y, radius, radius, 8), colours.mole, 1.0)


def beard_shapes(sketch: Sketch, who: Identity, how: Nuisance, amount: Colour) -> None:
    """Regions of the beard, for a mask: cheeks and chin, without the mouth."""
    half, corner = mouth_corner(who, how)
    top = who.nose_tip + 7.5
    if who.beard > 0:
        outline = face_outline(who, how)
        low = outline[outline[:, 1] > -14]
        inner = curve(
            [(-half - 10, top - 5), (-half - 2.5, corner - 5), (0, top), (half + 2.5, corner - 5), (half + 10, top - 5)]
        )
        # The outline runs down the right side and up the left side. The inner edge closes it from left to right.
        sketch.fill(np.concatenate([low, inner]), amount)
    elif who.moustache > 0:
        width = half * (0.75 + 0.35 * who.moustache)
        lip = who.mouth_height - who.upper_lip - 0.3 * how.mouth_open
        sketch.fill(
            curve(
                [
                    (-width, corner + 1),
                    (-width * 0.5, top + 0.5),
                    (0, top),
                    (width * 0.5, top + 0.5),
                    (width, corner + 1),
                    (0, lip),
                ],
                True,
            ),
            amount,
        )


def hair(sketch: Sketch, who: Identity, how: Nuisance, colours: Palette) -> None:
    """Draw hair over the forehead and the temples, with a few strands."""
    if who.bald:
        return
    width, volume = who.face_width, who.hair_volume
    line = who.hairline + how.hair_shift
    fringe = 18 * who.hair_fringe
    recede = 11 * who.hair_recede
    outer = width + 0.8 + 0.5 * volume
    side_y = -14 - 14 * (1 - who.hair_length)
    details = _details(who.detail_seed)
    part = who.hair_part * width * 0.6
    sweep = 5 * np.sign(part)
    edge = [
        (outer * 1.0, side_y),
        (width * 0.95, side_y - 3),
        (width * 0.86, line * 0.85 + 2 + 0.5 * fringe),
        (width * 0.62, line - recede + fringe * 0.95 + 0.6 * sweep),
        (part + 10, line - 0.4 * recede + fringe),
        (part, line - 3 + fringe * 0.8),
        (part - 10, line - 0.4 * recede + fringe),
        (-width * 0.62, line - recede + fringe * 0.95 - 0.6 * sweep),
        (-width * 0.86, line * 0.85 + 2 + 0.5 * fringe),
        (-width * 0.95, side_y - 3),
        (-outer * 1.0, side_y),
    ]
    low = curve(edge)
    top = curve(
        [
            (-outer, side_y),
            (-outer * 1.03, -48.0),
            (-outer * 0.72, _CROWN + 6 - 0.8 * volume),
            (0.0, _CROWN - 2 - volume),
            (outer * 0.72, _CROWN + 6 - 0.8 * volume),
            (outer * 1.03, -48.0),
            (outer, side_y),
        ]
    )
    if who.hair_curl > 0.5:
        wave = 3.2 * (who.hair_curl - 0.3)
        phase = 2 * np.pi * details[0, 0]
        low[2:-2, 1] += wave * np.sin(np.arange(len(low) - 4) * 1.9 + phase)
        top[2:-2] *= 1 + 0.012 * wave * np.sin(np.arange(len(top) - 4) * 2.3 + phase)[:, None]
    sketch.fill(np.concatenate([low, top]), colours.hair, 2.0)
    ends = low[13 + (details[:12, 0] * 15).astype(int)]  # the part of the edge at the forehead
    shades = (mix(colours.hair, colours.hair_light, 0.7), mix(colours.hair, colours.hair_dark, 0.6))
    for (x, y), (_, bend, reach, tone) in zip(ends.tolist(), details[:12].tolist(), strict=True):
        start = (x + 0.3 * (part - x), y - 13 - 12 * reach)
        middle = (x + 0.1 * (part - x) + 2 * bend, y - 7 - 5 * reach)
        sketch.line(curve([start, middle, (x, y - 2.5)], steps=3), shades[tone < 0.5], 1.0, 3.0)

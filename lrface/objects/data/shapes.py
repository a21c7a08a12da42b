"""A generated set: coloured shapes on a coloured background, 20 classes. It needs no download and no licence.

A class is one of ten shapes, filled or as an outline. Position, size, a rotation of up to 20 degrees, both colours and
some noise are drawn at random for every picture, so that neither the colour nor the position reveals the class.
"""

import numpy as np

from lrface.objects.data.pictures import Pictures

#: Corners on the unit circle or the unit square, by the shape's name.
_SHAPES: dict[str, np.ndarray] = {
    **{name: np.stack([np.cos(turns), np.sin(turns)], 1) for name, count in
       (("triangle", 3), ("square", 4), ("pentagon", 5), ("octagon", 8), ("disc", 40))
       for turns in [np.arange(count) * 2 * np.pi / count]},
    **{f"star{count}": np.stack([np.cos(turns), np.sin(turns)], 1) * np.where(np.arange(2 * count) % 2, 0.4, 1)[:, None]
       for count in (4, 6) for turns in [np.arange(2 * count) * np.pi / count]},
    "bar": np.array([(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)]),
    "cross": np.array([(-1, -0.3), (-0.3, -0.3), (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3),
                       (1, 0.3), (0.3, 0.3), (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3)]),
    "ell": np.array([(-0.8, -1), (-0.2, -1), (-0.2, 0.4), (0.8, 0.4), (0.8, 1), (-0.8, 1)]),
}  # fmt: skip
NAMES = tuple(f"{shape}-{kind}" for shape in _SHAPES for kind in ("filled", "outline"))
_OVERSAMPLED = 4
#: Minimum difference of the two colours, summed over the channels (0 to 765).
_CONTRAST = 250


def draw_shapes(per_class: int, side: int = 32, seed: int = 0) -> Pictures:
    """Draw ``per_class`` pictures of each of the 20 classes, in the order of the classes."""
    rng = np.random.default_rng((seed, 77))
    images = [_draw(name, side, rng) for name in NAMES for _ in range(per_class)]
    return Pictures(np.stack(images), np.repeat(np.arange(len(NAMES)), per_class), NAMES)


def read_shapes(split: str, per_class: int = 100) -> Pictures:
    """The splits that recipes use: ``train``, and ``test`` with half as many pictures. They are always the same."""
    return draw_shapes(per_class, seed=1) if split == "train" else draw_shapes(max(per_class // 2, 1), seed=2)


def _draw(name: str, side: int, rng: np.random.Generator) -> np.ndarray:
    import cv2

    shape, kind = name.rsplit("-", 1)
    ground, colour = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    while abs(int(ground.sum()) - int(colour.sum())) < _CONTRAST:
        colour = rng.integers(0, 256, 3)
    big = side * _OVERSAMPLED
    canvas = np.empty((big, big, 3), np.uint8)
    canvas[:] = ground
    angle, radius = rng.uniform(-0.35, 0.35), rng.uniform(0.32, 0.45) * big
    centre = big / 2 + rng.uniform(-0.06, 0.06, 2) * big
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    corners = np.round(_SHAPES[shape] @ turn.T * radius + centre).astype(np.int32)
    tint = tuple(int(value) for value in colour)
    if kind == "filled":
        cv2.fillPoly(canvas, [corners], tint)
    else:
        cv2.polylines(canvas, [corners], True, tint, thickness=max(big // 16, 1))
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return np.clip(small + rng.normal(0, 8, small.shape), 0, 255).astype(np.uint8)

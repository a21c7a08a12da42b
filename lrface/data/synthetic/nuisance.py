"""Nuisance parameters: everything that changes between two pictures of the same person."""

import math
from bisect import bisect
from dataclasses import dataclass
from typing import Literal

import numpy as np

Occlusion = Literal["none", "patch", "sunglasses", "scarf", "hat"]
OCCLUSIONS: tuple[Occlusion, ...] = ("none", "patch", "sunglasses", "scarf", "hat")
_OCCLUSION_BOUNDS = (0.76, 0.86, 0.9, 0.95)  # thresholds for one uniform random number
_BACKGROUND_NUMBERS = 94


@dataclass(frozen=True)
class Nuisance:
    """Pose, light, expression, occlusion, camera and background of one picture.

    Angles are radians, lengths are pixels of the 112 x 112 frame, and colours are RGB from 0 to 255.
    """

    yaw: float
    pitch: float
    landmark_error: tuple[float, ...]  # x, y errors of the five landmarks; they cause roll, shift and scale
    light_x: float  # direction towards the lamp
    light_y: float
    light_strength: float
    exposure: float
    gamma: float
    saturation: float
    tint: tuple[float, float, float]  # factor of each channel: the light's colour temperature
    shadow: tuple[float, float, float]  # angle, position and depth of a cast shadow; depth 0 is none
    mouth_open: float
    smile: float
    brow_raise: float
    eye_closure: float
    gaze: tuple[float, float]
    glasses_draw: float  # 0 to 1.4; glasses are worn if this is below the person's own value
    hair_shift: float  # of the hairline, downwards
    hair_change: float  # 0: as usual, 1: new length, parting, fringe, volume and shade
    hair_style: tuple[float, ...]  # these five, from 0 to 1
    shave: float  # share of the beard that is left
    occlusion: Occlusion
    occlusion_place: tuple[float, ...]  # x, y, width, height
    occlusion_colour: tuple[float, float, float]
    clothes: tuple[float, float, float]
    background: tuple[float, ...]  # [94] numbers from 0 to 1
    grain_place: tuple[int, int]  # position of the window in the noise
    blur: float  # standard deviation
    motion: tuple[float, float]  # length and angle
    noise: float  # standard deviation in grey levels
    jpeg: int  # quality, 0 for none


def sample_nuisance(rng: np.random.Generator) -> Nuisance:
    """Draw the conditions of one picture at random."""
    # All random numbers are drawn at once: single draws would take as long as drawing the shapes of the face.
    n: list[float] = rng.standard_normal(26).tolist()
    u: list[float] = rng.random(42 + _BACKGROUND_NUMBERS).tolist()
    return Nuisance(
        yaw=_clip(0.28 * n[0], -0.62, 0.62),
        pitch=_clip(0.14 * n[1], -0.32, 0.32),
        landmark_error=tuple(1.4 * value for value in n[2:12]),
        light_x=_clip(0.7 * n[12], -1.2, 1.2),
        light_y=_clip(-0.35 + 0.4 * n[13], -1.0, 0.7),
        light_strength=_between(0.15, 0.75, u[0]),
        exposure=math.exp(0.2 * n[14]),
        gamma=math.exp(0.18 * n[15]),
        saturation=0.0 if u[1] < 0.1 else _between(0.55, 1.2, u[2]),
        tint=(math.exp(0.09 * n[16]), math.exp(0.03 * n[17]), math.exp(-0.09 * n[16])),
        shadow=(2 * math.pi * u[3], _between(-22, 22, u[4]), _between(0.2, 0.5, u[5]) if u[6] < 0.2 else 0.0),
        mouth_open=_between(1, 7, u[7]) if u[8] < 0.35 else 0.0,
        smile=_clip(0.25 + 0.5 * n[18], -0.5, 1.2),
        brow_raise=_clip(1.1 * n[19], -2.2, 3.0),
        eye_closure=1.0 if u[9] < 0.04 else _between(-0.15, 0.35, u[10]),
        gaze=(0.9 * n[20], 0.4 * n[21]),
        glasses_draw=1.4 * u[11],
        hair_shift=1.5 * n[22],
        hair_change=u[34],
        hair_style=tuple(u[35:40]),
        shave=_between(0.3, 1.0, u[40]) if u[41] < 0.6 else 0.0,
        occlusion=OCCLUSIONS[bisect(_OCCLUSION_BOUNDS, u[12])],
        occlusion_place=(*(_between(10, 100, v) for v in u[13:15]), *(_between(18, 46, v) for v in u[15:17])),
        occlusion_colour=_colour(u[17:21]),
        clothes=_colour(u[21:25]),
        background=tuple(u[42:]),
        grain_place=(int(u[25] * 400), int(u[26] * 400)),
        blur=_between(0.3, 1.2, u[27]) if u[28] < 0.3 else 0.0,
        motion=(_between(2, 6, u[29]) if u[30] < 0.12 else 0.0, math.pi * u[31]),
        noise=3.5 * abs(n[23]),
        jpeg=int(_between(35, 90, u[32])) if u[33] < 0.35 else 0,
    )


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _colour(shares: list[float]) -> tuple[float, float, float]:
    """A muted colour from four numbers between 0 and 1: a grey level, and the deviation of each channel from it."""
    grey = _between(25, 220, shares[0])
    red, green, blue = (_clip(grey + 90 * (share - 0.5), 0, 255) for share in shares[1:4])
    return red, green, blue

"""Identities: the parameters that stay the same in every picture of one person."""

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import numpy as np

from lrface.errors import LrfaceError


def _between(low: float, high: float) -> Any:
    """A continuous parameter with its bounds."""
    return field(metadata={"range": (low, high)})


@dataclass(frozen=True)
class Identity:
    """All parameters of one drawn person that do not depend on the picture.

    Lengths are pixels of the 112 x 112 template, measured from the template's nose (x to the right, y down). Angles are
    radians. All others are numbers from 0 to 1 unless their range begins below 0. ``RANGES`` has the bounds of the
    continuous parameters.
    """

    bald: bool
    moles: tuple[tuple[float, float, float], ...]  # x, y, radius
    detail_seed: int  # positions of the freckles and strands of hair
    face_width: float = _between(35.0, 42.5)  # half the width at the cheekbones
    jaw_width: float = _between(0.66, 0.93)  # width at the mouth / width at the cheekbones
    chin_length: float = _between(36.0, 48.0)
    chin_width: float = _between(0.18, 0.5)
    ear_size: float = _between(0.0, 1.0)
    eye_spacing: float = _between(15.6, 19.6)  # half the distance between the pupils
    eye_height: float = _between(-23.0, -17.8)
    eye_width: float = _between(6.2, 9.0)  # half
    eye_opening: float = _between(2.6, 4.8)  # half
    eye_tilt: float = _between(-0.16, 0.24)
    iris_size: float = _between(2.8, 3.9)
    iris_hue: float = _between(0.0, 1.0)  # brown, hazel, green, grey, blue
    iris_shade: float = _between(0.0, 1.0)
    lid_fold: float = _between(0.0, 1.0)
    brow_gap: float = _between(6.2, 11.0)
    brow_thickness: float = _between(0.8, 3.0)
    brow_length: float = _between(8.0, 12.8)
    brow_angle: float = _between(-0.2, 0.26)
    brow_arch: float = _between(0.0, 3.6)
    brow_shade: float = _between(0.0, 1.0)
    brow_inset: float = _between(-1.5, 2.0)
    nose_tip: float = _between(-2.6, 3.2)
    nose_width: float = _between(4.6, 8.8)  # half
    nose_bridge: float = _between(1.6, 3.8)  # half
    nose_depth: float = _between(8.0, 16.0)
    nostril: float = _between(0.6, 1.7)
    mouth_height: float = _between(17.6, 23.4)
    mouth_width: float = _between(10.6, 16.8)  # half
    upper_lip: float = _between(1.0, 3.6)
    lower_lip: float = _between(1.6, 4.6)
    cupid_bow: float = _between(0.0, 1.6)
    mouth_corner: float = _between(-1.6, 1.2)
    lip_redness: float = _between(0.0, 1.0)
    skin_tone: float = _between(0.0, 1.0)  # light to dark
    skin_warmth: float = _between(-1.0, 1.0)
    blush: float = _between(0.0, 1.0)
    hairline: float = _between(-56.0, -42.0)
    hair_volume: float = _between(1.0, 11.0)
    hair_length: float = _between(0.0, 1.0)
    hair_part: float = _between(-0.8, 0.8)
    hair_recede: float = _between(0.0, 1.0)
    hair_fringe: float = _between(0.0, 1.0)
    hair_curl: float = _between(0.0, 1.0)
    hair_shade: float = _between(0.0, 1.0)  # black to fair
    hair_warmth: float = _between(0.0, 1.0)  # ash to red
    beard: float = _between(0.0, 1.0)
    moustache: float = _between(0.0, 1.0)
    glasses: float = _between(0.0, 1.0)  # how often they are worn
    glasses_shape: float = _between(0.0, 1.0)  # round to square
    glasses_size: float = _between(8.6, 12.2)
    glasses_shade: float = _between(0.0, 1.0)
    age: float = _between(0.0, 1.0)
    freckles: float = _between(0.0, 1.0)


# (lowest, highest) of every continuous parameter, by name.
RANGES: dict[str, tuple[float, float]] = {
    f.name: f.metadata["range"] for f in fields(Identity) if "range" in f.metadata
}

# Features that are visible from a distance stay near the average, so that much of an identity lies in small details.
_CENTRAL = (
    "face_width",
    "jaw_width",
    "chin_length",
    "skin_tone",
    "hairline",
    "hair_volume",
    "hair_shade",
    "age",
    "eye_spacing",
    "eye_height",
    "eye_opening",
    "brow_gap",
    "brow_thickness",
    "brow_shade",
    "nose_tip",
    "mouth_height",
    "mouth_width",
)
# Parameters that are 0 for most people: 0 below this threshold, then rising to 1.
_RARE = {"beard": 0.68, "moustache": 0.72, "glasses": 0.72, "freckles": 0.5, "hair_recede": 0.55, "hair_fringe": 0.4}


@lru_cache(maxsize=4096)
def sample_identity(seed: int) -> Identity:
    """Draw the person with this number. The same number always gives the same person, in any order of calls.

    Raises:
        LrfaceError: the number is not a whole number >= 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise LrfaceError(f"an identity's number must be a whole number of at least 0, not {seed!r}")
    rng = np.random.default_rng([0x1D, int(seed)])
    shares = {name: float(rng.random()) for name in RANGES}
    for name in _CENTRAL:
        shares[name] = (shares[name] + float(rng.random()) + float(rng.random())) / 3
    values = {name: low + (high - low) * shares[name] for name, (low, high) in RANGES.items()}
    for name, threshold in _RARE.items():
        values[name] = max(0.0, values[name] - threshold) / (1 - threshold)
    moles = tuple(
        (float(rng.uniform(-27, 27)), float(rng.uniform(-38, 30)), float(rng.uniform(0.8, 1.6)))
        for _ in range(rng.integers(7))
    )
    bald = bool(rng.random() < 0.04)
    return Identity(**values, bald=bald, moles=moles, detail_seed=int(rng.integers(2**31)))

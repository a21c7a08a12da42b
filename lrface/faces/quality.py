"""Quality of one face before it is compared: its true resolution, and warnings if an answer about it cannot be trusted.

A model with an input of 16 pixels cannot know whether the face had 200 pixels or 6. An answer about a face of 6 pixels is
worth little, and a gallery with a few such faces looks similar to everybody.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.faces.calibration import Calibration
from lrface.faces.detail import ERROR, SMALL, detail

#: Pixels of detail below which an answer cannot be trusted.
TOO_SMALL = 8.0

#: A whole image taken as a face has an extreme shape if its sides differ by more than this factor.
EXTREME_ASPECT = 1.6

#: Standard deviation of brightness, in grey levels of 255, below which an image is flat.
FLAT = 4.0

#: A face gets a warning if its recognisability is below this.
USABLE = 0.25

#: The estimate of detail replaces the number of pixels only where it is smaller by more than 1.5 standard deviations.
_BELIEVED = 2 ** (-1.5 * ERROR)

#: An image with this much detail counts as sharp, however many pixels it has: the estimate cannot tell higher detail apart.
_SHARP = 0.9 * SMALL.highest


@dataclass(frozen=True)
class Quality:
    """Quality of one face.

    Attributes:
        pixels: side of the aligned face in pixels of the image in which it was found.
        resolution: side in pixels of a sharp face with as much detail. It is less than ``pixels`` if the image is blurred
            or was enlarged before.
        contrast: standard deviation of the brightness, in grey levels of 255.
        recognisability: 0 to 1, how well the model can recognise a face of this resolution (see
            :class:`lrface.faces.calibration.Calibration`); None if the model has no calibration.
        warnings: the reasons why an answer about this face cannot be trusted; empty if there are none.
    """

    pixels: float
    resolution: float
    contrast: float
    recognisability: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the face is good enough to enrol: it has no warnings."""
        return not self.warnings

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return {**asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Quality":
        """Read what ``as_dict`` wrote; keys from other versions are ignored."""
        known = {key: fields[key] for key in cls.__dataclass_fields__ if key in fields}
        return cls(**{**known, "warnings": tuple(known.get("warnings", ()))})


def assess(
    crop: np.ndarray,
    pixels: float | None = None,
    calibration: Calibration | None = None,
    whole: bool = False,
    missed: bool = False,
) -> Quality:
    """Assess the quality of one face.

    Args:
        crop: uint8 RGB ``[h, w, 3]``, aligned, as large as available.
        pixels: side of the face in pixels of the image from which it was cut; the crop's shorter side if None.
        calibration: the model's calibration, if it has one.
        whole: True if the whole image was taken as the face, without a detector.
        missed: True if a detector searched the image and found no face.
    """
    height, width = crop.shape[:2]
    pixels = float(min(height, width)) if pixels is None else float(pixels)
    known = detail(crop)
    resolution = pixels if known >= min(_BELIEVED * pixels, _SHARP) else min(known, pixels)
    contrast = _contrast(crop)
    recognisability = None
    if calibration is not None:
        recognisability = 0.0 if contrast < FLAT else calibration.recognisability(resolution)
    warnings = []
    if missed:
        warnings.append("no face was found in it")
    if contrast < FLAT:
        warnings.append("the image is flat: it shows hardly anything")
    elif resolution < TOO_SMALL or (recognisability is not None and recognisability < USABLE):
        warnings.append(_too_small(pixels, resolution))
    if whole and max(height, width) > EXTREME_ASPECT * min(height, width):
        warnings.append(f"{width} x {height} pixels are an extreme shape for a face")
    return Quality(pixels, resolution, contrast, recognisability, tuple(warnings))


def is_flat(image: np.ndarray) -> bool:
    """Whether an image, uint8 RGB ``[h, w, 3]``, has a contrast below ``FLAT``."""
    return _contrast(image) < FLAT


def _contrast(image: np.ndarray) -> float:
    return float(np.asarray(image, np.float32).mean(axis=2).std())


def _too_small(pixels: float, resolution: float) -> str:
    what = f"only {resolution:.1f} pixels of face"
    if resolution < pixels:
        what = f"blurred or enlarged, {pixels:.0f} pixels with the detail of {resolution:.1f}"
    return f"{what}: an answer about so small a face is not to be trusted"

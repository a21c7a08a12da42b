"""What is known of one face before it is compared: how many pixels it really has, and whether anything can be told of it.

A model that sees 16 pixels does not know whether they came from a face of 200 pixels or of 6. An answer about the latter is
worth little, and a gallery that holds a few such faces resembles everybody.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.faces.calibration import Calibration
from lrface.faces.detail import ERROR, HIGHEST, detail

#: Pixels of detail below which no answer is to be trusted.
TOO_SMALL = 8.0

#: An image taken as the face is of an extreme shape where one side is longer than the other by more than this factor.
EXTREME_ASPECT = 1.6

#: Standard deviation of brightness, in grey levels of 255, below which an image is flat.
FLAT = 4.0

#: Below this part of what the model can do, a face earns a warning.
USABLE = 0.25

#: The estimate of detail overrules the number of pixels where it lies below by more than one and a half of its errors.
_BELIEVED = 2 ** (-1.5 * ERROR)

#: An image with this much detail is taken for sharp, however many pixels it has: more is not told apart.
_SHARP = 0.9 * HIGHEST


@dataclass(frozen=True)
class Quality:
    """What is known of one face.

    Attributes:
        pixels: side of the aligned face in pixels of the image that it was found in.
        resolution: side of a sharp face that would be as detailed; less than ``pixels`` where the image is blurred, or was
            enlarged before it came here.
        contrast: standard deviation of the brightness, in grey levels of 255.
        recognisability: 0 to 1, the part of the model's ability that is left for this face (see
            :class:`lrface.faces.calibration.Calibration`); None if the model is not calibrated for it.
        warnings: why an answer about this face is not to be trusted, in words.
    """

    pixels: float
    resolution: float
    contrast: float
    recognisability: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it makes sense to enrol the face: nothing speaks against it."""
        return not self.warnings

    def as_dict(self) -> dict[str, Any]:
        """The fields, as JSON writes them."""
        return {**asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Quality":
        """Read what ``as_dict`` wrote; keys of other versions are left alone."""
        known = {key: fields[key] for key in cls.__dataclass_fields__ if key in fields}
        return cls(**{**known, "warnings": tuple(known.get("warnings", ()))})


def assess(
    crop: np.ndarray,
    pixels: float | None = None,
    calibration: Calibration | None = None,
    whole: bool = False,
    missed: bool = False,
) -> Quality:
    """Look at one face.

    Args:
        crop: uint8 RGB ``[h, w, 3]``, aligned, as large as it is known.
        pixels: side of the face in pixels of the image that it was cut out of; the crop's shorter side if None.
        calibration: the model's.
        whole: whether the image was taken as the face, unseen by a detector.
        missed: whether a detector saw it, and found no face.
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
    """Whether uint8 RGB ``[h, w, 3]`` shows hardly anything."""
    return _contrast(image) < FLAT


def _contrast(image: np.ndarray) -> float:
    return float(np.asarray(image, np.float32).mean(axis=2).std())


def _too_small(pixels: float, resolution: float) -> str:
    what = f"only {resolution:.1f} pixels of face"
    if resolution < pixels:
        what = f"blurred or enlarged, {pixels:.0f} pixels with the detail of {resolution:.1f}"
    return f"{what}: an answer about so small a face is not to be trusted"

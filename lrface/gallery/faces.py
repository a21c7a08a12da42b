"""What a gallery asks of the encoder: an image's face, and which similarity means the same person."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.encoder import FaceEncoder, Image
from lrface.files import file_digest


@dataclass(frozen=True)
class Look:
    """The main face of an image.

    Attributes:
        crop: uint8 RGB, aligned, no larger than the model needs.
        quality: what was found out about it, as JSON can hold it.
        notes: what should be known of it.
    """

    crop: np.ndarray
    quality: dict[str, Any] | None
    notes: tuple[str, ...]


def look(encoder: FaceEncoder, image: Image) -> Look:
    """Find the main face of an image.

    Raises:
        ImageError: the image cannot be read or shows no face.
        LrfaceError: the detector cannot be had.
    """
    crop, note = encoder.crop(image)
    return Look(encoder.embedder.preprocessing.fit(crop), None, (note,) if note else ())


def thresholds(
    encoder: FaceEncoder, far: float, probe: dict[str, Any] | None, faces: Sequence[dict[str, Any] | None]
) -> np.ndarray:
    """The cosine above which a probe and each of some faces are taken for one person: float64 ``[n]``.

    Args:
        encoder: the model, with its calibration.
        far: the false accept rate of one comparison.
        probe: ``Look.quality`` of the probe.
        faces: the same of the faces.

    Raises:
        LrfaceError: the model is not calibrated for this rate.
    """
    return np.full(len(faces), encoder.threshold(far))


def image_digest(image: Image) -> bytes:
    """Names an image by its bytes, or its pixels.

    Raises:
        LrfaceError: the file cannot be read.
    """
    if isinstance(image, str | Path):
        return bytes.fromhex(file_digest(image))[:16]
    if isinstance(image, bytes):
        return hashlib.sha256(image).digest()[:16]
    return hashlib.sha256(str((image.shape, image.dtype)).encode() + image.tobytes()).digest()[:16]


def image_name(image: Image) -> str:
    """What an image is called in a report."""
    return str(image) if isinstance(image, str | Path) else "an image in memory"

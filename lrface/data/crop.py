"""Turn one image of a source into an aligned high-resolution crop and its low-resolution pixels, or a reason why not."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lrface.data.sources import Item, Source
from lrface.errors import LrfaceError
from lrface.faces.align import norm_crop
from lrface.faces.degrade import Degradation, resize
from lrface.faces.detect import DETECTORS, FACE_RULES, Detector, automatic_detector, select_face
from lrface.faces.images import Loaded, encode_image, load_image, read_image
from lrface.faces.turn import detect_turned

#: The possible outcomes of an image; each image gets one. The manifest also has ``left out``, for files that belong to no
#: identity.
STATUSES = ("ok", "unreadable", "no landmarks", "no face", "bad landmarks")


#: If a face was found in a turned image, its status is ``ok`` and its reason begins with these words.
TURNED = "turned by"


@dataclass(frozen=True)
class Settings:
    """All settings that determine the pixels of a store. The store records them.

    Attributes:
        size: side of the aligned crops in pixels, 1 to 4096.
        detector: one of :data:`lrface.faces.detect.DETECTORS`, ``landmarks`` (from a file), ``eyes`` (the same positions
            in every image) or ``none`` (already cropped). ``auto`` is replaced by the detector that it stands for, so that
            the store records which one made it; see :func:`lrface.faces.detect.automatic_detector`.
        eyes: x, y of the image-left eye and of the image-right eye in pixels, for a set that others have aligned. Used by
            the detector ``eyes``, and by any real detector where it finds no face.
        face: the rule for several faces; see :func:`lrface.faces.detect.select_face`.
        degradation: how the low-resolution pixels are made from the crop.
        encoding: ``jpg`` or ``png``, for crops that had to be cut.
        quality: of JPEG, 1 to 100.
        turn: if no face is clearly upright, search the other three orientations of the image as well.

    Raises:
        LrfaceError: an unknown value, missing eyes, or eyes with a detector that does not use them.
    """

    size: int = 112
    detector: str = "auto"
    eyes: tuple[float, float, float, float] | None = None
    face: str = "largest-central"
    degradation: Degradation = field(default_factory=Degradation)
    encoding: str = "jpg"
    quality: int = 95
    turn: bool = False

    def __post_init__(self) -> None:
        if self.detector == "auto":
            object.__setattr__(self, "detector", automatic_detector())
        for key, value, known in (
            ("detector", self.detector, (*DETECTORS, "landmarks", "eyes", "none")),
            ("face", self.face, FACE_RULES),
            ("encoding", self.encoding, ("jpg", "png")),
        ):
            if value not in known:
                raise LrfaceError(f"unknown {key} {value!r}: choose one of {', '.join(known)}")
        for key, number, top in (("size", self.size, 4096), ("quality", self.quality, 100)):
            if not 1 <= number <= top:
                raise LrfaceError(f"a {key} of {number} makes no sense: choose 1 to {top}")
        if self.detector == "eyes" and self.eyes is None:
            raise LrfaceError("the detector `eyes` needs the eyes' positions: --eyes X1,Y1,X2,Y2")
        if self.detector in ("landmarks", "none") and self.eyes is not None:
            raise LrfaceError(f"eyes' positions mean nothing to the detector `{self.detector}`: leave --eyes out")

    @property
    def detects(self) -> bool:
        """Whether a detector searches for faces; False if their positions are known."""
        return self.detector in DETECTORS

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        plain = asdict(self)
        if not self.turn:  # keeps the form of stores made before this setting existed
            del plain["turn"]
        return plain | {"eyes": list(self.eyes) if self.eyes else None}


@dataclass(frozen=True)
class Crop:
    """The result for one image: a row of the manifest, and the pixels if the image could be used.

    Attributes:
        row: path, identity, label, landmarks, score, status, reason.
        encoded: the aligned crop as an image file, or None.
        digest: SHA-256 of ``encoded`` in hex, or None.
        low: uint8 RGB ``[degradation.size, degradation.size, 3]``, or None. It is made from the decoded ``encoded``, so
            that every reader of the crop can make the same low-resolution pixels.
    """

    row: dict[str, Any]
    encoded: bytes | None = None
    digest: str | None = None
    low: np.ndarray | None = None

    def decoded(self) -> np.ndarray:
        """The aligned crop, uint8 RGB ``[size, size, 3]``.

        Raises:
            LrfaceError: the image could not be used; the message gives the reason.
        """
        if self.encoded is None:
            raise LrfaceError(f"{self.row['path']}: {self.row['reason']}")
        return read_image(self.encoded, self.row["path"])


class RefusedError(Exception):
    """An image cannot be used. The arguments are its status and the reason."""

    @property
    def reason(self) -> str:
        """The reason in words."""
        return str(self.args[1])


def crop_item(item: Item, source: Source, settings: Settings, detector: Detector | None) -> Crop:
    """Read, align and degrade one image. A problem with the image becomes its status, never an exception."""
    row: dict[str, Any] = {
        "path": item.path, "identity": item.identity, "label": item.label,
        "landmarks": None, "score": None, "status": "ok", "reason": None,
    }  # fmt: skip
    try:
        data, (image, plain) = _read(item, source)
        if settings.detector == "none":
            as_it_is = plain and image.shape == (settings.size, settings.size, 3)
            encoded = data if as_it_is else _encode(resize(image, settings.size), settings)
        else:
            landmarks, row["score"], degrees = locate(item, image, settings, detector)
            row["reason"] = f"{TURNED} {degrees} degrees" if degrees else None
            row["landmarks"] = landmarks.ravel().tolist()
            encoded = _encode(cut(image, landmarks, settings.size), settings)
    except RefusedError as refusal:
        row["status"], row["reason"] = refusal.args
        return Crop(row)
    stored = image if encoded is data else read_image(encoded, item.path)
    return Crop(row, encoded, hashlib.sha256(encoded).hexdigest(), settings.degradation(stored))


def _read(item: Item, source: Source) -> tuple[bytes, Loaded]:
    if not item.known:
        raise RefusedError("no landmarks", "the landmarks file does not list this image")
    try:
        data = source.load(item)
        return data, load_image(data, item.path)
    except LrfaceError as error:
        raise RefusedError("unreadable", str(error)) from error


def locate(
    item: Item, image: np.ndarray, settings: Settings, detector: Detector | None
) -> tuple[np.ndarray, float | None, int]:
    """Find the landmarks of the face to crop.

    Args:
        item: the image in its source, with its landmarks if the source has them.
        image: uint8 RGB ``[height, width, 3]``.
        settings: the detector and the rule for several faces.
        detector: for settings that need one.

    Returns:
        Landmarks ``[n, 2]`` (5 points or 2 eyes); the score, or None if no detector found the face; and the turn in degrees
        at which the face was found.

    Raises:
        RefusedError: there is no face, or the settings do not say where it is.
    """
    if settings.detector == "landmarks":
        return np.array(item.landmarks, np.float64), None, 0
    turn = settings.turn and not settings.eyes
    faces, degrees = detect_turned(detector, image, turn, settings.face) if detector else ([], 0)
    if faces:
        face = select_face(faces, image.shape, settings.face)
        return face.landmarks, float(face.score), degrees
    if settings.eyes:
        return np.array(settings.eyes, np.float64).reshape(2, 2), None, 0
    raise RefusedError("no face", f"{settings.detector} found no face")


def cut(image: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """Cut the aligned crop, uint8 RGB ``[size, size, 3]``.

    Raises:
        RefusedError: the landmarks cannot belong to a face in the image.
    """
    height, width = image.shape[:2]
    x, y = landmarks.mean(0)
    if not (-1 <= x <= width and -1 <= y <= height):  # also true for NaN
        raise RefusedError("bad landmarks", f"the landmarks do not lie in the image of {width} x {height} pixels")
    try:
        return norm_crop(image, landmarks, size)
    except LrfaceError as error:
        raise RefusedError("bad landmarks", str(error)) from error


def _encode(image: np.ndarray, settings: Settings) -> bytes:
    return encode_image(image, settings.encoding, settings.quality)

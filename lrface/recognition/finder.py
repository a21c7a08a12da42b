"""Finding the main face or all faces of an image: read, detect, turn, align; or take the image as the face itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, TEMPLATE_SIZE, alignment, norm_crop
from lrface.faces.calibration import Calibration
from lrface.faces.detect import Detector, Face, FrameDetector, of_like_size, select_face
from lrface.faces.images import read_image
from lrface.faces.quality import EXTREME_ASPECT, Quality, assess, is_flat
from lrface.faces.turn import detect_turned

#: An image with a shorter side than this, in pixels, is taken as the face itself. Detectors find nothing there.
TINY = 8

#: If no face is found in an image with sides up to this length, in pixels, the image is taken as a tight crop. Detectors miss
#: some of these, mainly blurred faces: dlib a quarter of them, MTCNN a few.
TIGHT = 128

#: Mean distance of the landmarks from the template, in pixels of the 112 crop. An image no larger than the template with a
#: smaller distance is an aligned crop and is used as it is. Detectors are off by 3 to 4 in crops of 16 to 112 pixels, by 7 at
#: most.
ALIGNED = 6.0

#: Default rule for several faces.
FACE_RULE = "largest-central"

#: Words in the notes on a face by which notes are counted.
TAKEN, TURNED, OTHERS = "taken as the face itself", "turned by", "of like size"

Image = np.ndarray | str | Path | bytes


class ImageError(LrfaceError):
    """One image cannot be used, because it cannot be read or shows no face. Other images are not affected."""

    def reason(self, name: str) -> str:
        """The message without the image's name, for a list that has the name beside it."""
        return str(self).replace(f"{name}: ", "").replace(name, "the file")


@dataclass(frozen=True)
class CroppedFace:
    """The main face of an image.

    Attributes:
        name: of the image, for messages.
        crop: uint8 RGB, aligned, or the image itself if it was taken as the face.
        quality: of the face.
        face: the detection; None if the image itself was taken.
        notes: remarks: that the image itself was taken, that it was turned, or that it shows other faces.
        others: number of other faces of similar size in the image.
    """

    name: str
    crop: np.ndarray
    quality: Quality
    face: Face | None
    notes: tuple[str, ...] = ()
    others: int = 0

    @property
    def box(self) -> np.ndarray:
        """Left, top, right, bottom in the image's pixels, float32 ``[4]``; the whole image if it was taken as the face."""
        height, width = self.crop.shape[:2]
        return np.array([0, 0, width, height], np.float32) if self.face is None else self.face.box

    def as_dict(self) -> dict[str, Any]:
        """Where the face is, the detector's score (None where the image itself was taken), and the detail, as JSON writes it."""
        face = self.face
        return {
            "box": [round(float(edge), 2) for edge in self.box],
            "landmarks": None if face is None else np.round(face.landmarks.astype(float), 2).tolist(),
            "score": None if face is None else round(float(face.score), 4),
            "detail": round(float(self.quality.resolution), 2),
        }


@dataclass(frozen=True)
class Found:
    """A face in an image, with its crop, its side in the image's pixels, and its detection; or the image as the face."""

    name: str
    photo: np.ndarray
    crop: np.ndarray
    pixels: float
    face: Face | None = None
    notes: tuple[str, ...] = ()
    missed: bool = False
    others: int = 0

    def cropped_face(self, calibration: Calibration | None) -> CroppedFace:
        """Assess the quality of the face."""
        # If the crop reaches beyond the photo, its black corners would count as detail. So a mirrored crop is assessed.
        seen = self.crop if self.face is None else norm_crop(self.photo, self.face.landmarks, mirrored=True)
        quality = assess(seen, self.pixels, calibration, self.face is None, self.missed)
        return CroppedFace(self.name, self.crop, quality, self.face, self.notes, self.others)


class FaceFinder:
    """Finds the faces of images.

    Args:
        detector: function that returns the detector, called when it is first needed; None if images are aligned crops.
        rule: for several faces; see :func:`lrface.faces.detect.select_face`.
        turn: if no face is clearly upright, search the other three orientations of the photo.
    """

    def __init__(self, detector: Callable[[], Detector] | None, rule: str = FACE_RULE, turn: bool = True) -> None:
        self._detector, self._rule, self._turn = detector, rule, turn

    def all(self, image: Image) -> list[Found]:
        """All faces of an image, from left to right; an empty list if there are none.

        Raises:
            ImageError: the image cannot be read.
            LrfaceError: the detector is not available.
        """
        name, pixels = _open(image)
        if self._detector is None:
            return [_whole(name, pixels)]
        found, degrees = detect_turned(self._detector(), pixels, self._turn)
        return [replace(each, notes=self._notes(name, degrees, 0)) for each in _cut_all(name, pixels, found)]

    @property
    def frame_detector(self) -> FrameDetector | None:
        """The detector, if it can make use of what is known about frames.

        Raises:
            LrfaceError: the detector is not available.
        """
        detector = None if self._detector is None else self._detector()
        return detector if isinstance(detector, FrameDetector) else None

    def of_frames(self, frames: Sequence[np.ndarray], near: np.ndarray | None = None) -> list[list[Found]]:
        """All faces of each frame of a video, from left to right.

        Args:
            frames: uint8 RGB ``[h, w, 3]``. Those of one size are searched together.
            near: float ``[n, 4]``: places near which faces are looked for in the only frame, if there is a
                :attr:`frame_detector`; None: everywhere.

        Raises:
            LrfaceError: the detector is not available.
        """
        detector = self.frame_detector
        alone = len(frames) == 1 or len({frame.shape for frame in frames}) > 1
        if detector is None or (near is None and alone):
            return [self.all(frame) for frame in frames]
        found = detector.detect_all(frames) if near is None else [detector.detect_near(frames[0], near)]
        return [_cut_all("the image", frame, faces) for frame, faces in zip(frames, found, strict=True)]

    def main(self, image: Image) -> Found:
        """The main face of an image.

        Raises:
            ImageError: the image cannot be read or shows no face.
            LrfaceError: the detector is not available.
        """
        name, pixels = _open(image)
        height, width = pixels.shape[:2]
        whole = _whole(name, pixels)
        if self._detector is None:
            return whole
        if min(height, width) < TINY:
            return replace(whole, notes=(f"{name}: {width} x {height} pixels, {TAKEN}",))
        crop, detector = _may_be_a_crop(pixels), self._detector()
        faces, degrees = detect_turned(detector, pixels, self._turn, self._rule)
        if not faces and crop:
            note = f"{name}: {detector.name} found no face in {width} x {height} pixels, {TAKEN}"
            return replace(whole, notes=(note,), missed=True)
        if not faces:
            raise ImageError(
                f"{name}: {detector.name} found no face{', however it is turned' if self._turn else ''}; "
                "if this is an aligned crop, say --detector none"
            )
        face = select_face(faces, pixels.shape, self._rule)
        if _is_aligned(face, pixels):
            return whole
        others = of_like_size(faces, face)
        try:
            return replace(_cut(name, pixels, face), notes=self._notes(name, degrees, others), others=others)
        except LrfaceError as error:
            raise ImageError(f"{name}: {error}") from error

    def _notes(self, name: str, degrees: int, others: int) -> tuple[str, ...]:
        notes = []
        if degrees:
            notes.append(
                f"{name}: no face was found for sure upright, and a better one in the photo {TURNED} {degrees} degrees"
            )
        if others:
            count = "another face" if others == 1 else f"{others} other faces"
            notes.append(f"{name}: {count} {OTHERS} in it; the {self._rule} one was taken (--face)")
        return tuple(notes)


def _cut(name: str, pixels: np.ndarray, face: Face) -> Found:
    side = TEMPLATE_SIZE / float(np.hypot(*alignment(face.landmarks)[0, :2]))
    return Found(name, pixels, norm_crop(pixels, face.landmarks, TEMPLATE_SIZE), side, face)


def _cut_all(name: str, pixels: np.ndarray, faces: Sequence[Face]) -> list[Found]:
    """Cut the faces out, from left to right."""
    ordered = sorted(faces, key=lambda face: float(face.box[0]))
    return [_cut(name, pixels, face) for face in ordered if np.ptp(face.landmarks, axis=0).max() > 0]


def _may_be_a_crop(pixels: np.ndarray) -> bool:
    """Whether an image without a detected face can be a tight crop of a face."""
    sides = pixels.shape[:2]
    return max(sides) <= min(TIGHT, EXTREME_ASPECT * min(sides)) and not is_flat(pixels)


def _is_aligned(face: Face, pixels: np.ndarray) -> bool:
    """Whether the image is already the aligned crop of the face."""
    height, width = pixels.shape[:2]
    if height != width or width > TEMPLATE_SIZE:
        return False
    places = (face.landmarks + 0.5) * (TEMPLATE_SIZE / width) - 0.5
    return float(np.linalg.norm(places - TEMPLATE, axis=1).mean()) < ALIGNED


def _whole(name: str, pixels: np.ndarray) -> Found:
    """The whole image as the face."""
    return Found(name, pixels, pixels, float(min(pixels.shape[:2])))


def _open(image: Image) -> tuple[str, np.ndarray]:
    """The image's name for messages, and its pixels, uint8 RGB ``[h, w, 3]``."""
    name = str(image) if isinstance(image, str | Path) else "the image"
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ImageError(f"{name} must be uint8 RGB [height, width, 3], not {image.dtype} {list(image.shape)}")
        return name, image
    try:
        return name, read_image(image, name)
    except LrfaceError as error:
        raise ImageError(str(error)) from error

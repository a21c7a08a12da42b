"""The one way to use a trained model: photo -> face -> low resolution -> embedding, with the model's own thresholds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.faces.align import TEMPLATE, TEMPLATE_SIZE, alignment, norm_crop
from lrface.faces.calibration import Calibration, interpolation_note, rate_weights
from lrface.faces.detect import (
    DETECTORS,
    Detector,
    Face,
    automatic_detector,
    create_detector,
    is_detector,
    of_like_size,
    select_face,
)
from lrface.faces.images import read_image
from lrface.faces.quality import EXTREME_ASPECT, Quality, assess, is_flat
from lrface.faces.turn import detect_turned
from lrface.models import shipped
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.family import Family, open_family

#: An image with a shorter side than this is taken as the face itself: no detector finds anything there.
TINY = 8

#: An image with no side longer than this, in which no face is found, is taken as a tight crop. Detectors miss some of
#: those, of blurred faces above all: dlib's a quarter of them, MTCNN a few.
TIGHT = 128

#: An image no larger than the template is an aligned crop where its landmarks lie this near to the template's, on average,
#: in pixels of 112: it is taken as it is. Detectors are off by 3 to 4 in crops of 16 to 112 pixels, by 7 at most.
ALIGNED = 6.0

#: False accept rate that verification promises unless another is asked for.
DEFAULT_FAR = 0.01

#: Which of several faces is taken where nobody says.
FACE_RULE = "largest-central"

#: What the notes on a face say, for those who count them.
TAKEN, TURNED, OTHERS = "taken as the face itself", "turned by", "of like size"

Image = np.ndarray | str | Path | bytes


class ImageError(LrfaceError):
    """One image cannot be used, because it cannot be read or shows no face; others can be."""


@dataclass(frozen=True)
class Look:
    """The main face of an image.

    Attributes:
        name: of the image, for messages.
        crop: uint8 RGB, aligned, or the image itself where it was taken as the face.
        quality: what is known of it.
        face: where it was found; None where the image itself was taken.
        notes: what should be known of it: that the image itself was taken, or turned, or that others were there.
        others: how many other faces of like size the image shows.
    """

    name: str
    crop: np.ndarray
    quality: Quality
    face: Face | None
    notes: tuple[str, ...] = ()
    others: int = 0

    @property
    def box(self) -> np.ndarray:
        """Left, top, right, bottom in the image's pixels, float32 ``[4]``: all of it where it was taken as the face."""
        height, width = self.crop.shape[:2]
        return np.array([0, 0, width, height], np.float32) if self.face is None else self.face.box


@dataclass(frozen=True)
class FoundFace:
    """One face of an image, embedded.

    Attributes:
        box: left, top, right, bottom in the image's pixels, float32 ``[4]``; it may reach beyond the image.
        landmarks: float32 ``[5, 2]``; None where the image was taken as the face.
        score: the detector's confidence; None where the image was taken as the face.
        crop: the aligned face, uint8 RGB ``[112, 112, 3]``, or the image itself.
        quality: what is known of it.
        embedding: float32 ``[dim]``, L2-normalised.
    """

    box: np.ndarray
    landmarks: np.ndarray | None
    score: float | None
    crop: np.ndarray
    quality: Quality
    embedding: np.ndarray

    @property
    def detail(self) -> float:
        """Pixels of detail, see :class:`lrface.faces.quality.Quality`."""
        return self.quality.resolution


@dataclass(frozen=True)
class Verification:
    """The answer to: one person or two?

    Attributes:
        similarity: cosine of the two embeddings, -1 to 1.
        same: whether the similarity is above the threshold.
        threshold: cosine.
        far: the false accept rate that the threshold was calibrated for; None for a threshold given by hand.
        notes: what should be known of the two images, such as that one was too small for a detector.
        probability: of one person, where as many pairs are of one as of two; None if the model is not calibrated for it.
        resolutions: pixels of detail of the two faces, see :class:`lrface.faces.quality.Quality`.
        warnings: why the answer is not to be trusted.
        members: the models that embedded the two faces; None where there was no choice.
    """

    similarity: float
    same: bool
    threshold: float
    far: float | None
    notes: tuple[str, ...] = ()
    probability: float | None = None
    resolutions: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    members: tuple[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields, as JSON writes them."""
        return asdict(self)


class FaceEncoder:
    """Turns images of faces into embeddings, and compares them.

    Args:
        embedder: the network with its preprocessing; or a family of such, of which each face gets the one that fits it.
        detector: ``auto`` (see :func:`lrface.faces.detect.automatic_detector`), one of ``DETECTORS``, the path of an
            SCRFD detector ``*.onnx``, or ``none``: images are aligned crops.
        face: which of several faces; see :func:`lrface.faces.detect.select_face`. None: ``FACE_RULE``, and nobody has
            said so: such a photo is not enrolled.
        device: for the detector.
        min_face: width of the smallest face to look for; see :func:`lrface.faces.detect.create_detector`.
        turn: try the other three turns of a photo in which no face is found upright.
    """

    def __init__(
        self,
        embedder: Embedder | Family,
        detector: str = "auto",
        face: str | None = None,
        device: str = "cpu",
        min_face: float | None = None,
        turn: bool = True,
    ) -> None:
        if detector not in ("auto", "none") and not is_detector(detector):
            raise LrfaceError(
                f"unknown detector {detector!r}: choose auto, none, {', '.join(DETECTORS)}, or a file *.onnx"
            )
        self.embedder = embedder
        self._wanted, self._device, self._min_face, self._turn = detector, device, min_face, turn
        self._face, self.chooses = face or FACE_RULE, face is not None

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        detector: str = "auto",
        face: str | None = None,
        device: str = "cpu",
        runtime: str = "auto",
        threads: int | None = None,
        min_face: float | None = None,
        turn: bool = True,
        sharp: Sequence[str | Path] = (),
    ) -> "FaceEncoder":
        """Open a model, or a family of models.

        Args:
            path: a shipped model's name or a file, see :func:`lrface.models.embedder.open_embedder`; or a shipped family's name.
                The shipped family if None, or the default shipped model where there is no family.
            detector, face, device, min_face, turn: see the class.
            runtime, threads: see :func:`lrface.models.embedder.open_embedder`.
            sharp: files of the teachers that taught the family, in its order: they embed the sharpest faces.

        Raises:
            LrfaceError: the model cannot be opened, or ``sharp`` is given for a single model or is of other networks.
        """
        if sharp and shipped.find_family(None if path is None else str(path)) is None:
            raise LrfaceError(f"teachers for sharp faces (--sharp) go with a family, not with the single model {path}")
        family = shipped.find_family(None if path is None else str(path))
        opened: Embedder | Family = (
            open_embedder(path, device, threads, runtime=runtime)
            if family is None
            else open_family(family, sharp, device, threads, runtime)
        )
        return cls(opened, detector, face, device, min_face, turn)

    def only(self, fingerprint: str) -> "FaceEncoder | None":
        """An encoder like this one with one member of its family alone; None if the family has none of that fingerprint."""
        embedder = self.embedder.single(fingerprint)
        if embedder is None:
            return None
        face = self._face if self.chooses else None
        return FaceEncoder(embedder, self._wanted, face, self._device, self._min_face, self._turn)

    @property
    def detector(self) -> str:
        """The detector's name, which tells what ``auto`` stands for; ``none`` where images are crops."""
        return automatic_detector() if self._wanted == "auto" else self._wanted

    @property
    def thresholds(self) -> dict[float, float]:
        """False accept rate -> cosine threshold, as calibrated with the model; empty for a model that carries none."""
        return {float(far): float(value) for far, value in self.embedder.card.get("thresholds", {}).items()}

    def embed(self, images: Sequence[Image], batch_size: int = 64) -> np.ndarray:
        """Embed the main face of each image.

        Args:
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.
            batch_size: how many go through the network at once.

        Returns:
            float32 ``[n, dim]``, L2-normalised: the sum over the image and its mirror image.

        Raises:
            ImageError: an image cannot be read or shows no face; it is named.
            LrfaceError: there are no images, or the detector cannot be had.
        """
        found = [self.compact(image) for image in images]  # at once, so that no large photo has to be held
        return self.embed_crops([crop for crop, _, _ in found], batch_size, [detail for _, detail, _ in found])

    def compact(self, image: Image) -> tuple[np.ndarray, float, str | None]:
        """The main face of an image, as small as the model for it takes it, its pixels of detail, and a note or None.

        Raises:
            ImageError, LrfaceError: see :meth:`crop`.
        """
        if isinstance(self.embedder, Embedder):  # whatever the detail is: no need to look
            crop, note = self.crop(image)
            return self.embedder.compact(crop), np.nan, note
        look = self.look(image)
        resolution = look.quality.resolution
        return self.embedder.member(resolution).compact(look.crop), resolution, next(iter(look.notes), None)

    def embed_crops(
        self, crops: Sequence[np.ndarray], batch_size: int = 64, resolutions: Sequence[float] | None = None
    ) -> np.ndarray:
        """Embed aligned crops.

        Args:
            crops: uint8 RGB of any size.
            batch_size: how many go through a network at once.
            resolutions: pixels of detail of each, by which a family chooses; looked for in the crops if None.

        Returns:
            float32 ``[n, dim]``, L2-normalised.
        """
        if not len(crops):
            raise LrfaceError("there are no images to embed")
        if isinstance(self.embedder, Embedder):
            return flip_sum(self.embedder, crops, batch_size=batch_size)
        if resolutions is None:
            resolutions = [assess(crop).resolution for crop in crops]
        chosen = [self.embedder.member(resolution) for resolution in resolutions]
        result = np.empty((len(crops), self.embedder.dim), np.float32)
        for member in dict.fromkeys(chosen):
            rows = [row for row, each in enumerate(chosen) if each is member]
            result[rows] = flip_sum(member, [crops[row] for row in rows], batch_size=batch_size)
        return result

    def crop(self, image: Image) -> tuple[np.ndarray, str | None]:
        """The aligned face of an image.

        Returns:
            uint8 RGB crop, and a note where something should be known of it (see :class:`Look`), else None.

        Raises:
            ImageError: the image cannot be read or shows no face.
            LrfaceError: the detector cannot be had.
        """
        found = self._find(image)
        return found.crop, "; ".join(found.notes) or None

    def look(self, image: Image) -> Look:
        """The aligned face of an image, and what is known of it before it is compared.

        Raises:
            ImageError, LrfaceError: see :meth:`crop`.
        """
        return self._assess(self._find(image))

    def looks(self, image: Image) -> list[Look]:
        """All faces of an image, from left to right, and what is known of each; an empty list where there is none.

        With the detector ``none`` the image is the one face.

        Raises:
            ImageError: the image cannot be read.
            LrfaceError: the detector cannot be had.
        """
        name = str(image) if isinstance(image, str | Path) else "the image"
        pixels = _pixels(image, name)
        if self._wanted == "none":
            return [self._assess(_Found(name, pixels, pixels, float(min(pixels.shape[:2]))))]
        faces = sorted(self._detector.detect(pixels), key=lambda face: float(face.box[0]))
        return [self._assess(_cut(name, pixels, face)) for face in faces if np.ptp(face.landmarks, axis=0).max() > 0]

    def faces(self, image: Image, batch_size: int = 64) -> list[FoundFace]:
        """All faces of an image, from left to right, each embedded; an empty list where there is none.

        Args:
            image: a path, encoded bytes, or uint8 RGB ``[h, w, 3]``.
            batch_size: how many go through the network at once.

        Raises:
            ImageError, LrfaceError: see :meth:`looks`.
        """
        looks = self.looks(image)
        if not looks:
            return []
        details = [look.quality.resolution for look in looks]
        embeddings = self.embed_crops([look.crop for look in looks], batch_size, details)
        return [_embedded(look, row) for look, row in zip(looks, embeddings, strict=True)]

    def _assess(self, found: "_Found") -> Look:
        # Black corners, where a crop reaches beyond the photo, would be taken for detail.
        seen = found.crop if found.face is None else norm_crop(found.photo, found.face.landmarks, mirrored=True)
        quality = assess(seen, found.pixels, self.calibration, found.face is None, found.missed)
        return Look(found.name, found.crop, quality, found.face, found.notes, found.others)

    def _find(self, image: Image) -> "_Found":
        name = str(image) if isinstance(image, str | Path) else "the image"
        pixels = _pixels(image, name)
        height, width = pixels.shape[:2]
        whole = _Found(name, pixels, pixels, float(min(height, width)))
        if self._wanted == "none":
            return whole
        if min(height, width) < TINY:
            return replace(whole, notes=(f"{name}: {width} x {height} pixels, {TAKEN}",))
        crop = _may_be_a_crop(pixels)
        faces, degrees = detect_turned(self._detector, pixels, self._turn and not crop)
        if not faces and crop:
            note = f"{name}: {self._detector.name} found no face in {width} x {height} pixels, {TAKEN}"
            return replace(whole, notes=(note,), missed=True)
        if not faces:
            raise ImageError(
                f"{name}: {self._detector.name} found no face{', however it is turned' if self._turn else ''}; "
                "if this is an aligned crop, say --detector none"
            )
        face = select_face(faces, pixels.shape, self._face)
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
            notes.append(f"{name}: {count} {OTHERS} in it; the {self._face} one was taken (--face)")
        return tuple(notes)

    def verify(self, a: Image, b: Image, far: float = DEFAULT_FAR, threshold: float | None = None) -> Verification:
        """Tell whether two images show one person.

        Args:
            a, b: see :meth:`embed`.
            far: the false accept rate to promise, within the range of :attr:`thresholds`.
            threshold: a cosine to use instead.

        Raises:
            ImageError: an image cannot be read or shows no face.
            LrfaceError: the model carries no threshold for this rate, the one given is no cosine, or the detector
                cannot be had.
        """
        self.check_threshold(far, threshold)  # before anything that takes time
        return self.compare(self.look(a), self.look(b), far, threshold)

    def compare(self, a: Look, b: Look, far: float = DEFAULT_FAR, threshold: float | None = None) -> Verification:
        """:meth:`verify` of two faces that have been looked at.

        Raises:
            LrfaceError: the model carries no threshold for this rate, or the one given is no cosine.
        """
        self.check_threshold(far, threshold)
        promised = far if threshold is None else None
        if threshold is None:
            threshold = self.threshold(far, a.quality, b.quality)
        resolutions = (a.quality.resolution, b.quality.resolution)
        left, right = self.embed_crops([a.crop, b.crop], resolutions=resolutions)
        similarity = float(np.clip(left @ right, -1, 1))
        probability = None
        if self.calibration is not None:
            probability = float(self.calibration.probability(similarity, *resolutions))
        warnings = tuple(f"{look.name}: {warning}" for look in (a, b) for warning in look.quality.warnings)
        notes = a.notes + b.notes + (interpolation_note(self.thresholds, far) if promised else ())
        members = None
        if isinstance(self.embedder, Family):
            members = (self.embedder.member_name(resolutions[0]), self.embedder.member_name(resolutions[1]))
        return Verification(
            similarity, similarity > threshold, threshold, promised, notes, probability, resolutions, warnings,
            members,
        )  # fmt: skip

    def check_threshold(self, far: float, threshold: float | None = None) -> None:
        """Raise LrfaceError if the model knows no threshold for this rate, or the one given by hand is no cosine."""
        if threshold is None:
            self.threshold(far)
        elif not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")

    def threshold(self, far: float, a: Quality | None = None, b: Quality | None = None) -> float:
        """The cosine threshold for a false accept rate.

        Args:
            far: one of :attr:`thresholds`, or a rate between two of them: interpolated in the logarithm of the rate.
            a, b: what is known of the two faces. Where the model is calibrated by quality the threshold is that of their
                resolutions: higher for small and blurred faces, which resemble each other.

        Raises:
            LrfaceError: the rate lies outside those that the model was calibrated for.
        """
        if self.calibration is not None and a is not None and b is not None:
            return float(self.calibration.threshold(far, a.resolution, b.resolution))
        known = self.thresholds
        if not known:
            raise LrfaceError("this model carries no calibrated thresholds: give one with --threshold")
        weights = rate_weights(known, far)
        if not weights:
            raise LrfaceError(
                f"this model is not calibrated for a false accept rate of {far:g}: "
                f"choose one from {min(known):g} to {max(known):g}, or give a --threshold"
            )
        return sum(weight * known[rate] for rate, weight in weights.items())

    @cached_property
    def calibration(self) -> Calibration | None:
        """What similarities mean by the quality of both faces; None for a model that carries no such tables.

        Raises:
            LrfaceError: the model carries tables that cannot be used.
        """
        return Calibration.from_card(self.embedder.card)

    @cached_property
    def _detector(self) -> Detector:
        options: dict[str, Any] = {} if self._min_face is None else {"min_face": self._min_face}
        return create_detector(self._wanted, self._device, **options)


@dataclass(frozen=True)
class _Found:
    """A face in an image: its crop, its side in the image's pixels, and where; or the image as the face."""

    name: str
    photo: np.ndarray
    crop: np.ndarray
    pixels: float
    face: Face | None = None
    notes: tuple[str, ...] = ()
    missed: bool = False
    others: int = 0


def _embedded(look: Look, embedding: np.ndarray) -> FoundFace:
    landmarks, score = (None, None) if look.face is None else (look.face.landmarks, look.face.score)
    return FoundFace(look.box, landmarks, score, look.crop, look.quality, embedding)


def _cut(name: str, pixels: np.ndarray, face: Face) -> _Found:
    side = TEMPLATE_SIZE / float(np.hypot(*alignment(face.landmarks)[0, :2]))
    return _Found(name, pixels, norm_crop(pixels, face.landmarks, TEMPLATE_SIZE), side, face)


def _may_be_a_crop(pixels: np.ndarray) -> bool:
    """Whether an image in which no face was found can be one, cut tightly."""
    sides = pixels.shape[:2]
    return max(sides) <= min(TIGHT, EXTREME_ASPECT * min(sides)) and not is_flat(pixels)


def _is_aligned(face: Face, pixels: np.ndarray) -> bool:
    """Whether the image is the face's aligned crop."""
    height, width = pixels.shape[:2]
    if height != width or width > TEMPLATE_SIZE:
        return False
    places = (face.landmarks + 0.5) * (TEMPLATE_SIZE / width) - 0.5
    return float(np.linalg.norm(places - TEMPLATE, axis=1).mean()) < ALIGNED


def _pixels(image: Image, name: str) -> np.ndarray:
    """An image as uint8 RGB ``[h, w, 3]``, read if it is a path or encoded bytes."""
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ImageError(f"{name} must be uint8 RGB [height, width, 3], not {image.dtype} {list(image.shape)}")
        return image
    try:
        return read_image(image, name)
    except LrfaceError as error:
        raise ImageError(str(error)) from error

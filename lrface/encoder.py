"""The one way to use a trained model: photo -> face -> low resolution -> embedding, with the model's own thresholds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lrface import shipped
from lrface.calibration import Calibration
from lrface.embedder import Embedder, open_embedder
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.faces.align import TEMPLATE_SIZE, alignment, norm_crop
from lrface.faces.detect import DETECTORS, Detector, Face, automatic_detector, create_detector, select_face
from lrface.faces.images import read_image
from lrface.family import Family, open_family
from lrface.quality import EXTREME_ASPECT, Quality, assess, is_flat

#: An image with a shorter side than this is taken as the face itself: no detector works there.
TINY = 40

#: An image with no side longer than this, in which no face is found, is taken as a tight crop. Detectors miss some of
#: those, of blurred faces above all: dlib's a quarter of them, MTCNN a few.
TIGHT = 128

#: False accept rate that verification promises unless another is asked for.
DEFAULT_FAR = 0.01

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
        notes: what should be known of it: that the image itself was taken.
    """

    name: str
    crop: np.ndarray
    quality: Quality
    face: Face | None
    notes: tuple[str, ...] = ()


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
        resolutions: pixels of detail of the two faces, see :class:`lrface.quality.Quality`.
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
        detector: ``auto`` (see :func:`lrface.faces.detect.automatic_detector`), one of ``DETECTORS``, or ``none``: images
            are aligned crops.
        face: which of several faces; see :func:`lrface.faces.detect.select_face`.
        device: for the detector.
    """

    def __init__(
        self, embedder: Embedder | Family, detector: str = "auto", face: str = "largest-central", device: str = "cpu"
    ) -> None:
        if detector not in ("auto", "none", *DETECTORS):
            raise LrfaceError(f"unknown detector {detector!r}: choose auto, none, {', '.join(DETECTORS)}")
        self.embedder = embedder
        self._wanted, self._face, self._device = detector, face, device

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        detector: str = "auto",
        face: str = "largest-central",
        device: str = "cpu",
        runtime: str = "auto",
        threads: int | None = None,
        sharp: Sequence[str | Path] = (),
    ) -> "FaceEncoder":
        """Open a model, or a family of models.

        Args:
            path: a shipped model's name or a file, see :func:`lrface.embedder.open_embedder`; or a shipped family's name.
                The shipped family if None, or the default shipped model where there is no family.
            detector, face, device: see the class.
            runtime, threads: see :func:`lrface.embedder.open_embedder`.
            sharp: files of the teachers that taught the family, in its order: they embed the sharpest faces.

        Raises:
            LrfaceError: the model cannot be opened, or ``sharp`` is given for a single model or is of other networks.
        """
        family = shipped.find_family(None if path is None else str(path))
        if family is not None:
            return cls(open_family(family, sharp, device, threads, runtime), detector, face, device)
        if sharp:
            raise LrfaceError(f"teachers for sharp faces (--sharp) go with a family, not with the single model {path}")
        return cls(open_embedder(path, device, threads, runtime=runtime), detector, face, device)

    def only(self, fingerprint: str) -> "FaceEncoder | None":
        """An encoder like this one with one member of its family alone; None if the family has none of that fingerprint."""
        embedder = self.embedder.single(fingerprint)
        return None if embedder is None else FaceEncoder(embedder, self._wanted, self._face, self._device)

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
            uint8 RGB crop, and a note where the image itself was taken as the face, else None.

        Raises:
            ImageError: the image cannot be read or shows no face.
            LrfaceError: the detector cannot be had.
        """
        found = self._find(image)
        return found.crop, found.note

    def look(self, image: Image) -> Look:
        """The aligned face of an image, and what is known of it before it is compared.

        Raises:
            ImageError, LrfaceError: see :meth:`crop`.
        """
        found = self._find(image)
        # Black corners, where a crop reaches beyond the photo, would be taken for detail.
        seen = found.crop if found.face is None else norm_crop(found.photo, found.face.landmarks, mirrored=True)
        quality = assess(seen, found.pixels, self.calibration, found.face is None, found.missed)
        return Look(found.name, found.crop, quality, found.face, (found.note,) if found.note else ())

    def _find(self, image: Image) -> "_Found":
        name = str(image) if isinstance(image, str | Path) else "the image"
        pixels = _pixels(image, name)
        height, width = pixels.shape[:2]
        whole = _Found(name, pixels, pixels, float(min(height, width)))
        if self._wanted == "none":
            return whole
        if min(height, width) < TINY:
            return replace(whole, note=f"{name}: {width} x {height} pixels, taken as the face itself")
        faces = self._detector.detect(pixels)
        if not faces and _may_be_a_crop(pixels):
            note = f"{name}: {self._detector.name} found no face in {width} x {height} pixels, taken as the face itself"
            return replace(whole, note=note, missed=True)
        if not faces:
            raise ImageError(
                f"{name}: {self._detector.name} found no face; if this is an aligned crop, say --detector none"
            )
        face = select_face(faces, pixels.shape, self._face)
        try:
            side = TEMPLATE_SIZE / float(np.hypot(*alignment(face.landmarks)[0, :2]))
            return _Found(name, pixels, norm_crop(pixels, face.landmarks, TEMPLATE_SIZE), side, face)
        except LrfaceError as error:
            raise ImageError(f"{name}: {error}") from error

    def verify(self, a: Image, b: Image, far: float = DEFAULT_FAR, threshold: float | None = None) -> Verification:
        """Tell whether two images show one person.

        Args:
            a, b: see :meth:`embed`.
            far: the false accept rate to promise; one of :attr:`thresholds`.
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
        members = None
        if isinstance(self.embedder, Family):
            members = (self.embedder.member_name(resolutions[0]), self.embedder.member_name(resolutions[1]))
        return Verification(
            similarity, similarity > threshold, threshold, promised, a.notes + b.notes, probability, resolutions,
            warnings, members,
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
            far: one of :attr:`thresholds`.
            a, b: what is known of the two faces. Where the model is calibrated by quality the threshold is that of their
                resolutions: higher for small and blurred faces, which resemble each other.

        Raises:
            LrfaceError: the model was not calibrated for this rate.
        """
        if self.calibration is not None and a is not None and b is not None:
            return float(self.calibration.threshold(far, a.resolution, b.resolution))
        for known, value in self.thresholds.items():
            if abs(known - far) <= 1e-9:
                return value
        if not self.thresholds:
            raise LrfaceError("this model carries no calibrated thresholds: give one with --threshold")
        raise LrfaceError(
            f"this model is not calibrated for a false accept rate of {far:g}: "
            f"choose {', '.join(f'{known:g}' for known in self.thresholds)}, or give a --threshold"
        )

    @cached_property
    def calibration(self) -> Calibration | None:
        """What similarities mean by the quality of both faces; None for a model that carries no such tables.

        Raises:
            LrfaceError: the model carries tables that cannot be used.
        """
        return Calibration.from_card(self.embedder.card)

    @cached_property
    def _detector(self) -> Detector:
        return create_detector(self._wanted, self._device)


@dataclass(frozen=True)
class _Found:
    """A face in an image: its crop, its side in the image's pixels, and where; or the image as the face."""

    name: str
    photo: np.ndarray
    crop: np.ndarray
    pixels: float
    face: Face | None = None
    note: str | None = None
    missed: bool = False


def _may_be_a_crop(pixels: np.ndarray) -> bool:
    """Whether an image in which no face was found can be one, cut tightly."""
    sides = pixels.shape[:2]
    return max(sides) <= min(TIGHT, EXTREME_ASPECT * min(sides)) and not is_flat(pixels)


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

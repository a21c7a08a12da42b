"""The main interface to a trained model: photo -> face -> low resolution -> embedding, with the model's own thresholds."""

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.faces.detect import DETECTORS, Detector, automatic_detector, create_detector, is_detector
from lrface.faces.quality import assess
from lrface.models import shipped
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.family import Family, open_family
from lrface.recognition.answers import DEFAULT_FAR, FoundFace, Verification
from lrface.recognition.finder import FACE_RULE, CroppedFace, FaceFinder, Image, ImageError
from lrface.recognition.thresholds import Calibrated

__all__ = ["DEFAULT_FAR", "CroppedFace", "FaceEncoder", "Image", "ImageError", "Verification"]


class FaceEncoder(Calibrated):
    """Embeds the faces of images, and compares them.

    Args:
        embedder: the network with its preprocessing; or a family of networks, which chooses one for each face.
        detector: ``auto`` (see :func:`lrface.faces.detect.automatic_detector`), one of ``DETECTORS``, the path of an SCRFD
            detector ``*.onnx``, or ``none`` for images that are aligned crops.
        face: the rule for several faces; see :func:`lrface.faces.detect.select_face`. None means ``FACE_RULE`` without an
            explicit choice; photos with several similar faces are then not enrolled in galleries.
        device: of the detector.
        min_face: width of the smallest face to look for, in pixels; see :func:`lrface.faces.detect.create_detector`.
        turn: if no face is clearly upright, search the other three orientations of the photo.

    Raises:
        LrfaceError: unknown detector.
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
        super().__init__(embedder.card)
        self.embedder = embedder
        self._wanted, self._device, self._min_face, self._turn = detector, device, min_face, turn
        self._face, self.chooses = face or FACE_RULE, face is not None
        self._finder = FaceFinder(None if detector == "none" else lambda: self._detector, self._face, turn)

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
            path: name of a shipped model or family, or a file, see :func:`lrface.models.embedder.open_embedder`. If None, the
                shipped family, or the default shipped model if there is no family.
            detector, face, device, min_face, turn: see the class.
            runtime, threads: see :func:`lrface.models.embedder.open_embedder`.
            sharp: files of the family's teachers, in its order, which embed the sharpest faces.

        Raises:
            LrfaceError: the model cannot be opened, or ``sharp`` is given for a single model or names other networks.
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
        """The same encoder with only one member of its family; None if no member has this fingerprint."""
        embedder = self.embedder.single(fingerprint)
        if embedder is None:
            return None
        face = self._face if self.chooses else None
        return type(self)(embedder, self._wanted, face, self._device, self._min_face, self._turn)

    @property
    def detector(self) -> str:
        """The detector's name, with ``auto`` replaced by its choice; ``none`` if images are crops."""
        return automatic_detector() if self._wanted == "auto" else self._wanted

    def embed(self, images: Sequence[Image], batch_size: int = 64) -> np.ndarray:
        """Embed the main face of each image.

        Args:
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.
            batch_size: number of images in one pass of the network.

        Returns:
            float32 ``[n, dim]``, L2-normalised: the sum over the face and its mirror image.

        Raises:
            ImageError: an image cannot be read or shows no face; the message names it.
            LrfaceError: there are no images, or the detector is not available.
        """
        found = [self.compact(image) for image in images]  # reduced at once, so that no large photo stays in memory
        return self.embed_crops([crop for crop, _, _ in found], batch_size, [detail for _, detail, _ in found])

    def compact(self, image: Image) -> tuple[np.ndarray, float, str | None]:
        """The main face of an image, reduced as far as its model allows, its pixels of detail, and a note or None.

        For a single model the detail is not needed and is NaN.

        Raises:
            ImageError, LrfaceError: see :meth:`crop`.
        """
        if isinstance(self.embedder, Embedder):  # a single model embeds all faces, so their detail is not needed
            crop, note = self.crop(image)
            return self.embedder.compact(crop), np.nan, note
        cropped = self.cropped_face(image)
        resolution = cropped.quality.resolution
        return (
            self.embedder.member(resolution).compact(cropped.crop),
            resolution,
            next(iter(cropped.notes), None),
        )

    def embed_crops(
        self, crops: Sequence[np.ndarray], batch_size: int = 64, resolutions: Sequence[float] | None = None
    ) -> np.ndarray:
        """Embed aligned crops.

        Args:
            crops: uint8 RGB of any size.
            batch_size: number of crops in one pass of a network.
            resolutions: pixels of detail of each crop, for the choice of a family's member; estimated from the crops if None.

        Returns:
            float32 ``[n, dim]``, L2-normalised.

        Raises:
            LrfaceError: there are no crops.
        """
        if not len(crops):
            raise LrfaceError("there are no images to embed")
        if isinstance(self.embedder, Embedder):
            return flip_sum(self.embedder, crops, batch_size=batch_size)
        if resolutions is None:
            resolutions = [assess(crop).resolution for crop in crops]
        return self.embedder.embed(crops, resolutions, partial(flip_sum, batch_size=batch_size))

    def crop(self, image: Image) -> tuple[np.ndarray, str | None]:
        """The aligned face of an image.

        Returns:
            uint8 RGB crop, and the notes on it as one text (see :class:`CroppedFace`), or None without notes.

        Raises:
            ImageError: the image cannot be read or shows no face.
            LrfaceError: the detector is not available.
        """
        found = self._finder.main(image)
        return found.crop, "; ".join(found.notes) or None

    def cropped_face(self, image: Image) -> CroppedFace:
        """The aligned face of an image, with its quality.

        Raises:
            ImageError, LrfaceError: see :meth:`crop`.
        """
        return self._finder.main(image).cropped_face(self.calibration)

    def cropped_faces(self, image: Image) -> list[CroppedFace]:
        """All faces of an image, from left to right, with their quality; an empty list if there are none.

        With the detector ``none`` the image is the only face.

        Raises:
            ImageError: the image cannot be read.
            LrfaceError: the detector is not available.
        """
        return [found.cropped_face(self.calibration) for found in self._finder.all(image)]

    def faces(self, image: Image, batch_size: int = 64) -> list[FoundFace]:
        """All faces of an image, from left to right, embedded; an empty list if there are none.

        Args:
            image: a path, encoded bytes, or uint8 RGB ``[h, w, 3]``.
            batch_size: number of faces in one pass of the network.

        Raises:
            ImageError, LrfaceError: see :meth:`cropped_faces`.
        """
        return self._embed_found(self.cropped_faces(image), batch_size)

    def faces_of_frames(self, frames: Sequence[np.ndarray], near: np.ndarray | None = None) -> list[list[FoundFace]]:
        """All faces of each frame of a video, from left to right, embedded. The networks get several frames at once.

        Args:
            frames: uint8 RGB ``[h, w, 3]``. Those of one size are searched together.
            near: float ``[n, 4]``: left, top, right, bottom of places near which faces are looked for in the only frame, if
                :attr:`looks_near`; None: everywhere.

        Raises:
            LrfaceError: the detector is not available.
        """
        found = self._finder.of_frames(frames, near)
        embedded = iter(self._embed_found([each.cropped_face(self.calibration) for faces in found for each in faces]))
        return [list(islice(embedded, len(faces))) for faces in found]

    @property
    def looks_near(self) -> bool:
        """Whether the detector can look for faces near some places of a frame, and in several frames at once.

        Raises:
            LrfaceError: the detector is not available.
        """
        return self._finder.frame_detector is not None

    def _embed_found(self, cropped: Sequence[CroppedFace], batch_size: int = 64) -> list[FoundFace]:
        if not cropped:
            return []
        details = [each.quality.resolution for each in cropped]
        embeddings = self.embed_crops([each.crop for each in cropped], batch_size, details)
        return [FoundFace.of(each, row) for each, row in zip(cropped, embeddings, strict=True)]

    def verify(self, a: Image, b: Image, far: float = DEFAULT_FAR, threshold: float | None = None) -> Verification:
        """Decide whether two images show one person.

        Args:
            a, b: see :meth:`embed`.
            far: the wanted false accept rate, within the range of :attr:`thresholds`.
            threshold: a cosine to use instead.

        Raises:
            ImageError: an image cannot be read or shows no face.
            LrfaceError: the model has no threshold for this rate, ``threshold`` is not a cosine, or the detector is not
                available.
        """
        self.check_threshold(far, threshold)  # checked before the slow steps
        return self.compare(self.cropped_face(a), self.cropped_face(b), far, threshold)

    def compare(
        self, a: CroppedFace, b: CroppedFace, far: float = DEFAULT_FAR, threshold: float | None = None
    ) -> Verification:
        """Decide whether two faces that were already cropped show one person; see :meth:`verify`.

        Raises:
            LrfaceError: the model has no threshold for this rate, or ``threshold`` is not a cosine.
        """
        self.check_threshold(far, threshold)
        limit = self.threshold(far, a.quality, b.quality) if threshold is None else threshold
        resolutions = (a.quality.resolution, b.quality.resolution)
        left, right = self.embed_crops([a.crop, b.crop], resolutions=resolutions)
        similarity = float(np.clip(left @ right, -1, 1))
        probability = None
        if self.calibration is not None:
            probability = float(self.calibration.probability(similarity, *resolutions))
        notes = a.notes + b.notes + (self.rate_notes(far) if threshold is None else ())
        return Verification.of(
            similarity, limit, (a, b), self.embedder, far if threshold is None else None, notes, probability
        )

    @cached_property
    def _detector(self) -> Detector:
        options: dict[str, Any] = {} if self._min_face is None else {"min_face": self._min_face}
        return create_detector(self._wanted, self._device, **options)

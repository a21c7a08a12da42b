"""Enrolment: from images to faces that can be enrolled, with a report of those that cannot."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import file_digest
from lrface.recognition.encoder import FaceEncoder, Image, ImageError
from lrface.recognition.gallery.answers import Report
from lrface.recognition.gallery.names import checked_name, name_key
from lrface.recognition.gallery.protocol import NewFace

#: Hint in messages about images that were left out.
FORCED = "--force enrols it all the same"


@dataclass(frozen=True)
class Found:
    """A face to enrol, before it is embedded.

    Attributes:
        name: of the person.
        digest: of the image.
        source: of the image, for human readers.
        crop: uint8 RGB, aligned, reduced as far as the model allows.
        resolution, recognisability: see :class:`lrface.faces.quality.Quality`.
        member: name of the model that embeds it.
    """

    name: str
    digest: bytes
    source: str
    crop: np.ndarray
    resolution: float
    recognisability: float | None
    member: str


def find_faces(
    encoder: FaceEncoder,
    images: Iterable[tuple[str, Image]],
    owners: Callable[[bytes], list[str]],
    force: bool,
) -> tuple[list[Found], Report]:
    """Find the faces to enrol in images.

    Args:
        encoder: the model and its detector.
        images: each with the person's name.
        owners: gives the names of the people who already have an image. The image is skipped for the same person, and
            refused for another one.
        force: also take unusable faces, and images that another person has.

    Raises:
        LrfaceError: a name is not valid, or the detector is not available. An image that cannot be used is an entry of the
            report.
    """
    report, found = Report(), list[Found]()
    new: dict[bytes, list[str]] = {}
    for given, image in images:
        name, source = checked_name(given), image_source(image)
        try:
            digest = image_digest(image)
            having = owners(digest) + new.get(digest, [])
            if name_key(name) in map(name_key, having):
                report.known += 1
                continue
            if having:
                _refuse_unless(force, f"this very image is enrolled as {having[0]} already", source, report)
            found.append(find_face(encoder, name, source, digest, image, force, report))
        except ImageError as error:
            report.refused.append((source, error.reason(source)))
            continue
        new.setdefault(digest, []).append(name)
    return found, report


def leave_out_alike(
    found: list[Found], rows: np.ndarray, alike: list[tuple[str, str, float] | None], force: bool, report: Report
) -> list[tuple[Found, np.ndarray]]:
    """The faces to enrol with their embeddings, without those too similar to somebody else's, unless ``force`` is set."""
    kept = []
    for face, row, other in zip(found, rows, alike, strict=True):
        try:
            if other is not None:
                name, photo, similarity = other
                reason = f"too like {name}'s face of {photo} to be another person's (similarity {similarity:.4f})"
                _refuse_unless(force, reason, face.source, report)
        except ImageError as error:
            report.refused.append((face.source, str(error)))
            continue
        kept.append((face, row))
    return kept


def _refuse_unless(force: bool, reason: str, source: str, report: Report) -> None:
    """Raise ImageError, or with ``force`` add a note instead."""
    if not force:
        raise ImageError(f"{reason} ({FORCED})")
    report.notes.append(f"{source}: {reason}")


def find_face(
    encoder: FaceEncoder, name: str, source: str, digest: bytes, image: Image, force: bool, report: Report
) -> Found:
    """The main face of an image. Raises ImageError if there is no face that may be enrolled."""
    cropped = encoder.cropped_face(image)
    quality = cropped.quality
    if not quality.usable and not force:
        raise ImageError(f"{'; '.join(quality.warnings)} ({FORCED})")
    if cropped.others and not encoder.chooses and not force:
        raise ImageError(
            f"shows {cropped.others + 1} faces of like size: say which with --face, or --force takes the one in the middle"
        )
    report.notes += cropped.notes
    report.notes += [f"{source}: {warning}" for warning in quality.warnings]
    # Rounded as the gallery stores it, because it determines the member that embeds the face.
    resolution = round(quality.resolution, 2)
    crop = encoder.embedder.member(resolution).compact(cropped.crop)
    member = encoder.embedder.member_name(resolution)
    return Found(name, digest, source, crop, resolution, quality.recognisability, member)


def image_source(image: Image) -> str:
    """The source of an image, for human readers."""
    return str(image) if isinstance(image, str | Path) else "an image in memory"


def image_digest(image: Image) -> bytes:
    """Digest of an image's file bytes or pixels, 16 bytes.

    Raises:
        ImageError: the file cannot be read.
    """
    if isinstance(image, str | Path):
        try:
            return bytes.fromhex(file_digest(image))[:16]
        except LrfaceError as error:
            raise ImageError(str(error)) from error
    if isinstance(image, bytes):
        return hashlib.sha256(image).digest()[:16]
    return hashlib.sha256(str((image.shape, image.dtype)).encode() + image.tobytes()).digest()[:16]


def embedded_faces(
    names: Sequence[str], embeddings: np.ndarray, sources: Sequence[str], dim: int
) -> list[tuple[str, NewFace]]:
    """Faces that were embedded elsewhere; see :meth:`lrface.recognition.gallery.gallery.Gallery.add_embeddings`.

    Raises:
        LrfaceError: wrong counts, embeddings of another length, a row that is not L2-normalised, or an invalid name.
    """
    wanted = (len(names), dim)
    if embeddings.shape != wanted or len(sources) != len(names):
        raise LrfaceError(
            f"{len(names)} names and {len(sources)} sources want embeddings {wanted}, not {embeddings.shape}"
        )
    rows = np.asarray(embeddings, np.float32)
    if not (abs(np.linalg.norm(rows, axis=1) - 1) < 0.01).all():
        raise LrfaceError("embeddings of a gallery have to be L2-normalised")
    checked = {name: checked_name(name) for name in set(names)}
    return [
        (checked[name], NewFace(row, image_digest(source.encode()), source))
        for name, row, source in zip(names, rows, sources, strict=True)
    ]

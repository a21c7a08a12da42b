"""Moving a gallery to another model: its people are embedded again, from kept crops or from the enrolled photos.

After a kill at any moment, the same call continues.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder, Image, ImageError
from lrface.recognition.gallery.answers import Report
from lrface.recognition.gallery.enrol import Found, find_face, image_digest
from lrface.recognition.gallery.gallery import BATCH, Gallery
from lrface.recognition.gallery.kept import crop_path
from lrface.recognition.gallery.names import name_key
from lrface.recognition.gallery.opening import open_whole
from lrface.recognition.gallery.protocol import NewFace


@dataclass
class Reembedded:
    """The result of :func:`reembed`.

    Attributes:
        people, faces: numbers of people and faces in the old gallery.
        added: number of embedded faces.
        known: number of faces that the new gallery had already.
        from_crops: number of embedded faces that came from kept crops.
        lacking: name, source and reason of each face that could not be embedded.
        notes: remarks about images that were used.
    """

    people: int = 0
    faces: int = 0
    added: int = 0
    known: int = 0
    from_crops: int = 0
    lacking: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def reembed(
    source: str | Path, gallery: Gallery, crops: Path | None = None, force: bool = False, progress: bool = True
) -> Reembedded:
    """Enrol the people of one gallery in another one with another model. Names, images and dates are kept.

    Args:
        source: the old gallery: a folder, or an :class:`~lrface.recognition.gallery.address.Address`.
        gallery: the new gallery, opened with the other model and its detector.
        crops: folder of ``lrface serve --keep-crops``; crops are preferred to photos.
        force: embed unusable faces, and the middle one of several; see :meth:`Gallery.add`.
        progress: show a bar with rate and time left.

    Raises:
        LrfaceError: there is no old gallery, it is of the same model, or one of them cannot be read or written. A face that
            cannot be embedded is a line of the report.
    """
    from tqdm import tqdm

    encoder = gallery.needed_encoder
    with closing(open_whole(source)) as store:
        if store.meta["model"] == encoder.embedder.fingerprint:
            raise LrfaceError(
                f"{store.place} is a gallery of this very model: name another one with --model, or use `lrface gallery copy`"
            )
        with store.reading():
            totals = store.totals()
            nothing = np.empty(0, np.float32)
            faces = [
                (name, replace(face, embedding=nothing)) for part in store.records(totals.last) for name, face in part
            ]
    report = Reembedded(totals.people, totals.faces)
    finder = _Finder(encoder, crops, force, report)
    waiting = iter(faces)
    with tqdm(total=len(faces), unit="face", desc="reembed", disable=None if progress else True) as bar:
        while part := list(islice(waiting, BATCH)):
            report.added += gallery.insert(list(_embed(encoder, finder, _lacking(gallery, part, report))))
            bar.update(len(part))
    return report


def _lacking(gallery: Gallery, faces: list[tuple[str, NewFace]], report: Reembedded) -> list[tuple[str, NewFace]]:
    """The faces that the new gallery does not have."""
    owners = gallery.owners([face.digest for _, face in faces])
    new = [(name, face) for name, face in faces if name_key(name) not in map(name_key, owners.get(face.digest, []))]
    report.known += len(faces) - len(new)
    return new


def _embed(encoder: FaceEncoder, finder: "_Finder", faces: list[tuple[str, NewFace]]) -> Iterator[tuple[str, NewFace]]:
    found = [(face, each) for name, face in faces if (each := finder.find(name, face)) is not None]
    if not found:
        return
    rows = encoder.embed_crops([each.crop for _, each in found], BATCH, [each.resolution for _, each in found])
    for (face, each), row in zip(found, rows, strict=True):
        yield (
            each.name,
            NewFace(row, face.digest, face.source, each.resolution, each.recognisability, each.member, face.added),
        )


class _Finder:
    """Finds the image of a face, and the face in it. Failures go into the report."""

    def __init__(self, encoder: FaceEncoder, crops: Path | None, force: bool, report: Reembedded) -> None:
        self._encoder, self._crops, self._force, self._report = encoder, crops, force, report
        self._of_crops = FaceEncoder(encoder.embedder, "none")

    def find(self, name: str, face: NewFace) -> Found | None:
        """The face to embed, or None."""
        told = Report()
        try:
            encoder, image = self._image(name, face)
            found = find_face(encoder, name, face.source, face.digest, image, self._force, told)
        except ImageError as error:
            self._report.lacking.append((name, face.source, str(error).replace(f"{face.source}: ", "")))
            return None
        self._report.notes += told.notes
        self._report.from_crops += encoder is self._of_crops
        return found

    def _image(self, name: str, face: NewFace) -> tuple[FaceEncoder, Image]:
        if self._crops is not None and (kept := crop_path(self._crops, name, face.digest)).is_file():
            return self._of_crops, kept
        source = Path(face.source)
        if not source.is_file():
            raise ImageError("neither a kept crop nor this file is there")
        if image_digest(source) != face.digest:
            raise ImageError("the file is not the one that was enrolled")
        return self._encoder, source

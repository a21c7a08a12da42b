"""A gallery of named people: enrol faces, and search for a person."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import CroppedFace, FaceEncoder, Image, ImageError
from lrface.recognition.gallery.alike import find_alike
from lrface.recognition.gallery.answers import Answer, Report
from lrface.recognition.gallery.enrol import embedded_faces, find_faces, image_digest, image_source, leave_out_alike
from lrface.recognition.gallery.info import describe
from lrface.recognition.gallery.names import checked_name
from lrface.recognition.gallery.opening import open_for
from lrface.recognition.gallery.protocol import GalleryStore, IndexBuilder, NewFace, Person
from lrface.recognition.gallery.search import SEARCH_FAR, search_embedding
from lrface.recognition.gallery.snapshot import Snapshots
from lrface.recognition.gallery.suspects import Suspect, find_suspects

#: Number of faces in one pass of the network.
BATCH = 64


class Gallery:
    """People and their faces, in a folder or in PostgreSQL; see :meth:`open`. Several threads and processes may use it at once.

    Embeddings are stored as float16: a cosine is off by some 1e-5, and never by more than 5e-4.
    """

    def __init__(self, store: GalleryStore, builder: IndexBuilder, encoder: FaceEncoder | None) -> None:
        self._store, self._builder, self._encoder = store, builder, encoder
        self._snapshots = Snapshots(store, builder)
        self._lock = self._snapshots.lock

    @classmethod
    def open(
        cls,
        path: str | Path,
        encoder: FaceEncoder | None = None,
        create: bool = True,
        exact_limit: int | None = None,
        notify: Callable[[str], None] = lambda line: None,
    ) -> "Gallery":
        """Open the gallery at ``path``.

        Args:
            path: the folder, or an :class:`~lrface.recognition.gallery.address.Address`, ``postgresql://USER@HOST/DATABASE``.
            encoder: the model that embeds its faces. Only :meth:`people`, :meth:`remove`, :meth:`rename`, :meth:`info` and
                :meth:`check` work without one.
            create: create an empty gallery if there is none; needs an encoder.
            exact_limit: number of faces above which searches are approximate; stored in the gallery.
            notify: called with a line about slow steps, and about the recall of an approximate index.

        Raises:
            LrfaceError: there is no such gallery, it was made with another model, it is damaged or cannot be written, FAISS
                is missing, or the limit is too small.
        """
        store, encoder = open_for(path, encoder, create, exact_limit)
        return cls(store, store.index_builder(notify), encoder)

    def close(self) -> None:
        """Close the files."""
        self._store.close()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, name: str, images: Iterable[Image], force: bool = False) -> Report:
        """Enrol the main face of each image, all in one transaction.

        Args:
            name: of the person; an existing person gets more faces.
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.
            force: also enrol what is refused otherwise: unusable faces (tiny, blurred or flat ones look like everybody),
                photos with several faces of similar size, an image that another person has, and a face that is too similar to
                another person's (:class:`lrface.recognition.gallery.decision.Alike`).

        Raises:
            LrfaceError: the name is not valid, the gallery cannot be written, or the detector is not available. An image that
                cannot be used is an entry of the report.
        """
        return self.add_many(((name, image) for image in images), force)

    def add_many(self, images: Iterable[tuple[str, Image]], force: bool = False) -> Report:
        """Enrol faces of several people, each image with the person's name, all in one transaction; see :meth:`add`."""
        encoder = self.needed_encoder
        found, report = find_faces(encoder, images, lambda digest: self.owners([digest]).get(digest, []), force)
        if not found:
            return report
        rows = encoder.embed_crops([face.crop for face in found], BATCH, [face.resolution for face in found])
        alike = find_alike(self._snapshots, encoder, found, rows)
        new = [
            (face.name, NewFace(row, face.digest, face.source, face.resolution, face.recognisability, face.member))
            for face, row in leave_out_alike(found, rows, alike, force, report)
        ]
        if new:
            report.added = self.insert(new)
            report.known += len(new) - report.added  # another process has enrolled the same images meanwhile
        return report

    def owners(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """Image -> the names of the people who have it, for those of the images that somebody has.

        Images are named by :func:`lrface.recognition.gallery.enrol.image_digest`.
        """
        with self._lock:
            return self._store.owners(digests)

    def add_embeddings(self, names: Sequence[str], embeddings: np.ndarray, sources: Sequence[str]) -> int:
        """Enrol faces that were embedded elsewhere with the gallery's model, all in one transaction, without checks.

        Args:
            names: of the persons.
            embeddings: float ``[n, dim]``, L2-normalised.
            sources: of the images; each person has each source only once.

        Returns:
            Number of new faces.

        Raises:
            LrfaceError: wrong counts, embeddings of another length, a row that is not L2-normalised, or an invalid name.
        """
        return self.insert(embedded_faces(names, embeddings, sources, self._store.meta["dim"]))

    def insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        """Enrol faces that are embedded already, each with the checked name of its person, as they are, in one transaction.

        Returns:
            How many are new.
        """
        if not faces:
            return 0
        with self._lock:
            added = self._store.insert(faces)
            with self._store.reading():
                due = self._builder.due()
        if due:
            self._builder.maintain()
        return added

    def search(self, image: Image, top: int = 5, far: float = SEARCH_FAR, threshold: float | None = None) -> Answer:
        """Find out who the main face of an image is.

        Args:
            image: see :meth:`add`.
            top: number of people in the answer, best first.
            far: false accept rate of one comparison, within the model's calibrated range.
            threshold: a cosine to use instead.

        Raises:
            ImageError: the image cannot be read or shows no face.
            LrfaceError: the model has no threshold for this rate, or the gallery cannot be read.
        """
        encoder = self.needed_encoder
        encoder.check_threshold(far, threshold)  # before the slow steps
        return self.search_face(encoder.cropped_face(image), top, far, threshold)

    def search_all(
        self, image: Image, top: int = 5, far: float = SEARCH_FAR, threshold: float | None = None
    ) -> list[tuple[CroppedFace, Answer]]:
        """The same as :meth:`search` for all faces of an image, from left to right; an empty list if there are none."""
        encoder = self.needed_encoder
        encoder.check_threshold(far, threshold)
        return [(cropped, self.search_face(cropped, top, far, threshold)) for cropped in encoder.cropped_faces(image)]

    def search_face(
        self, cropped: CroppedFace, top: int = 5, far: float = SEARCH_FAR, threshold: float | None = None
    ) -> Answer:
        """The same as :meth:`search` for a face that was already cropped."""
        embedding = self.needed_encoder.embed_crops([cropped.crop], resolutions=[cropped.quality.resolution])[0]
        answer = self.search_embedding(embedding, top, far, threshold, cropped.quality.resolution)
        warnings = tuple(f"{cropped.name}: {warning}" for warning in cropped.quality.warnings)
        return replace(answer, notes=cropped.notes + answer.notes, warnings=warnings)

    def search_embedding(
        self,
        embedding: np.ndarray,
        top: int = 5,
        far: float = SEARCH_FAR,
        threshold: float | None = None,
        resolution: float | None = None,
        looks: int | None = None,
    ) -> Answer:
        """The same as :meth:`search` for a face that was already embedded.

        Args:
            embedding: float32 ``[dim]``, L2-normalised.
            top, far, threshold: see :meth:`search`.
            resolution: of the face, in pixels of detail (:class:`lrface.faces.quality.Quality`), if known.
            looks: of how many looks of a video this is the template; None: it is one face.
        """
        return search_embedding(self._snapshots, self._encoder, embedding, top, far, threshold, resolution, looks)

    def remove(self, name: str) -> int:
        """Remove a person with all faces, from every file of the gallery.

        Returns:
            Number of removed faces.

        Raises:
            LrfaceError: there is no person of this name.
        """
        with self._lock:
            gone = self._known(name, self._store.remove(checked_name(name)))
        self._builder.purge()
        return gone

    def remove_photo(self, name: str, image: Image) -> int:
        """Remove a person's faces from one image, from every file of the gallery. The last face removes the person too.

        Args:
            name: of the person.
            image: the image, compared by content. If the file is gone or has changed: the path from which it was enrolled, as
                answers give it.

        Returns:
            Number of removed faces.

        Raises:
            LrfaceError: there is no person of this name, or the person has no face from this image.
        """
        source = image_source(image)
        try:
            digest = image_digest(image)
        except ImageError:
            digest = None
        with self._lock:
            gone = self._known(name, self._store.remove_photo(checked_name(name), source, digest))
        if not gone:
            raise LrfaceError(
                f"{name} has no face of {source} in the gallery: name the photo as `lrface gallery search` does"
            )
        self._builder.purge()
        return gone

    def rename(self, name: str, new: str, merge: bool = False) -> int:
        """Rename a person to ``new``. With ``merge``, the faces are added to an existing person of that name.

        Returns:
            Number of faces that the person called ``name`` had.

        Raises:
            NameTakenError: another person is called ``new``, and ``merge`` is not set.
            LrfaceError: nobody is called ``name``, or ``new`` is not a valid name.
        """
        with self._lock:
            moved = self._known(name, self._store.rename(checked_name(name), checked_name(new), merge))
        self._builder.purge()  # if both had an image, one of its faces was removed
        return moved

    def _known(self, name: str, done: int | None) -> int:
        """Return ``done``. Raises LrfaceError if it is None, which means that nobody has this name."""
        if done is None:
            near = difflib.get_close_matches(name, [person.name for person in self.people()], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise LrfaceError(f"nobody in {self._store.place} is called {name}{hint}")
        return done

    def suspects(self, progress: bool = False) -> list[Suspect]:
        """Faces that look more like another person than like their own, or like nobody. Nothing is changed.

        See :func:`lrface.recognition.gallery.suspects.find_suspects`.
        """
        return find_suspects(self._snapshots, self.needed_encoder, progress)

    def people(self) -> list[Person]:
        """All people, by name, with their number of faces."""
        with self._lock:
            return self._store.people()

    def info(self) -> dict[str, Any]:
        """Facts about the gallery: people, faces, model, index and its recall, sizes on disk, and the risk that a stranger is
        given a name at the default rate of a search."""
        with self._lock:
            return describe(self._store)

    def check(self) -> list[str]:
        """Check every file and compare them; returns the faults, one line each."""
        with self._lock:
            faults = self._store.check()
        return [*faults, *self._builder.check()]

    @property
    def encoder(self) -> FaceEncoder | None:
        """The model that embeds the faces (perhaps one member of the given family); None if the gallery was opened without one."""
        return self._encoder

    @property
    def needed_encoder(self) -> FaceEncoder:
        """The model that the faces are embedded with. Raises LrfaceError if there is none."""
        if self._encoder is None:
            raise LrfaceError("this gallery was opened without a model: open it with an encoder to add or search")
        return self._encoder

"""A gallery of named people: enrol faces, ask who somebody is."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import CroppedFace, FaceEncoder, Image, ImageError
from lrface.recognition.gallery import base
from lrface.recognition.gallery.alike import find_alike
from lrface.recognition.gallery.answers import Answer, Report
from lrface.recognition.gallery.builder import Builder
from lrface.recognition.gallery.decision import DecisionRule
from lrface.recognition.gallery.enrol import embedded_faces, find_faces, image_digest, image_source, leave_out_alike
from lrface.recognition.gallery.info import describe, encoder_of
from lrface.recognition.gallery.names import checked_name
from lrface.recognition.gallery.protocol import EXACT_LIMIT, GalleryStore, NewFace, Person
from lrface.recognition.gallery.search import SEARCH_FAR, search_embedding
from lrface.recognition.gallery.snapshot import Snapshots
from lrface.recognition.gallery.stores import open_store
from lrface.recognition.gallery.suspects import Suspect, find_suspects

#: The least ``exact_limit``: an approximate index learns from this many faces.
LEAST_LIMIT = 100

#: How many faces go through the network at once.
BATCH = 64


class Gallery:
    """People and their faces in a folder; see :meth:`open`. Threads may share it, and processes may open it at once.

    Embeddings are kept in float16: a cosine is off by some 1e-5, and by less than 5e-4 in any case.
    """

    def __init__(self, store: GalleryStore, builder: Builder, encoder: FaceEncoder | None) -> None:
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
        notify: Callable[[str], None] | None = None,
    ) -> "Gallery":
        """Open the gallery in the folder ``path``.

        Args:
            path: the folder.
            encoder: the model that its faces are embedded with; only :meth:`people`, :meth:`remove`, :meth:`rename`,
                :meth:`info` and :meth:`check` do without.
            create: make an empty gallery if there is none; with an encoder.
            exact_limit: number of faces above which searches are approximate, kept with the gallery.
            notify: called with a line about what takes its time, and with the recall of an approximate index.

        Raises:
            LrfaceError: there is no such gallery, it was made with another model, it is damaged, it cannot be written,
                FAISS is missing, or the limit is too small.
        """
        if exact_limit is not None and exact_limit < LEAST_LIMIT:
            raise LrfaceError(f"an exact limit of {exact_limit} makes no sense: {LEAST_LIMIT} at least")
        if encoder is None or not create:
            store = open_store(path)
        else:
            embedder = encoder.embedder
            name = str(embedder.card.get("name", "unnamed"))
            store = open_store(path, lambda: (embedder.fingerprint, name, embedder.dim))
        try:
            if encoder is not None:
                encoder = encoder_of(store, encoder)
            if exact_limit is not None and store.meta.get("exact_limit", EXACT_LIMIT) != exact_limit:
                store.write_meta("exact_limit", exact_limit)
            return cls(store, Builder(store, notify or _silent), encoder)
        except BaseException:
            store.close()
            raise

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
            name: who it is; a person who is there gets more faces.
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.
            force: enrol what is left out otherwise: unusable faces (tiny, blurred or flat ones resemble everybody, and so
                will the person), photos of several faces of like size, an image that somebody else has, and a face that
                is too like somebody else's (:class:`lrface.recognition.gallery.decision.Alike`).

        Raises:
            LrfaceError: the name is none, the gallery cannot be written, or the detector cannot be had. An image that
                cannot be used is a line of the report.
        """
        return self.add_many(((name, image) for image in images), force)

    def add_many(self, images: Iterable[tuple[str, Image]], force: bool = False) -> Report:
        """Enrol the faces of several people, each image with the person's name, all in one transaction."""
        encoder = self._needed_encoder
        found, report = find_faces(encoder, images, self._owners, force)
        if not found:
            return report
        rows = encoder.embed_crops([face.crop for face in found], BATCH, [face.resolution for face in found])
        alike = find_alike(self._snapshots, encoder, found, rows)
        new = [
            (face.name, NewFace(row, face.digest, face.source, face.resolution, face.recognisability, face.member))
            for face, row in leave_out_alike(found, rows, alike, force, report)
        ]
        if new:
            report.added = self._insert(new)
            report.known += len(new) - report.added  # another process was faster
        return report

    def _owners(self, digest: bytes) -> list[str]:
        with self._lock:
            return self._store.owners([digest]).get(digest, [])

    def add_embeddings(self, names: Sequence[str], embeddings: np.ndarray, sources: Sequence[str]) -> int:
        """Enrol faces that were embedded elsewhere with the gallery's model, all in one transaction, as they are.

        Args:
            names: who each is.
            embeddings: float ``[n, dim]``, L2-normalised.
            sources: where each came from; it names the image, and a person has each once.

        Returns:
            How many are new.

        Raises:
            LrfaceError: the counts or the size of the embeddings are not right, or a row is not of length 1.
        """
        return self._insert(embedded_faces(names, embeddings, sources, self._store.meta["dim"]))

    def _insert(self, faces: list[tuple[str, NewFace]]) -> int:
        with self._lock:
            added = self._store.insert(faces)
            with self._store.reading():
                due = base.due(self._store.read_base(), self._store.totals())
        if due:
            self._builder.maintain()
        return added

    def search(self, image: Image, top: int = 5, far: float = SEARCH_FAR, threshold: float | None = None) -> Answer:
        """Tell who the main face of an image is.

        Args:
            image: see :meth:`add`.
            top: how many people to name, best first; each by that of its faces that fits best.
            far: false accept rate of one comparison; one that the model is calibrated for.
            threshold: a cosine to use instead.

        Raises:
            ImageError: the image cannot be read or shows no face.
            LrfaceError: the model carries no threshold for this rate, or the gallery cannot be read.
        """
        encoder = self._needed_encoder
        DecisionRule(encoder, far, threshold, None)  # a rate that the model does not know should come out at once
        return self.search_face(encoder.cropped_face(image), top, far, threshold)

    def search_all(
        self, image: Image, top: int = 5, far: float = SEARCH_FAR, threshold: float | None = None
    ) -> list[tuple[CroppedFace, Answer]]:
        """:meth:`search` for all faces of an image, from left to right; an empty list where there is none."""
        encoder = self._needed_encoder
        DecisionRule(encoder, far, threshold, None)
        return [(cropped, self.search_face(cropped, top, far, threshold)) for cropped in encoder.cropped_faces(image)]

    def search_face(
        self, cropped: CroppedFace, top: int = 5, far: float = SEARCH_FAR, threshold: float | None = None
    ) -> Answer:
        """:meth:`search` for a face that was found before."""
        embedding = self._needed_encoder.embed_crops([cropped.crop], resolutions=[cropped.quality.resolution])[0]
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
        """:meth:`search` for a face that was embedded before.

        Args:
            embedding: float32 ``[dim]``, L2-normalised.
            top, far, threshold: see there.
            resolution: of the face, in pixels of detail (:class:`lrface.faces.quality.Quality`), if known.
            looks: of how many looks of a video this is the template; None: it is one face.
        """
        return search_embedding(self._snapshots, self._encoder, embedding, top, far, threshold, resolution, looks)

    def remove(self, name: str) -> int:
        """Remove a person with all faces, from every file of the gallery.

        Returns:
            How many faces went.

        Raises:
            LrfaceError: nobody is called so.
        """
        with self._lock:
            gone = self._known(name, self._store.remove(checked_name(name)))
        self._builder.purge()
        return gone

    def remove_photo(self, name: str, image: Image) -> int:
        """Remove the faces that a person has of one image, from every file of the gallery; the person goes with the last.

        Args:
            name: whose.
            image: the image, by its content; or the path that it was enrolled from, as answers name it, if no file is
                there any more or it has changed.

        Returns:
            How many faces went.

        Raises:
            LrfaceError: nobody is called so, or the person has no face of this image.
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
        """Call a person ``new``; with ``merge`` into somebody who is called so, who then has the faces of both.

        Returns:
            How many faces the person called ``name`` had.

        Raises:
            NameTakenError: somebody else is called ``new``, and ``merge`` is not set.
            LrfaceError: nobody is called ``name``, or ``new`` is no name.
        """
        with self._lock:
            moved = self._known(name, self._store.rename(checked_name(name), checked_name(new), merge))
        self._builder.purge()  # of an image that both had, one face went
        return moved

    def _known(self, name: str, done: int | None) -> int:
        """What was done. Raises LrfaceError if it is None, because nobody is called so."""
        if done is None:
            near = difflib.get_close_matches(name, [person.name for person in self.people()], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise LrfaceError(f"nobody in {self._store.folder} is called {name}{hint}")
        return done

    def suspects(self, progress: bool = False) -> list[Suspect]:
        """Faces that resemble somebody else more than their own person, or nobody; nothing is changed.

        See :func:`lrface.recognition.gallery.suspects.find_suspects`.
        """
        return find_suspects(self._snapshots, self._needed_encoder, progress)

    def people(self) -> list[Person]:
        """Everybody, by name, with the number of faces."""
        with self._lock:
            return self._store.people()

    def info(self) -> dict[str, Any]:
        """What the gallery is: people, faces, model, index and its recall, sizes on the disk, and the
        risk that a stranger gets some name at the default rate of a search."""
        with self._lock:
            return describe(self._store)

    def check(self) -> list[str]:
        """Look through every file, and compare them; return what is wrong, one line each."""
        with self._lock:
            faults = self._store.check()
        return [*faults, *self._builder.check()]

    @property
    def has_thresholds(self) -> bool:
        """Whether the gallery was opened with a model that carries calibrated thresholds."""
        return self._encoder is not None and bool(self._encoder.thresholds)

    @property
    def encoder(self) -> FaceEncoder | None:
        """The model that the faces are embedded with: of a family that was given, perhaps one member; None without one."""
        return self._encoder

    @property
    def _needed_encoder(self) -> FaceEncoder:
        if self._encoder is None:
            raise LrfaceError("this gallery was opened without a model: open it with an encoder to add or search")
        return self._encoder


def _silent(line: str) -> None:
    """Nobody wants to know."""

"""A gallery of named people: enrol faces, ask who somebody is."""

import difflib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lrface.encoder import FaceEncoder, Image, ImageError
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE_SIZE
from lrface.gallery import base
from lrface.gallery.answers import Answer, Match, Report
from lrface.gallery.builder import Builder
from lrface.gallery.cache import Cache
from lrface.gallery.faces import Look, image_digest, image_name, look, thresholds
from lrface.gallery.index import DamagedIndex
from lrface.gallery.ranking import Candidate, best_people
from lrface.gallery.store import EXACT_LIMIT, NewFace, Person, Store, checked_name

#: False accept rate of one comparison unless another is asked for; a search makes many.
SEARCH_FAR = 0.001

#: A stranger's risk of being given a name, from which on an answer mentions it.
RISK = 0.1

#: The least ``exact_limit``: an approximate index learns from this many faces.
LEAST_LIMIT = 100

#: How many faces go through the network at once.
BATCH = 64


class Gallery:
    """People and their faces in a folder; see :meth:`open`. Threads may share it, and processes may open it at once.

    Embeddings are kept in float16: a cosine is off by some 1e-5, and by less than 5e-4 in any case.
    """

    def __init__(self, store: Store, builder: Builder, encoder: FaceEncoder | None) -> None:
        self._store, self._builder, self._encoder = store, builder, encoder
        self._cache = Cache(store)
        self._lock = threading.RLock()

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
            encoder: the model that its faces are embedded with; only :meth:`people`, :meth:`remove`, :meth:`info` and
                :meth:`check` do without.
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
            store = Store(path)
        else:
            fingerprint, name = encoder.embedder.fingerprint, str(encoder.embedder.card.get("name", "unnamed"))
            blank = np.zeros((TEMPLATE_SIZE, TEMPLATE_SIZE, 3), np.uint8)
            store = Store(path, lambda: (fingerprint, name, encoder.embed_crops([blank]).shape[1]))
        try:
            if encoder is not None and store.meta["model"] != encoder.embedder.fingerprint:
                raise LrfaceError(
                    f"the gallery {path} was made with the model {store.meta['model_name']} "
                    f"({store.meta['model'][:12]}), and this one is {encoder.embedder.fingerprint[:12]}: "
                    "name that model with --model, or enrol the people in a new gallery"
                )
            if exact_limit is not None and store.meta.get("exact_limit", EXACT_LIMIT) != exact_limit:
                store.write_meta("exact_limit", exact_limit)
            return cls(store, Builder(store.folder, notify or _silent), encoder)
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

    def add(self, name: str, images: Iterable[Image]) -> Report:
        """Enrol the main face of each image, all in one transaction.

        Args:
            name: who it is; a person who is there gets more faces.
            images: paths, encoded bytes, or uint8 RGB ``[h, w, 3]``: photos, aligned crops, or tiny native faces.

        Raises:
            LrfaceError: the name is none, the gallery cannot be written, or the detector cannot be had. An image that
                cannot be used is a line of the report.
        """
        return self.add_many((name, image) for image in images)

    def add_many(self, images: Iterable[tuple[str, Image]]) -> Report:
        """Enrol the faces of several people, each image with the person's name, all in one transaction."""
        report, looks, known = Report(), list[tuple[str, bytes, str, Look]](), dict[str, set[bytes]]()
        for given, image in images:
            name, source = checked_name(given), image_name(image)
            if name not in known:
                with self._lock:
                    known[name] = self._store.digests(name)
            try:
                digest = _digest(image)
                if digest in known[name]:
                    report.known += 1
                    continue
                seen = look(self._needed_encoder, image)
            except ImageError as error:
                reason = str(error).replace(f"{source}: ", "").replace(source, "the file")
                report.refused.append((source, reason))
                continue
            known[name].add(digest)
            report.notes += seen.notes
            looks.append((name, digest, source, seen))
        if looks:
            embeddings = self._needed_encoder.embed_crops([seen.crop for *_, seen in looks], BATCH)
            report.added = self._insert(
                [
                    (name, NewFace(row, digest, source, seen.quality))
                    for (name, digest, source, seen), row in zip(looks, embeddings, strict=True)
                ]
            )
            report.known += len(looks) - report.added  # another process was faster
        return report

    def add_embeddings(self, names: Sequence[str], embeddings: np.ndarray, sources: Sequence[str]) -> int:
        """Enrol faces that were embedded elsewhere with the gallery's model, all in one transaction.

        Args:
            names: who each is.
            embeddings: float ``[n, dim]``, L2-normalised.
            sources: where each came from; it names the image, and a person has each once.

        Returns:
            How many are new.

        Raises:
            LrfaceError: the counts or the size of the embeddings are not right, or a row is not of length 1.
        """
        wanted = (len(names), self._store.meta["dim"])
        if embeddings.shape != wanted or len(sources) != len(names):
            raise LrfaceError(
                f"{len(names)} names and {len(sources)} sources want embeddings {wanted}, not {embeddings.shape}"
            )
        rows = np.asarray(embeddings, np.float32)
        if not (abs(np.linalg.norm(rows, axis=1) - 1) < 0.01).all():
            raise LrfaceError("embeddings of a gallery have to be L2-normalised")
        checked = {name: checked_name(name) for name in set(names)}
        return self._insert(
            [
                (checked[name], NewFace(row, image_digest(source.encode()), source))
                for name, row, source in zip(names, rows, sources, strict=True)
            ]
        )

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
        if threshold is not None and not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")
        encoder = self._needed_encoder
        if threshold is None:
            encoder.threshold(far)  # before anything that takes time
        seen = look(encoder, image)
        embedding = encoder.embed_crops([seen.crop])[0]
        return self.search_embedding(embedding, top, far, threshold, seen.quality, seen.notes)

    def search_embedding(
        self,
        embedding: np.ndarray,
        top: int = 5,
        far: float = SEARCH_FAR,
        threshold: float | None = None,
        quality: dict[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> Answer:
        """Tell whose an embedding is: :meth:`search` for a face that was embedded before, float32 ``[dim]``."""

        def limits(faces: Sequence[dict[str, Any] | None]) -> np.ndarray:
            if threshold is not None:
                return np.full(len(faces), threshold)
            return thresholds(self._needed_encoder, far, quality, faces)

        if top < 1:
            raise LrfaceError(f"top {top}: name one person at least")
        with self._snapshot():
            totals = self._store.totals()
            query = np.asarray(embedding, np.float32)
            best = best_people(self._store, self._cache, query, min(top, totals.people), limits)
            matches = tuple(self._match(candidate) for candidate in best)
            method = self._cache.kind
        risk = None if threshold is not None else 1 - (1 - far) ** totals.faces
        told = [*notes]
        if not totals.faces:
            told.append("the gallery is empty")
        if risk is not None and risk > RISK:
            told.append(
                f"a search compares with {totals.faces:,} faces: at a false accept rate of {far:g} each, a stranger gets "
                f"some name with a chance of up to {100 * risk:.0f} %; --far takes a stricter rate"
            )
        name = matches[0].name if matches and matches[0].same else None
        return Answer(
            name, matches, far if threshold is None else None, totals.people, totals.faces, method, risk, tuple(told)
        )

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """A block that sees one state of the database, with an index that fits it."""
        for last in (False, False, True):
            with self._lock, self._store.reading():
                try:
                    self._cache.refresh()
                except DamagedIndex as error:
                    if last:
                        raise LrfaceError(f"the index is damaged time and again: {error}") from error
                    damage = error
                else:
                    yield
                    return
            self._builder.repair(damage)

    def _match(self, best: Candidate) -> Match:
        name, photo = self._store.describe(best.face)
        return Match(name, best.similarity, best.threshold, best.margin > 0, photo)

    def remove(self, name: str) -> int:
        """Remove a person with all faces, from every file of the gallery.

        Returns:
            How many faces went.

        Raises:
            LrfaceError: nobody is called so.
        """
        name = checked_name(name)
        with self._lock:
            gone = self._store.remove(name)
            if gone is None:
                near = difflib.get_close_matches(name, [person.name for person in self.people()], 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise LrfaceError(f"nobody in {self._store.folder} is called {name}{hint}")
        self._builder.purge()
        return gone

    def people(self) -> list[Person]:
        """Everybody, by name, with the number of faces."""
        with self._lock:
            return self._store.people()

    def info(self) -> dict[str, Any]:
        """What the gallery is: people, faces, model, index and its recall, and sizes on the disk."""
        with self._lock, self._store.reading():
            totals, record = self._store.totals(), self._store.read_base()
            meta = self._store.read_meta()
        files = [file for file in self._store.folder.iterdir() if file.is_file()]
        return {
            "folder": str(self._store.folder),
            "people": totals.people,
            "faces": totals.faces,
            "model": meta["model"],
            "model_name": meta["model_name"],
            "dim": meta["dim"],
            "created": meta["created"],
            "exact_limit": totals.exact_limit,
            "index": record and {key: record[key] for key in ("kind", "faces", "bytes", "recall")},
            "bytes": sum(file.stat().st_size for file in files),
        }

    def check(self) -> list[str]:
        """Look through every file, and compare them; return what is wrong, one line each."""
        with self._lock:
            faults = self._store.check()
        return [*faults, *self._builder.check()]

    @property
    def _needed_encoder(self) -> FaceEncoder:
        if self._encoder is None:
            raise LrfaceError("this gallery was opened without a model: open it with an encoder to add or search")
        return self._encoder


def _digest(image: Image) -> bytes:
    try:
        return image_digest(image)
    except LrfaceError as error:
        raise ImageError(str(error)) from error


def _silent(line: str) -> None:
    """Nobody wants to know."""

"""What a gallery asks of the store that keeps its people and faces, whatever database that is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from lrface.errors import LrfaceError

#: Above this number of faces the index is approximate, unless the gallery says otherwise.
EXACT_LIMIT = 100_000


class Damage(Exception):
    """The store holds what no gallery writes. Within ``reading()`` a store turns it into an LrfaceError that says where."""


class NameTakenError(LrfaceError):
    """A person cannot be renamed, because somebody else is called so."""


@dataclass(frozen=True)
class NewFace:
    """A face to enrol.

    Attributes:
        embedding: float32 ``[dim]``, L2-normalised.
        digest: names the image; a person has each image once.
        source: where it came from, for people to read.
        resolution: pixels of detail (:class:`lrface.faces.quality.Quality`); None if unknown.
        recognisability: how much the model can do with it; None if unknown.
        member: name of the model that made the embedding; None if unknown.
        added: when it was enrolled, ISO 8601 in UTC; None: now.
    """

    embedding: np.ndarray
    digest: bytes
    source: str
    resolution: float | None = None
    recognisability: float | None = None
    member: str | None = None
    added: str | None = None


class Face(NamedTuple):
    """A face that is enrolled: its id and its person's, its resolution if known, its embedding as it is stored (float16),
    and how much the model can do with it if known."""

    id: int
    person: int
    resolution: float | None
    embedding: bytes
    recognisability: float | None = None


@dataclass(frozen=True)
class Person:
    """One of the people.

    Attributes:
        name: who.
        faces: how many embeddings.
    """

    name: str
    faces: int


@dataclass(frozen=True)
class Totals:
    """What a snapshot of the gallery holds.

    Attributes:
        people, faces: how many.
        removed: how many faces were ever removed; it tells whether an index may still hold one of them.
        last: the largest id of a face; ids only grow, and none is given twice.
        exact_limit: number of faces above which the index is approximate.
    """

    people: int
    faces: int
    removed: int
    last: int
    exact_limit: int


class IndexReader(Protocol):
    """What proposes faces that may be nearest. Its methods are called within ``reading()`` of its store."""

    @property
    def kind(self) -> str:
        """How it searches: ``exact`` or ``approximate``."""

    def refresh(self) -> None:
        """Take over what was written since the last time.

        Raises:
            DamagedIndex: the index cannot be used.
        """

    def nearest(self, query: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """The ids of the faces that seem nearest, int64, in no order, and whether these are all.

        Args:
            query: float32 ``[dim]``.
            count: how many to propose at least; 0: some.
        """


class IndexBuilder(Protocol):
    """What makes the index of a gallery. It has connections of its own, so that the threads of its process may search and
    add meanwhile; all but ``due`` are called outside ``reading()``."""

    def due(self) -> bool:
        """(r) Whether ``maintain`` has something to do."""

    def maintain(self) -> None:
        """Bring the index up to date, unless another process or thread is at it."""

    def purge(self) -> None:
        """Make sure that the index holds no face that was removed, and that the database has forgotten it."""

    def repair(self, error: Exception) -> None:
        """Make an index again that a reader could not use."""

    def check(self) -> list[str]:
        """Compare the index with the database; return what is wrong, one line each."""


class GalleryStore(Protocol):
    """The people and faces of a gallery: one truth, used by several processes and threads at once.

    Names come checked (:func:`lrface.recognition.gallery.names.checked_name`) and mean the person whose name has the same
    :func:`~lrface.recognition.gallery.names.name_key`; the spelling that was enrolled first is kept. Where an older
    gallery has several such people, the one spelt exactly so counts, else the oldest.

    Every change is one transaction, and is lasting when its method returns: ``insert``, ``remove``, ``remove_photo``,
    ``rename``, ``write_meta``. Methods marked (r) are called within ``reading()`` and see one state; the
    others may be called at any time. All errors that a user can mend are LrfaceErrors.

    Attributes:
        place: where the gallery is, as people may read it: without a password.
        meta: what the gallery said of itself when it was opened: ``model`` (fingerprint), ``model_name``, ``created``,
            ``dim``, ``people``, ``faces``, ``removed``; ``exact_limit`` if one was given; ``copying``, whose copy it is to
            become, until it is whole (:mod:`lrface.recognition.gallery.copy`).
    """

    place: str
    meta: dict[str, Any]

    def close(self) -> None:
        """Close the connection."""

    def index_reader(self) -> IndexReader:
        """What proposes faces to a search."""

    def index_builder(self, notify: Callable[[str], None]) -> IndexBuilder:
        """What makes the index; ``notify`` is told what takes its time, and the recall of an approximate index."""

    def size(self) -> int:
        """Bytes on the disk."""

    def reading(self) -> AbstractContextManager[None]:
        """A block that sees one state of the gallery, whatever others write. Not nested."""

    def totals(self) -> Totals:
        """(r) The counts."""

    def insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        """Enrol faces, each with the name of its person, who is made if need be; an image that the person has stays.

        Returns:
            How many are new.
        """

    def find(self, name: str) -> str | None:
        """How the person of this name is spelt; None if nobody is called so."""

    def rename(self, name: str, new: str, merge: bool = False) -> int | None:
        """Call a person ``new``. If somebody else is called so, ``merge`` the two: ids of faces stay, the spelling is that of
        ``new``'s person, and images that both have count once (the others are removed).

        Returns:
            How many faces the person called ``name`` had; None if nobody is called so.

        Raises:
            NameTakenError: somebody else is called ``new``, and ``merge`` is not set.
        """

    def remove(self, name: str) -> int | None:
        """Remove a person; return how many faces went, or None if nobody is called so."""

    def remove_photo(self, name: str, source: str, digest: bytes | None) -> int | None:
        """Remove the faces of a person that came from an image: those with this digest, else those from this source.

        The person goes with the last face.

        Returns:
            How many faces went, 0 if there is no such image; None if nobody is called so.
        """

    def people(self) -> list[Person]:
        """Everybody, by name."""

    def members(self) -> dict[str, int]:
        """How many faces each model embedded, by its name; empty where the gallery does not say."""

    def digests(self, name: str) -> set[bytes]:
        """The images that a person has; empty if nobody is called so."""

    def owners(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """Image -> the names of the people who have it, for those of the images that somebody has."""

    def ids(self, last: int) -> np.ndarray:
        """(r) The ids of all faces up to ``last``: int64, ascending."""

    def embeddings(self, after: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(r) Ids, int64 ``[n]``, and embeddings, float16 ``[n, dim]``, of the faces ``after < id <= last``, in parts."""

    def records(self, last: int) -> Iterator[list[tuple[str, NewFace]]]:
        """(r) All faces up to ``last`` with the names of their people, in parts, by ascending id."""

    def fetch(self, ids: np.ndarray) -> list[Face]:
        """(r) Those of the faces that there are, by ascending id."""

    def of_people(self, people: Sequence[int]) -> list[Face]:
        """(r) All faces of these people (ids), by ascending id of the face."""

    def sample(self, ids: np.ndarray) -> np.ndarray:
        """(r) The embeddings of some faces, float16 ``[n, dim]``, by ascending id."""

    def describe(self, faces: Sequence[int]) -> list[tuple[str, str]]:
        """(r) For each of these faces (ids) the name of its person, and the source of its image."""

    def read_base(self) -> dict[str, Any] | None:
        """(r) What is recorded of the index: ``kind``, ``faces``, ``bytes``, ``recall`` and more; None if there is none."""

    def read_meta(self) -> dict[str, Any]:
        """What the gallery says of itself now; see ``meta``."""

    def write_meta(self, key: str, value: Any) -> None:
        """Change one of ``read_meta``."""

    def check(self) -> list[str]:
        """Look through the whole database; return what is wrong, one line each."""


class FileStore(GalleryStore, Protocol):
    """A store whose index is a file.

    Attributes:
        folder: where the index files are written, on this machine.
    """

    folder: Path

    def again(self) -> "FileStore":
        """Another connection to the same gallery, for another thread."""

    def forget(self) -> None:
        """Take what was deleted out of every file of the database, as far as that can be done at once."""

    def write_base(self, record: dict[str, Any] | None) -> None:
        """Say which index file counts from now on, in one transaction."""


def as_rows(blobs: Sequence[bytes], dim: int) -> np.ndarray:
    """Stored embeddings as float16 ``[n, dim]``.

    Raises:
        Damage: one has another length, which a whole database does not allow.
    """
    if not all(isinstance(blob, bytes) and len(blob) == 2 * dim for blob in blobs):
        raise Damage("an embedding of another length")
    return np.frombuffer(b"".join(blobs), "<f2").reshape(-1, dim)

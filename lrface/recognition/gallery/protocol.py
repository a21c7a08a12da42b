"""The interface between a gallery and the store of its people and faces, for any database."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from lrface.errors import LrfaceError

#: Default number of faces above which the index is approximate.
EXACT_LIMIT = 100_000


class Damage(Exception):
    """The store has content that no gallery writes. Within ``reading()`` a store turns it into an LrfaceError with the place."""


class NameTakenError(LrfaceError):
    """A person cannot be renamed, because another person has this name."""


@dataclass(frozen=True)
class NewFace:
    """A face to enrol.

    Attributes:
        embedding: float32 ``[dim]``, L2-normalised.
        digest: of the image; a person has each image only once.
        source: of the image, for human readers.
        resolution: pixels of detail (:class:`lrface.faces.quality.Quality`); None if unknown.
        recognisability: see :class:`lrface.faces.quality.Quality`; None if unknown.
        member: name of the model that made the embedding; None if unknown.
    """

    embedding: np.ndarray
    digest: bytes
    source: str
    resolution: float | None = None
    recognisability: float | None = None
    member: str | None = None


class Face(NamedTuple):
    """An enrolled face: its id, its person's id, its resolution if known, its embedding as stored (float16), and its
    recognisability if known."""

    id: int
    person: int
    resolution: float | None
    embedding: bytes
    recognisability: float | None = None


@dataclass(frozen=True)
class Person:
    """One person of the gallery.

    Attributes:
        name: of the person.
        faces: number of embeddings.
    """

    name: str
    faces: int


@dataclass(frozen=True)
class Totals:
    """The counts of one state of the gallery.

    Attributes:
        people, faces: their numbers.
        removed: number of faces ever removed; it shows whether an index may still contain one of them.
        last: the largest id of a face; ids only grow and are never used again.
        exact_limit: number of faces above which the index is approximate.
    """

    people: int
    faces: int
    removed: int
    last: int
    exact_limit: int


class GalleryStore(Protocol):
    """The people and faces of a gallery: the only source of truth, used by several processes and threads at once.

    Names are checked before (:func:`lrface.recognition.gallery.names.checked_name`). A name means the person with the same
    :func:`~lrface.recognition.gallery.names.name_key`; the spelling of the first enrolment is kept. If an older gallery has
    several such people, the exact spelling decides, else the oldest person is taken.

    Every change is one transaction and is durable when its method returns: ``insert``, ``remove``, ``remove_photo``,
    ``rename``, ``write_base``, ``write_meta``. Methods marked (r) must be called within ``reading()`` and see one state; the
    others can be called at any time. All errors that a user can solve are LrfaceErrors.

    Attributes:
        folder: folder of the index files, on this machine.
        meta: the gallery's entries when it was opened: ``model`` (fingerprint), ``model_name``, ``created``, ``dim``,
            ``people``, ``faces``, ``removed``, and ``exact_limit`` if it was set.
    """

    folder: Path
    meta: dict[str, Any]

    def close(self) -> None:
        """Close the connection."""

    def again(self) -> "GalleryStore":
        """Open another connection to the same gallery, for another thread."""

    def reading(self) -> AbstractContextManager[None]:
        """Context that sees one state of the gallery, whatever others write. It cannot be nested."""

    def totals(self) -> Totals:
        """(r) The counts."""

    def insert(self, faces: Sequence[tuple[str, NewFace]]) -> int:
        """Enrol faces, each with the name of its person, who is created if necessary. Images that the person has are skipped.

        Returns:
            Number of new faces.
        """

    def find(self, name: str) -> str | None:
        """The stored spelling of a person's name; None if there is no such person."""

    def rename(self, name: str, new: str, merge: bool = False) -> int | None:
        """Rename a person to ``new``. If another person has this name, ``merge`` the two.

        After a merge the ids of faces are unchanged and the spelling is that of the other person. An image that both had counts
        once; its second face is removed.

        Returns:
            Number of faces that the person called ``name`` had; None if there is no such person.

        Raises:
            NameTakenError: another person is called ``new``, and ``merge`` is not set.
        """

    def remove(self, name: str) -> int | None:
        """Remove a person; returns the number of removed faces, or None if there is no such person."""

    def remove_photo(self, name: str, source: str, digest: bytes | None) -> int | None:
        """Remove a person's faces from an image: those with this digest, or if there are none, those from this source.

        The last face removes the person too.

        Returns:
            Number of removed faces, 0 if there is no such image; None if there is no such person.
        """

    def forget(self) -> None:
        """Erase deleted content from every file of the database, as far as this is possible at once."""

    def people(self) -> list[Person]:
        """All people, by name."""

    def members(self) -> dict[str, int]:
        """The number of faces that each model embedded, by its name; empty if the gallery does not record it."""

    def digests(self, name: str) -> set[bytes]:
        """Digests of a person's images; empty if there is no such person."""

    def owners(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """Image digest -> names of the people with this image. Images that are not enrolled are left out."""

    def ids(self, last: int) -> np.ndarray:
        """(r) The ids of all faces up to ``last``: int64, ascending."""

    def embeddings(self, after: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(r) Ids, int64 ``[n]``, and embeddings, float16 ``[n, dim]``, of the faces ``after < id <= last``, in parts."""

    def fetch(self, ids: np.ndarray) -> list[Face]:
        """(r) Those of the faces that exist, by ascending id."""

    def of_people(self, people: Sequence[int]) -> list[Face]:
        """(r) All faces of these people (ids), by ascending id of the face."""

    def sample(self, ids: np.ndarray) -> np.ndarray:
        """(r) The embeddings of some faces, float16 ``[n, dim]``, by ascending id."""

    def describe(self, face: int) -> tuple[str, str]:
        """(r) The name of a face's person, and the source of its image."""

    def read_base(self) -> dict[str, Any] | None:
        """(r) The record of the current index file, if there is one."""

    def write_base(self, record: dict[str, Any] | None) -> None:
        """Record a new current index file, or None for none."""

    def read_meta(self) -> dict[str, Any]:
        """The gallery's present entries; see ``meta``."""

    def write_meta(self, key: str, value: Any) -> None:
        """Change one of the entries of ``read_meta``."""

    def check(self) -> list[str]:
        """Check the whole database; returns the faults, one line each."""


def as_rows(blobs: Sequence[bytes], dim: int) -> np.ndarray:
    """Stored embeddings as float16 ``[n, dim]``.

    Raises:
        Damage: one has another length, which does not occur in an intact database.
    """
    if not all(isinstance(blob, bytes) and len(blob) == 2 * dim for blob in blobs):
        raise Damage("an embedding of another length")
    return np.frombuffer(b"".join(blobs), "<f2").reshape(-1, dim)

"""What the stores of a gallery have in common: faces asked for by id, and the check of their embeddings."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from lrface.recognition.gallery.protocol import Face

#: Number of rows that are read at once when reading all.
CHUNK = 8192


class StoredFaces(ABC):
    """The faces of a store. Call all methods within ``reading()``."""

    @abstractmethod
    def embeddings(self, after: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See :meth:`lrface.recognition.gallery.protocol.GalleryStore.embeddings`."""

    @abstractmethod
    def _faces(self, column: str, values: list[int]) -> list[Face]:
        """The faces with one of these values in this column, by ascending id."""

    def fetch(self, ids: np.ndarray) -> list[Face]:
        """Those of the faces that exist, by ascending id."""
        return self._faces("id", ids.tolist())

    def of_people(self, people: Sequence[int]) -> list[Face]:
        """All faces of these people, by ascending id of the face."""
        return self._faces("person", list(people))

    def damaged(self, last: int) -> list[str]:
        """A line for each face up to ``last`` whose embedding is not L2-normalised."""
        faults = []
        for ids, rows in self.embeddings(0, last):
            with np.errstate(invalid="ignore"):  # of what is no number
                length = np.linalg.norm(rows.astype(np.float32), axis=1)
            faults += [f"face {face}: its embedding is damaged" for face in ids[~(abs(length - 1) < 0.01)]]
        return faults

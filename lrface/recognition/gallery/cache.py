"""The parts of a gallery in one process: the current index file, and the faces that are not in it.

The database records the current file and the last face in it. Later faces are read from the database and compared exactly. So a
face can be found as soon as any process has enrolled it.
"""

import numpy as np

from lrface.recognition.gallery import base
from lrface.recognition.gallery.index import APPROXIMATE, EXACT, DamagedIndex, Index
from lrface.recognition.gallery.protocol import GalleryStore

#: Number of faces that an exact index proposes at first; these may belong to fewer people than wanted.
_FIRST = 64


class Cache:
    """The indices of one gallery in one process.

    Args:
        store: the database.
    """

    def __init__(self, store: GalleryStore) -> None:
        self._store = store
        self._record: base.Record | None = None
        self._base: Index | None = None
        self._tail: Index | None = None
        self._last = self._removed = 0

    @property
    def kind(self) -> str:
        """How the loaded index searches: ``EXACT`` or ``APPROXIMATE``."""
        return EXACT if self._base is None else self._base.kind

    def nearest(self, query: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """Propose the nearest faces, in no order, and tell whether these are all faces.

        Args:
            query: float32 ``[dim]``.
            count: smallest number of proposals from the file, and from the other faces; 0 for a default.

        Returns:
            int64 ids, and True if they include every face.
        """
        indices = [index for index in (self._base, self._tail) if index is not None]
        counts = [max(count, self._depth if index.kind == APPROXIMATE else _FIRST) for index in indices]
        found = [index.search(query[None], most)[0] for index, most in zip(indices, counts, strict=True)]
        ids = np.unique(np.concatenate(found))
        complete = all(most >= len(index) for index, most in zip(indices, counts, strict=True))
        return ids[ids >= 0], complete

    @property
    def _depth(self) -> int:
        """Number of proposals of an approximate index that must be compared exactly."""
        assert self._record is not None
        return int(self._record["recall"]["depth"])

    def refresh(self) -> None:
        """Load everything written since the last call. Call it within ``store.reading()``.

        Raises:
            DamagedIndex: the current file cannot be used, or lacks too many faces.
        """
        record, totals = self._store.read_base(), self._store.totals()
        if base.overdue(record, totals):
            raise DamagedIndex(f"the index lacks {base.waiting(record, totals):,} faces")
        if (record or {}).get("file") != (self._record or {}).get("file"):
            self._base = base.load(self._store.folder, record) if record else None
            self._record, self._tail = record, None
        if self._tail is None or totals.removed != self._removed:
            self._tail = Index.exact(self._store.meta["dim"])
            self._last = self._record["last"] if self._record else 0
        for ids, rows in self._store.embeddings(self._last, totals.last):
            self._tail.add(ids, rows)
        self._last, self._removed = totals.last, totals.removed

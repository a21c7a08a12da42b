"""The FAISS index of a gallery, exact or approximate, over float16 embeddings. It proposes faces; the database decides.

An *exact* index stores the embeddings and compares with all of them. An *approximate* index rotates them at random and stores 4
bits for every four components (product quantisation, 64 bytes for 512 components). FAISS compares hundreds of thousands of these
in a millisecond. The search then compares the best few hundred exactly. Compared with HNSW and inverted lists on clustered
embeddings (``benchmarks/results/gallery.md``), it is the smallest index and by far the fastest to build. Its recall does not
depend on how the embeddings cluster.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write

EXACT, APPROXIMATE = "exact", "approximate"

#: Number of embeddings for training the quantiser.
TRAINING = 20_480


class DamagedIndex(Exception):
    """An index file cannot be used. It is rebuilt from the database."""


def load_faiss() -> Any:
    """Import the FAISS module.

    Raises:
        LrfaceError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise LrfaceError(
            "a gallery needs FAISS: pip install 'lrface[faiss-cpu]', or 'lrface[faiss-gpu]' for CUDA, never both"
        ) from error
    return faiss


class Index:
    """Embeddings by the ids of their faces.

    Args:
        handle: FAISS's ``IndexIDMap``.
        kind: ``EXACT`` or ``APPROXIMATE``.
    """

    def __init__(self, handle: Any, kind: str) -> None:
        self._handle = handle
        self._scan: Any = None
        self.kind = kind

    @classmethod
    def exact(cls, dim: int) -> "Index":
        """Make an empty exact index."""
        faiss = load_faiss()
        flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        return cls(faiss.IndexIDMap(flat), EXACT)

    @classmethod
    def approximate(cls, training: np.ndarray) -> "Index":
        """Make an empty approximate index whose quantiser is trained on ``training``, float ``[n >= 16, dim]``."""
        faiss = load_faiss()
        dim = training.shape[1]
        rotated = -(-dim // 8) * 8  # the quantiser needs groups of four, and an even number of them
        rotation = faiss.RandomRotationMatrix(dim, rotated)
        rotation.init(5)
        codes = faiss.IndexPQ(rotated, rotated // 4, 4, faiss.METRIC_INNER_PRODUCT)
        codes.pq.cp.min_points_per_centroid = 1  # otherwise FAISS prints warnings about small galleries
        whole = faiss.IndexPreTransform(rotation, codes)
        whole.train(np.ascontiguousarray(training, np.float32))
        return cls(faiss.IndexIDMap(whole), APPROXIMATE)

    @classmethod
    def load(cls, path: Path, kind: str, change: bool = False) -> "Index":
        """Read a file from ``save``. It is mapped into memory unless it has to be changed.

        Raises:
            DamagedIndex: it cannot be read.
        """
        faiss = load_faiss()
        flags = 0 if change else getattr(faiss, "IO_FLAG_MMAP_IFC", 0)
        try:
            if flags:
                _read_ahead(path)
            handle = faiss.read_index(str(path), flags)
            if not isinstance(handle, faiss.IndexIDMap):
                raise DamagedIndex(f"{path} holds another kind of index")
        except (RuntimeError, OSError) as error:
            raise DamagedIndex(f"{path}: {error}") from error
        return cls(handle, kind)

    def save(self, path: Path) -> None:
        """Write the index to a file, atomically."""
        faiss = load_faiss()
        with atomic_write(path) as file:
            faiss.write_index(self._handle, faiss.PyCallbackIOWriter(file.write))

    def __len__(self) -> int:
        return int(self._handle.ntotal)

    def ids(self) -> np.ndarray:
        """The ids of its faces: int64 ``[n]``."""
        ids: np.ndarray = load_faiss().vector_to_array(self._handle.id_map)
        return ids

    def add(self, ids: np.ndarray, rows: np.ndarray) -> None:
        """Add embeddings, float16 ``[n, dim]``, with the ids int64 ``[n]``."""
        if not len(ids):
            return
        self._scan = None
        if self.kind == EXACT:  # the codes are the stored bytes
            self._handle.add_sa_codes(np.ascontiguousarray(rows).view(np.uint8), ids)
        else:
            self._handle.add_with_ids(rows.astype(np.float32), ids)

    def remove(self, ids: np.ndarray) -> None:
        """Remove faces by id; not possible with a mapped file."""
        if len(ids):
            self._scan = None
            self._handle.remove_ids(ids)

    def wrong(self, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The ids of those faces whose codes do not fit their embeddings, float16 ``[n, dim]``; not possible with a mapped file.

        A few places of a code may differ: if two codes are equally good, rounding decides.
        """
        faiss = load_faiss()
        order = np.argsort(self.ids())
        places = order[np.searchsorted(self.ids(), ids, sorter=order)]
        flat = faiss.downcast_index(self._handle.index)
        wanted = rows.view(np.uint8)
        if self.kind == APPROXIMATE:
            wanted = flat.sa_encode(rows.astype(np.float32))
            flat = faiss.downcast_index(flat.index)
        codes = faiss.vector_to_array(flat.codes).reshape(len(self), -1)[places]
        differing: np.ndarray = ids[(codes != wanted).mean(axis=1) > (0 if self.kind == EXACT else 0.25)]
        return differing

    def search(self, queries: np.ndarray, count: int) -> np.ndarray:
        """The ids that seem nearest, best first: int64 ``[n, min(count, len)]``; -1 for missing ones if codes are equal.

        Args:
            queries: float32 ``[n, dim]``.
            count: number of proposals.
        """
        count = min(count, len(self))
        if not count:
            return np.empty((len(queries), 0), np.int64)
        queries = np.ascontiguousarray(queries, np.float32)
        if self.kind == EXACT:
            ids: np.ndarray = self._handle.search(queries, count)[1]
            return ids
        rotation, scan, everything = self._fast()
        places = scan.search(rotation.apply(queries), count)[1]
        ids = np.where(places < 0, -1, everything[places])
        if count == len(self):  # the scan may drop some of several equal codes
            for row in ids:
                row[row < 0] = np.setdiff1d(everything, row)
        return ids

    def _fast(self) -> tuple[Any, Any, np.ndarray]:
        """The rotation, the codes packed for the fast scan, and the ids by position.

        Packed codes are only temporary, because FAISS cannot add to them correctly after one has been removed.
        """
        if self._scan is None:
            faiss = load_faiss()
            whole = faiss.downcast_index(self._handle.index)
            scan = faiss.IndexPQFastScan(faiss.downcast_index(whole.index))
            self._scan = (faiss.downcast_VectorTransform(whole.chain.at(0)), scan, self.ids())
        rotation, scan, ids = self._scan
        return rotation, scan, ids


def _read_ahead(path: Path) -> None:
    """Ask the system to read the whole file at once. FAISS maps it for random access, which is slow page by page from disk."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)

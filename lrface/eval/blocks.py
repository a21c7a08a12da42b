"""Cosine scores of many faces against many, one block at a time, without a score matrix or a second copy of the features.

FAISS's exact search also multiplies in blocks, and keeps the k best scores of each. A protocol needs the rank of every mate, which
can be 50 or 100,000. Searching first and counting afterwards would multiply everything twice. So each block is passed to a visitor
function and then dropped. The products are computed by FAISS if it can use a GPU (``faiss-gpu``), else by numpy's BLAS, which
FAISS uses too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError

#: Cosines that differ by no more than this are a tie. The products of the same two vectors differ in the seventh digit,
#: depending on their position in a matrix. So do the embeddings of one image in two batches.
TIE = 1e-6

#: Rows whose normalised copy is in memory; rows and columns of a block; the same for a block on a GPU.
STRIPE, SIDE, GPU_SIDE = 8192, 1024, 4096

Visit = Callable[[slice, slice, NDArray[np.float32]], None]
Multiply = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


class Features:
    """Embeddings, checked, with their norms. The array itself is not copied.

    Args:
        values: float ``[n, dim]``, of any norm; may be memory-mapped.
        kind: what the embeddings belong to, for errors.

    Raises:
        LrfaceError: no such array, an empty one, or an embedding that is not finite or zero.
    """

    def __init__(self, values: ArrayLike, kind: str) -> None:
        self.values: NDArray[np.floating] = np.asarray(values)
        self.kind = kind
        if self.values.ndim != 2 or self.values.dtype.kind not in "fiu":
            raise LrfaceError(
                f"{kind} embeddings must be numbers [n, dimensions], got {self.values.dtype} {list(self.values.shape)}"
            )
        if not self.values.size:
            raise LrfaceError(f"there are no {kind} embeddings: {list(self.values.shape)}")
        self.norms = np.concatenate(
            [_norms(self.values[start : start + 1024]) for start in range(0, len(self.values), 1024)]
        )
        for wrong, what in ((~np.isfinite(self.norms), "not finite"), (self.norms == 0, "zero")):
            if wrong.any():
                raise LrfaceError(
                    f"{int(wrong.sum())} of {len(self)} {kind} embeddings are {what}, first number {int(wrong.argmax())}"
                )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.values.shape[1]

    def unit(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """L2-normalised rows, float32 ``[len(rows), dim]``."""
        return (self.values[rows] / self.norms[rows, None]).astype(np.float32)


def comparable(probe: Features, gallery: Features) -> None:
    """Raise LrfaceError unless both have the same length of embeddings."""
    if probe.dim != gallery.dim:
        raise LrfaceError(
            f"{probe.kind} embeddings have {probe.dim} dimensions and {gallery.kind} embeddings {gallery.dim}: "
            "they come from different models"
        )


def pair_scores(a: Features, b: Features, rows_a: NDArray[np.int64], rows_b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cosine of each pair of rows, float64 ``[pairs]``. Equal rows give equal scores at any position."""
    scores = np.empty(len(rows_a))
    for start in range(0, len(rows_a), 2048):
        part = slice(start, start + 2048)
        scores[part] = np.einsum("nd,nd->n", a.unit(rows_a[part]), b.unit(rows_b[part]), dtype=np.float64)
    return scores


def each_block(probe: Features, gallery: Features, visit: Visit, device: str = "auto") -> None:
    """Call ``visit(rows, columns, scores)`` once for each block of the matrix of cosines.

    Args:
        probe, gallery: the rows and the columns.
        visit: gets the position of the block and its float32 scores, which it may overwrite. It is called from several
            threads at once.
        device: ``cpu``; ``cuda`` or ``cuda:1``, through ``faiss-gpu``; ``auto`` uses a GPU if FAISS finds one.

    Raises:
        LrfaceError: FAISS finds no such GPU.
    """
    from threadpoolctl import threadpool_info, threadpool_limits

    gpu = find_gpu(device)
    multiply: Multiply
    multiply, side = (_multiply, SIDE) if gpu is None else (_multiply_on(gpu), GPU_SIDE)
    # Several threads work on different blocks, each with a single-threaded BLAS, because processing the scores takes time
    # too. With a GPU there is one thread, because FAISS's resources must not be shared by threads.
    blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    threads = max(blas, default=1) if gpu is None else 1

    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1 if threads > 1 else None, "blas"):
        for first in range(0, len(probe), STRIPE):
            stripe = probe.unit(slice(first, first + STRIPE))

            def column(start: int, stripe: NDArray[np.float32] = stripe, first: int = first) -> None:
                columns = slice(start, min(start + side, len(gallery)))
                faces = gallery.unit(columns)
                for row in range(0, len(stripe), side):
                    part = stripe[row : row + side]
                    visit(slice(first + row, first + row + len(part)), columns, multiply(part, faces))

            for _ in pool.map(column, range(0, len(gallery), side)):
                pass


def find_gpu(device: str) -> int | None:
    """The number of the GPU to use, or None for the CPU; see :func:`each_block`."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise LrfaceError(f"unknown device {device!r}: choose auto, cpu, cuda or cuda:1")
    if kind == "cpu":
        return None
    try:
        import faiss

        count = faiss.get_num_gpus()
    except ImportError:
        count = 0
    wanted = int(number or 0)
    if wanted < count:
        return wanted
    if kind == "auto":
        return None
    raise LrfaceError(
        f"FAISS finds {count} GPUs and {device} is asked for: pip install 'lrface[faiss-gpu]', or use the CPU"
    )


def _multiply(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows @ columns.T


def _multiply_on(gpu: int) -> Multiply:
    import faiss

    resources = faiss.StandardGpuResources()

    def multiply(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = faiss.pairwise_distance_gpu(
            resources, rows, columns, metric=faiss.METRIC_INNER_PRODUCT, device=gpu
        )
        return scores

    return multiply


def _norms(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)  # in float32 the squares of large or small values would overflow or vanish
    return np.sqrt(np.einsum("nd,nd->n", wide, wide))

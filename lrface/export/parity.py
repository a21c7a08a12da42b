"""Checks that an exported model must pass before its file is written."""

from collections.abc import Callable, Sequence

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.eval.lfw import verify_pairs
from lrface.models.embedder import Embedder

#: Minimum cosine between an embedding of the export and that of torch, and between two batch sizes of one export.
LEAST_COSINE = 0.9999
#: Maximum loss of accuracy by int8, as a share of the pairs.
LARGEST_LOSS = 0.003

BATCHES = (1, 64)


def drawn_faces(count: int = max(BATCHES)) -> list[np.ndarray]:
    """Aligned crops of synthetic faces: uint8 RGB ``[112, 112, 3]``."""
    from lrface.data.synthetic import face

    return [face(identity=number, number=0, seed=0) for number in range(count)]


def check_parity(embedder: Embedder, reference: Embedder) -> float:
    """Compare a float32 export with torch, for batches of 1 and of 64 faces.

    Returns:
        The smallest cosine.

    Raises:
        LrfaceError: it is below ``LEAST_COSINE``.
    """
    faces = drawn_faces()
    wanted = reference.embed(faces)
    least = min(_least_cosine(embedder.embed(faces, batch), wanted) for batch in BATCHES)
    _demand(least, "torch's embeddings and the export's")
    return least


def check_batches(embedder: Embedder) -> None:
    """Check that a face's embedding does not depend on its batch.

    Raises:
        LrfaceError: it does.
    """
    faces = drawn_faces()
    alone, together = (embedder.embed(faces, batch) for batch in BATCHES)
    _demand(_least_cosine(alone, together), "embeddings of one face alone and among others")


def check_accuracy(embedder: Embedder, reference: Embedder, pairs: PairSet) -> tuple[float, float]:
    """Compare a quantised model with its original on verification pairs.

    Args:
        embedder: the quantised model.
        reference: the original.
        pairs: the pairs.

    Returns:
        Ten-fold accuracies of the original and of the quantised model, 0 to 1.

    Raises:
        LrfaceError: the quantised model loses more than ``LARGEST_LOSS``.
    """
    before, after = (verify_pairs(model, pairs, progress=True).result.accuracy for model in (reference, embedder))
    if before - after > LARGEST_LOSS:
        raise LrfaceError(
            f"int8 costs {100 * (before - after):.2f} points of accuracy on {len(pairs.same):,} pairs ({pairs.name}): "
            f"{100 * after:.2f} % and {100 * before:.2f} % without; at most {100 * LARGEST_LOSS:g} may be lost, "
            "and nothing was written"
        )
    return before, after


def check_whole(run: Callable[[np.ndarray], np.ndarray], embedder: Embedder) -> float:
    """Compare a graph with built-in preprocessing with lrface's own embeddings of the same crops, at several sizes.

    Args:
        run: the graph: uint8 ``[n, h, w, 3]`` -> embeddings of length 1.
        embedder: the same network with lrface's preprocessing.

    Returns:
        The smallest cosine.

    Raises:
        LrfaceError: it is below ``LEAST_COSINE``, or an embedding does not have length 1.
    """
    faces = drawn_faces()
    size = embedder.preprocessing.input_size
    sets: Sequence[np.ndarray] = [
        np.stack(faces),
        *(face[None] for face in faces[:4]),
        np.stack([face[:90] for face in faces[:3]]),  # wider than high
        np.stack([face[40 : 40 + size, 40 : 41 + size] for face in faces[:3]]),  # about the size of the network's input
        np.stack([face[50:59, 50:61] for face in faces[:3]]),  # smaller
    ]
    least = 1.0
    for crops in sets:
        found = run(crops)
        if not np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4):
            raise LrfaceError("the export's embeddings are not of length one; nothing was written")
        least = min(least, _least_cosine(found, flip_sum(embedder, crops)))
    _demand(least, "lrface's embeddings and those of the graph that does its own preprocessing")
    return least


def _least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (a, b))
    return float(np.einsum("nd,nd->n", a, b).min())


def _demand(cosine: float, what: str) -> None:
    if not cosine >= LEAST_COSINE:  # the form "not >=" also refuses NaN
        raise LrfaceError(f"{what} have a cosine of {cosine:.6f} only, {LEAST_COSINE} is demanded; nothing was written")

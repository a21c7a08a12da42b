"""What an exported model has to pass before it gets its name."""

from collections.abc import Callable, Sequence

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.eval.lfw import verify_pairs
from lrface.models.embedder import Embedder

#: Least cosine between an embedding of the export and torch's, and between two batch sizes of one export.
LEAST_COSINE = 0.9999
#: What int8 may cost, as a share of the pairs.
LARGEST_LOSS = 0.003

BATCHES = (1, 64)


def drawn_faces(count: int = max(BATCHES)) -> list[np.ndarray]:
    """Aligned crops of faces that a program draws: uint8 RGB ``[112, 112, 3]``."""
    from lrface.data.synthetic import face

    return [face(identity=number, number=0, seed=0) for number in range(count)]


def check_parity(embedder: Embedder, reference: Embedder) -> float:
    """Compare float32 exports with torch, one face at a time and 64 together.

    Returns:
        The least cosine.

    Raises:
        LrfaceError: it is below ``LEAST_COSINE``.
    """
    faces = drawn_faces()
    wanted = reference.embed(faces)
    least = min(_least_cosine(embedder.embed(faces, batch), wanted) for batch in BATCHES)
    _demand(least, "torch's embeddings and the export's")
    return least


def check_batches(embedder: Embedder) -> None:
    """See that a face's embedding does not depend on the batch that it is in.

    Raises:
        LrfaceError: it does.
    """
    faces = drawn_faces()
    alone, together = (embedder.embed(faces, batch) for batch in BATCHES)
    _demand(_least_cosine(alone, together), "embeddings of one face alone and among others")


def check_accuracy(embedder: Embedder, reference: Embedder, pairs: PairSet) -> tuple[float, float]:
    """Compare a quantised model with the one that it was made from, on pairs.

    Returns:
        Ten-fold accuracies of the reference and of the quantised model, 0 to 1.

    Raises:
        LrfaceError: the latter is lower by more than ``LARGEST_LOSS``.
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
    """Compare a graph that does its own preprocessing with what lrface makes of the same crops, at several sizes.

    Args:
        run: uint8 ``[n, h, w, 3]`` -> unit embeddings.
        embedder: the same network without.

    Returns:
        The least cosine.

    Raises:
        LrfaceError: it is below ``LEAST_COSINE``, or an embedding is not of length one.
    """
    faces = drawn_faces()
    size = embedder.preprocessing.input_size
    sets: Sequence[np.ndarray] = [
        np.stack(faces),
        *(face[None] for face in faces[:4]),
        np.stack([face[:90] for face in faces[:3]]),  # wider than high
        np.stack([face[40 : 40 + size, 40 : 41 + size] for face in faces[:3]]),  # of about the size of the input
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
    if not cosine >= LEAST_COSINE:  # NaN is not
        raise LrfaceError(f"{what} have a cosine of {cosine:.6f} only, {LEAST_COSINE} is demanded; nothing was written")

"""Embeddings for protocols, at any resolution: of crops in memory, and of faces in files."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.data.prefetch import prefetched_map
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from lrface.data.crop import Settings
    from lrface.data.face_crops import Outcome
    from lrface.data.face_list import FaceList


def flip_sum(
    embedder: Embedder, crops: Sequence[np.ndarray] | np.ndarray, degradation: Degradation | None = None,
    batch_size: int = 64, progress: str | None = None, flip: bool = True,
) -> np.ndarray:  # fmt: skip
    """Compute ``f(x) + f(mirrored x)``, summed before normalisation and then L2-normalised, as usual for LFW.

    Threads reduce and normalise the next crops while the network computes.

    Args:
        embedder: the network f.
        crops: uint8 RGB aligned crops.
        degradation: applied to every crop before the network; None for the crops as they are.
        batch_size: number of crops in one pass of the network.
        progress: name of a progress bar; None for no bar.
        flip: False for ``f(x)`` alone.

    Returns:
        float32 ``[n, dim]``, L2-normalised.

    Raises:
        LrfaceError: there are no crops.
    """
    if not len(crops):
        raise LrfaceError("there are no crops to embed")
    fit = _Fit(degradation, embedder.preprocessing)

    def ready(start: int) -> list[np.ndarray]:
        return _inputs(embedder, [fit(crop) for crop in crops[start : start + batch_size]], flip)

    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool, _bar(len(crops), progress) as bar:
        parts = []
        for inputs in prefetched_map(pool, ready, range(0, len(crops), batch_size), threads + 1):
            parts.append(_embed(embedder, inputs))
            bar.update(len(inputs[0]))
    return np.concatenate(parts)


def embed_list(
    embedder: Embedder,
    faces: "FaceList",
    settings: "Settings",
    degradation: Degradation | None = None,
    flip: bool = True,
    workers: int = 1,
    batch_size: int = 64,
    device: str = "cpu",
    refused: dict[int, str] | None = None,
    progress: str | None = None,
) -> np.ndarray:
    """Embed faces in files. The next faces are decoded, aligned, reduced and normalised while the network computes.

    Args:
        embedder: the network.
        faces: the faces to embed.
        settings: how faces are found and cut; see :func:`lrface.data.face_crops.read_faces`.
        degradation: applied to every crop before the network's own preprocessing; None for the crops as they are.
        flip: sum over a crop and its mirror image, as in :func:`flip_sum`; False for the crop alone.
        workers: processes that decode; 1 is a thread of this process, more are spawned.
        batch_size: number of crops in one pass of the network.
        device: of the detector.
        refused: collects position and reason of each face that cannot be used; its row in the result is NaN. If None,
            such a face is an error.
        progress: name of a progress bar; None for no bar.

    Returns:
        float32 ``[n, dim]``, L2-normalised, in the order of ``faces``.

    Raises:
        LrfaceError: there are no faces, or one cannot be used because it is unreadable or no face is found in it.
    """
    # Imported here, because comparing two photos needs no readers of data sets.
    from lrface.data.face_crops import read_faces

    finish = _Fit(degradation, embedder.preprocessing)

    def ready(outcomes: "list[Outcome]") -> "tuple[list[Outcome], list[np.ndarray]]":
        return outcomes, _inputs(embedder, [outcome for outcome in outcomes if not isinstance(outcome, str)], flip)

    result: np.ndarray | None = None
    reasons: dict[int, str] = {}
    seen = 0
    with (
        closing(read_faces(faces, settings, finish, batch_size, workers, device)) as chunks,
        ThreadPoolExecutor(1) as pool,
        _bar(len(faces), progress) as bar,
    ):
        for outcomes, inputs in prefetched_map(pool, ready, chunks, 2):
            good = [seen + i for i, outcome in enumerate(outcomes) if not isinstance(outcome, str)]
            reasons |= {seen + i: outcome for i, outcome in enumerate(outcomes) if isinstance(outcome, str)}
            seen += len(outcomes)
            if reasons and refused is None:
                raise LrfaceError(_complaint(reasons, seen, len(faces)))
            if good:
                embeddings = _embed(embedder, inputs)
                if result is None:
                    result = np.full((len(faces), embeddings.shape[1]), np.nan, np.float32)
                result[good] = embeddings
            bar.update(len(outcomes))
    if not seen:
        raise LrfaceError("there are no faces to embed")
    if refused is not None:
        refused |= reasons
    return np.full((seen, _dim(embedder)), np.nan, np.float32) if result is None else result


@dataclass(frozen=True)
class _Fit:
    """Brings an aligned crop to uint8 ``[input_size, input_size, 3]``. A class, so that it can be sent to worker processes."""

    degradation: Degradation | None
    preprocessing: Preprocessing

    def __call__(self, crop: np.ndarray) -> np.ndarray:
        return self.preprocessing.fit(self.degradation(crop) if self.degradation else crop)


def _inputs(embedder: Embedder, fitted: list[np.ndarray], flip: bool) -> list[np.ndarray]:
    """The network's input for crops from ``_Fit``, and for their mirror images."""
    if not fitted:
        return []
    pixels = np.stack(fitted)
    return [embedder.preprocessing.batch(side) for side in ((pixels, pixels[:, :, ::-1]) if flip else (pixels,))]


def _embed(embedder: Embedder, inputs: list[np.ndarray]) -> np.ndarray:
    """L2-normalised sum over the inputs."""
    total = embedder.network(inputs[0])
    for other in inputs[1:]:
        total = total + embedder.network(other)
    normalised: np.ndarray = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return normalised


def _dim(embedder: Embedder) -> int:
    """Length of an embedding, found by embedding a blank face."""
    side = embedder.preprocessing.input_size
    return _embed(embedder, _inputs(embedder, [np.zeros((side, side, 3), np.uint8)], False)).shape[1]


def _complaint(reasons: dict[int, str], seen: int, total: int) -> str:
    shown = "; ".join(list(reasons.values())[:3])
    return f"{len(reasons)} of the first {seen} of {total} faces cannot be used: {shown}"


def _bar(total: int, name: str | None) -> Any:
    if name is None:  # importing tqdm takes longer than embedding a face
        return nullcontext(SimpleNamespace(update=lambda count: None))
    from tqdm import tqdm

    return tqdm(total=total, unit="img", desc=name, disable=None)

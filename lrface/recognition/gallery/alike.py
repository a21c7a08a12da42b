"""New faces that are too like a face of somebody else to be another person's."""

from collections.abc import Sequence

import numpy as np

from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery.decision import Alike
from lrface.recognition.gallery.enrol import Found
from lrface.recognition.gallery.names import name_key
from lrface.recognition.gallery.ranking import best_people
from lrface.recognition.gallery.snapshot import Snapshots


def find_alike(
    snapshots: Snapshots, encoder: FaceEncoder, faces: Sequence[Found], rows: np.ndarray
) -> list[tuple[str, str, float] | None]:
    """Look for each new face among those of the gallery and those before it; see :class:`Alike` for what is too like.

    A face that is as like a face of its own person is not too like anybody's. Without thresholds a model cannot tell.

    Args:
        snapshots, encoder: of the gallery.
        faces: to enrol.
        rows: their embeddings, float32 ``[n, dim]``.

    Returns:
        For each face the name of somebody else, the photo, and the similarity; None where there is nobody. Faces before
        it that are too like somebody's do not count.
    """
    if not encoder.thresholds:
        return [None] * len(faces)
    found: list[tuple[str, str, float] | None] = []
    kept: list[int] = []
    store = snapshots.store
    with snapshots.take():
        totals = store.totals()
        for at, (face, row) in enumerate(zip(faces, rows, strict=True)):
            limits = Alike(encoder, face.resolution, totals.faces + len(kept))
            people = best_people(store, snapshots.index, row, min(2, totals.people), limits)
            described = store.describe([best.face for best in people])
            near = [(best.margin, *who, best.similarity) for best, who in zip(people, described, strict=True)]
            details = np.array([faces[other].resolution for other in kept], np.float64)
            for other, limit in zip(kept, limits.thresholds(details).tolist(), strict=True):
                similarity = float(np.clip(rows[other] @ row, -1, 1))
                near.append((similarity - limit, faces[other].name, faces[other].source, similarity))
            near.sort(key=lambda each: -each[0])
            worse = None
            if near and near[0][0] > 0 and name_key(near[0][1]) != name_key(face.name):
                worse = near[0][1:]
            found.append(worse)
            if worse is None:
                kept.append(at)
    return found

"""Checking new faces at enrolment: which of them are too similar to a face of somebody else."""

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
    """Compare each new face with the faces of the gallery and the earlier new ones; :class:`Alike` defines too similar.

    A face that is even more similar to a face of its own person is accepted. Without calibrated thresholds all are accepted.

    Args:
        snapshots, encoder: of the gallery.
        faces: to enrol.
        rows: their embeddings, float32 ``[n, dim]``.

    Returns:
        For each face the other person's name, the photo, and the similarity; None if the face is accepted. Earlier new
        faces that were not accepted are ignored.
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
            near = []
            for best in best_people(store, snapshots.cache, row, min(2, totals.people), limits):
                near.append((best.margin, *store.describe(best.face), best.similarity))
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

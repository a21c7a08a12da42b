"""The top member of a family: a student and the teachers embed sharp faces together.

An embedding of a family with teachers has two parts. The first part lies in the space that all members share. The second part is
the teachers' own space. It is needed because a teacher compares two sharp faces better in its own space than in the space of a
student that sees 16 pixels.

- A sharp face is ``[sqrt(w) c, sqrt(1 - w) o]``. ``o`` is the teachers' own embedding. ``c`` is the normalised sum of two
  embeddings: the student's, of the reduced face, and the teachers', mapped to the student's space
  (:class:`lrface.models.teacher_map.TeacherMap`).
- Any other face is ``[sqrt(v) s, sqrt(1 - v) e]``. ``s`` is the student's embedding. ``e`` is the teachers' own embedding that
  is to be expected: what a linear map predicts of it from ``s``, or the mean of all faces for teachers of which the student can
  tell too little.

``c``, ``o``, ``s`` and ``e`` have unit length, so the embeddings have unit length too. The expectation ``e`` and the weights
``w`` and ``v`` keep the similarities of all kinds of pairs on one scale. The map file holds the weights, which were chosen on
LFW View 1: see benchmarks/results/trials.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrface.models.embedder import Embedder
from lrface.models.teacher_map import TeacherMap, normalised, side_by_side


@dataclass(frozen=True)
class Fusion:
    """Builds the embeddings of a family with teachers.

    Attributes:
        mapping: map from the teachers' embeddings to the students' space.
    """

    mapping: TeacherMap

    @property
    def dim(self) -> int:
        """Length of the embeddings: the student's and the teachers' lengths added."""
        return self.mapping.dim + sum(map(len, self.mapping.centres))

    def students(self, rows: np.ndarray) -> NDArray[np.float32]:
        """Complete the embeddings of faces that only a student has embedded.

        Args:
            rows: float32 ``[n, d]``, L2-normalised.

        Returns:
            float32 ``[n, dim]``, L2-normalised.
        """
        return _join(rows, self.mapping.expected(rows), self.mapping.weights[1])

    def sharp(self, rows: np.ndarray, own: np.ndarray) -> NDArray[np.float32]:
        """Fuse the embeddings of sharp faces.

        Args:
            rows: embeddings of the student, float32 ``[n, d]``, L2-normalised.
            own: embeddings of the teachers from :class:`TeacherNetwork`, float32 ``[n, sum of d_k]``.

        Returns:
            float32 ``[n, dim]``, L2-normalised.
        """
        ends = np.cumsum([len(centre) for centre in self.mapping.centres])[:-1]
        mapped = self.mapping(np.split(own, ends, axis=1))
        return _join(normalised(rows + normalised(mapped)), normalised(own), self.mapping.weights[0])


def _join(shared: np.ndarray, own: np.ndarray, weight: float) -> NDArray[np.float32]:
    return np.concatenate([np.sqrt(weight) * shared, np.sqrt(1 - weight) * own], axis=1).astype(np.float32)


class TeacherNetwork:
    """Teachers as one network on aligned crops.

    Args:
        teachers: in the order of the family's map.
    """

    def __init__(self, teachers: Sequence[Embedder]) -> None:
        self._teachers = teachers

    def __call__(self, batch: np.ndarray) -> NDArray[np.float32]:
        """Embed a batch: float32 ``[n, 3, 112, 112]``, -1 to 1 -> float32 ``[n, sum of d_k]`` of unit length."""
        pixels = np.clip(np.rint(batch * 127.5 + 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        crops = list(np.ascontiguousarray(pixels))
        return side_by_side([teacher.embed(crops, max(len(crops), 1)) for teacher in self._teachers])

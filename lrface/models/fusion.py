"""The top rung of a family: sharp faces embedded by a student and by the teachers together, comparable with all others.

An embedding of a family with a top rung has two halves of equal weight. The first lies in the space that the members share. The
second is the teachers' own: what a teacher says of two sharp faces by itself is worth more than what is left of it in the space of
16 pixels. So

- a sharp face is ``[c, o] / sqrt(2)``: ``c`` is the normalised sum of the student's embedding of the face, reduced, and of the
  teachers' mapped onto the student's space (:class:`lrface.models.teacher_map.TeacherMap`); ``o`` is the teachers' own embedding;
- any other face is ``[s, m] / sqrt(2)``: ``s`` is the student's embedding and ``m`` the mean of the teachers' embeddings, as nobody
  has seen this face as a teacher would.

All parts have unit length, and so have their sums. Two sharp faces are compared by both halves. In all other pairs the second half
is the same for everybody, or nearly so, and the first decides. The mean keeps the similarities of all kinds of pairs on one scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrface.models.embedder import Embedder
from lrface.models.teacher_map import TeacherMap


def unit(rows: np.ndarray) -> NDArray[np.float32]:
    """Rows of unit length, float32 ``[..., d]``."""
    result: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return result


@dataclass(frozen=True)
class Fusion:
    """How embeddings of a family with a top rung are put together.

    Attributes:
        mapping: from the teachers onto the space of the students.
    """

    mapping: TeacherMap

    @property
    def dim(self) -> int:
        """Length of the embeddings: the students' and the teachers' together."""
        return self.mapping.dim + sum(map(len, self.mapping.centres))

    def students(self, rows: np.ndarray) -> NDArray[np.float32]:
        """Complete the embeddings of faces that only a student embeds.

        Args:
            rows: float32 ``[n, d]``, L2-normalised.

        Returns:
            float32 ``[n, dim]``, L2-normalised.
        """
        mean = side_by_side(self.mapping.centres)
        return _halves(rows, np.broadcast_to(mean, (len(rows), len(mean))))

    def sharp(self, rows: np.ndarray, own: np.ndarray) -> NDArray[np.float32]:
        """Fuse the embeddings of sharp faces.

        Args:
            rows: the student's, float32 ``[n, d]``, L2-normalised.
            own: the teachers', as :class:`TeacherNetwork` gives them, float32 ``[n, sum of d_k]``.

        Returns:
            float32 ``[n, dim]``, L2-normalised.
        """
        ends = np.cumsum([len(centre) for centre in self.mapping.centres])[:-1]
        mapped = self.mapping(np.split(own, ends, axis=1))
        return _halves(unit(rows + unit(mapped)), unit(own))


def side_by_side(parts: Sequence[np.ndarray]) -> NDArray[np.float32]:
    """Embeddings of several teachers ``[..., d_k]`` as one of unit length: its cosine is the mean of theirs."""
    return unit(np.concatenate([unit(part) for part in parts], axis=-1))


def _halves(first: np.ndarray, second: np.ndarray) -> NDArray[np.float32]:
    return (np.concatenate([first, second], axis=1) / np.sqrt(2)).astype(np.float32)


class TeacherNetwork:
    """Teachers as one network on aligned crops.

    Args:
        teachers: in the order of the family's map.
    """

    def __init__(self, teachers: Sequence[Embedder]) -> None:
        self._teachers = teachers

    def __call__(self, batch: np.ndarray) -> NDArray[np.float32]:
        """float32 ``[n, 3, 112, 112]``, -1 to 1, to float32 ``[n, sum of d_k]``, of unit length."""
        pixels = np.clip(np.rint(batch * 127.5 + 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        crops = list(np.ascontiguousarray(pixels))
        return side_by_side([teacher.embed(crops, max(len(crops), 1)) for teacher in self._teachers])

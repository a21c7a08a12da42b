"""The map from teachers' embeddings to the embedding space of a family of students.

A student with two teachers has its own embedding space. Their embeddings were joined and projected, then whitened, and the
student lost what is not visible in few pixels. This map leads from the teachers into that space. So more students can be
trained for the same space, and a sharp face embedded by the teachers can be compared with a small face embedded by a student.

A map file is a safetensors file with ``centre.0``, ``centre.1``, ... float32 ``[d_k]``; ``matrix`` float32
``[dim, sum of d_k]``; and ``bias`` float32 ``[dim]``. Its metadata has the teachers' fingerprints and the origin of the map.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrface.errors import LrfaceError
from lrface.files import atomic_write, looked_in

#: Key in the file's metadata.
METADATA = "teacher_map"
FORMAT = 1


@dataclass(frozen=True)
class TeacherMap:
    """Centre each teacher's unit embedding, join them, and apply a linear map.

    Attributes:
        fingerprints: of the teachers, in order; see :class:`lrface.models.embedder.Embedder`.
        centres: for each teacher float32 ``[d_k]``, the mean of its unit embeddings.
        matrix: float32 ``[dim, sum of d_k]``.
        bias: float32 ``[dim]``.
        facts: origin of the map, for human readers.
    """

    fingerprints: tuple[str, ...]
    centres: tuple[NDArray[np.float32], ...]
    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Length of the mapped embeddings."""
        return len(self.bias)

    def __call__(self, parts: Sequence[np.ndarray]) -> NDArray[np.float32]:
        """Map embeddings.

        Args:
            parts: for each teacher float32 ``[..., d_k]``; the vectors may have any norm.

        Returns:
            float32 ``[..., dim]``, not normalised.
        """
        mapped: NDArray[np.float32] = join(parts, self.centres) @ self.matrix.T + self.bias
        return mapped

    def check(self, fingerprints: Sequence[str], where: object) -> None:
        """Raise LrfaceError unless the map, from the file ``where``, was made for these teachers."""
        if tuple(fingerprints) != self.fingerprints:
            wrong = next(
                (i for i, (a, b) in enumerate(zip(fingerprints, self.fingerprints, strict=False)) if a != b), None
            )
            if wrong is None:
                raise LrfaceError(f"{where} was made for {len(self.fingerprints)} teachers, not {len(fingerprints)}")
            raise LrfaceError(
                f"{where} was made for another teacher {wrong + 1}: its fingerprint begins with "
                f"{self.fingerprints[wrong][:12]}, not {fingerprints[wrong][:12]}"
            )

    def save(self, path: str | Path) -> None:
        """Write the map file, atomically. Raises LrfaceError if it cannot be written."""
        from safetensors.numpy import save

        tensors = {f"centre.{number}": centre for number, centre in enumerate(self.centres)}
        tensors |= {"matrix": self.matrix, "bias": self.bias}
        record = {"format": FORMAT, "teachers": list(self.fingerprints), "facts": dict(self.facts)}
        content = save({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()},
                       {METADATA: json.dumps(record)})  # fmt: skip
        with atomic_write(path) as file:
            file.write(content)

    @classmethod
    def load(cls, path: str | Path) -> "TeacherMap":
        """Read a map file.

        Raises:
            LrfaceError: the file is missing, damaged, or not a map file.
        """
        import safetensors

        if not Path(path).is_file():
            raise LrfaceError(f"no teacher map at {path} ({looked_in(path)}): tools/fit_family.py makes one")
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                record = json.loads((file.metadata() or {}).get(METADATA, "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (safetensors.SafetensorError, ValueError) as error:
            raise LrfaceError(f"{path} is not a teacher map that can be read: {error}") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise LrfaceError(f"{path} is not a teacher map of this version")
        return cls._checked(path, record, tensors)

    @classmethod
    def _checked(cls, path: str | Path, record: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> "TeacherMap":
        try:
            teachers = tuple(map(str, record["teachers"]))
            centres = tuple(tensors[f"centre.{number}"] for number in range(len(teachers)))
            matrix, bias = tensors["matrix"], tensors["bias"]
        except (KeyError, TypeError) as error:
            raise LrfaceError(f"{path} is a teacher map that lacks {error}") from error
        width = sum(len(centre) for centre in centres)
        finite = all(np.isfinite(tensor).all() for tensor in (*centres, matrix, bias))
        if matrix.shape != (len(bias), width) or not finite:
            raise LrfaceError(f"{path} is a damaged teacher map: its tensors do not fit each other or are not finite")
        return cls(teachers, centres, matrix, bias, record.get("facts", {}))


def join(parts: Sequence[np.ndarray], centres: Sequence[np.ndarray]) -> NDArray[np.float32]:
    """Join the teachers' embeddings: normalise each, subtract its centre, normalise again, and put them side by side.

    The result is scaled to unit length. Its cosines are the means of the teachers' centred cosines.

    Args:
        parts: for each teacher float32 ``[..., d_k]``.
        centres: for each teacher ``[d_k]``.

    Returns:
        float32 ``[..., sum of d_k]``.
    """
    rows = [normalised(normalised(part) - centre) for part, centre in zip(parts, centres, strict=True)]
    return (np.concatenate(rows, axis=-1) / np.sqrt(len(rows))).astype(np.float32)


def fit_map(
    parts: Sequence[np.ndarray], student: np.ndarray, ridge: float, power: float = 1.0
) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float32], NDArray[np.float32]]:
    """Ridge regression of a student's embeddings on the teachers' embeddings of the same faces.

    Args:
        parts: for each teacher float32 ``[n, d_k]``.
        student: float32 ``[n, dim]``, normalised.
        ridge: regularisation, added to the covariance of the joined embeddings, in units of its mean variance.
        power: exponent of the map's singular values. The regression shrinks directions that the student cannot see well;
            an exponent below 1 restores a part of them for sharp faces.

    Returns:
        Centres, matrix and bias, see :class:`TeacherMap`.
    """
    centres = tuple(normalised(part).mean(0, dtype=np.float64).astype(np.float32) for part in parts)
    x = join(parts, centres).astype(np.float64)
    y = student.astype(np.float64)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    covariance = x.T @ x / len(x)
    scale = float(np.trace(covariance)) / len(covariance)
    matrix = np.linalg.solve(covariance + ridge * scale * np.eye(len(covariance)), x.T @ y / len(x)).T
    if power != 1:
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        lifted = values.max() * (values / values.max()) ** power
        matrix = (left * lifted) @ right
    bias = mean_y - matrix @ mean_x
    return centres, matrix.astype(np.float32), bias.astype(np.float32)


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Scale rows ``[..., dim]`` to unit length."""
    result: np.ndarray = embeddings / np.maximum(np.linalg.norm(embeddings, axis=-1, keepdims=True), 1e-12)
    return result

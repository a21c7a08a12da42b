"""The map from teachers' embeddings to the embedding space of a family of students.

A student with two teachers has its own embedding space. Their embeddings were joined and projected, then whitened, and the
student lost what is not visible in few pixels. This map leads from the teachers into that space. So more students can be
trained for the same space, and a sharp face embedded by the teachers can be compared with a small face embedded by a student.

A map can also lead back: it predicts the teachers' own embedding of a face that only a student has embedded.

A map file is a safetensors file with ``centre.0``, ``centre.1``, ... float32 ``[d_k]``; ``matrix`` float32
``[dim, sum of d_k]``; ``bias`` float32 ``[dim]``; and, where there is a way back, ``back`` float32 ``[sum of d_k, dim + 1]``. Its
metadata has the teachers' fingerprints, the weights of the fusion and the origin of the map.
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

#: Weights of the shared part in the embeddings of a sharp face and of any other; see :mod:`lrface.models.fusion`. They were chosen
#: on LFW View 1 for teachers without a way back: benchmarks/results/trials.md.
WEIGHTS = (0.15, 0.3)


@dataclass(frozen=True)
class TeacherMap:
    """Centre each teacher's unit embedding, join them, and apply a linear map.

    Attributes:
        fingerprints: of the teachers, in order; see :class:`lrface.models.embedder.Embedder`.
        centres: for each teacher float32 ``[d_k]``, the mean of its unit embeddings.
        matrix: float32 ``[dim, sum of d_k]``.
        bias: float32 ``[dim]``.
        facts: origin of the map, for human readers.
        back: float32 ``[sum of d_k, dim + 1]``, an affine map from the students' space to the teachers' own, its last column the
            constant; None: none is known.
        weights: of the shared part, for a sharp face and for any other.
    """

    fingerprints: tuple[str, ...]
    centres: tuple[NDArray[np.float32], ...]
    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)
    back: NDArray[np.float32] | None = None
    weights: tuple[float, float] = WEIGHTS

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

    def expected(self, rows: np.ndarray) -> NDArray[np.float32]:
        """The teachers' own embedding that is to be expected of faces that only a student has embedded.

        Args:
            rows: the students' embeddings, float32 ``[n, dim]``, L2-normalised.

        Returns:
            float32 ``[n, sum of d_k]``, L2-normalised; the mean of all faces if there is no way back.
        """
        if self.back is None:
            mean = side_by_side(self.centres)
            return np.broadcast_to(mean, (len(rows), len(mean)))
        return normalised(rows @ self.back[:, :-1].T + self.back[:, -1])

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
        tensors |= {"matrix": self.matrix, "bias": self.bias} | ({} if self.back is None else {"back": self.back})
        record = {
            "format": FORMAT,
            "teachers": list(self.fingerprints),
            "facts": dict(self.facts),
            "weights": self.weights,
        }
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
            matrix, bias, back = tensors["matrix"], tensors["bias"], tensors.get("back")
            sharp, other = (float(weight) for weight in record.get("weights", WEIGHTS))
        except (KeyError, TypeError, ValueError) as error:
            raise LrfaceError(f"{path} is a teacher map that lacks {error}") from error
        width = sum(len(centre) for centre in centres)
        finite = all(np.isfinite(tensor).all() for tensor in tensors.values())
        fits = matrix.shape == (len(bias), width) and (back is None or back.shape == (width, len(bias) + 1))
        if not fits or not finite:
            raise LrfaceError(f"{path} is a damaged teacher map: its tensors do not fit each other or are not finite")
        return cls(teachers, centres, matrix, bias, record.get("facts", {}), back, (sharp, other))


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
    x, y = join(parts, centres), student
    matrix = ridge_map(x, y, ridge)
    if power != 1:
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        lifted = values.max() * (values / values.max()) ** power
        matrix = (left * lifted) @ right
    bias = y.mean(0, np.float64) - matrix @ x.mean(0, np.float64)
    return centres, matrix.astype(np.float32), bias.astype(np.float32)


def fit_back(parts: Sequence[np.ndarray], student: np.ndarray, ridge: float) -> NDArray[np.float32]:
    """Ridge regression of the teachers' embeddings on a student's embeddings of the same faces.

    Args:
        parts: for each teacher float32 ``[n, d_k]``.
        student: float32 ``[n, dim]``, normalised.
        ridge: regularisation, added to the covariance of the student's embeddings, in units of its mean variance.

    Returns:
        ``back`` of :class:`TeacherMap`.
    """
    own = side_by_side(parts)
    matrix = ridge_map(student, own, ridge)
    return np.column_stack([matrix, own.mean(0, np.float64) - matrix @ student.mean(0, np.float64)]).astype(np.float32)


def ridge_map(x: np.ndarray, y: np.ndarray, ridge: float) -> NDArray[np.float64]:
    """The matrix of a ridge regression of ``y`` on ``x``, both centred.

    Args:
        x: float ``[n, d_x]``.
        y: float ``[n, d_y]``.
        ridge: regularisation, added to the covariance of ``x``, in units of its mean variance.

    Returns:
        float64 ``[d_y, d_x]``.
    """
    x, y = (rows.astype(np.float64) - rows.mean(0, np.float64) for rows in (x, y))
    covariance = x.T @ x / len(x)
    scale = float(np.trace(covariance)) / len(covariance)
    solution: NDArray[np.float64] = np.linalg.solve(
        covariance + ridge * scale * np.eye(len(covariance)), x.T @ y / len(x)
    ).T
    return solution


def side_by_side(parts: Sequence[np.ndarray]) -> NDArray[np.float32]:
    """Concatenate embeddings ``[..., d_k]`` of several teachers to unit length. Its cosine is the mean of their cosines."""
    return normalised(np.concatenate([normalised(part) for part in parts], axis=-1))


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Scale rows ``[..., dim]`` to unit length."""
    result: np.ndarray = embeddings / np.maximum(np.linalg.norm(embeddings, axis=-1, keepdims=True), 1e-12)
    return result

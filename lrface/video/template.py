"""A track's template: the weighted mean of its faces. It is kept as a sum, so that its memory does not grow with the track."""

import numpy as np

from lrface.recognition.template import weigh
from lrface.video.look import Look

#: The weight of a face is its recognisability to the first power, times the detector's score to the second one. Chosen on clips
#: of LFW View 1: ``benchmarks/results/watch.md``.
RECOGNISABILITY_POWER, SCORE_POWER = 1.0, 1.0


def look_weight(look: Look) -> float:
    """The weight of a face in a template; positive."""
    return float(weigh([look.recognisability])[0] ** RECOGNISABILITY_POWER * max(look.score, 0.01) ** SCORE_POWER)


class Template:
    """The weighted mean of embeddings.

    Attributes:
        count: number of faces.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum: np.ndarray | None = None
        self._weights = self._details = 0.0

    def add(self, look: Look) -> None:
        """Add a face to the mean."""
        weight = look_weight(look)
        part = weight * look.embedding.astype(np.float64)
        self._sum = part if self._sum is None else self._sum + part
        self._weights += weight
        self._details += weight * np.log(max(look.detail, 1.0))
        self.count += 1

    def merge(self, other: "Template") -> None:
        """Add all faces of another template to this one."""
        if other._sum is None:
            return
        self._sum = other._sum if self._sum is None else self._sum + other._sum
        self._weights += other._weights
        self._details += other._details
        self.count += other.count

    @property
    def embedding(self) -> np.ndarray:
        """float32 ``[dim]``, L2-normalised.

        Raises:
            ValueError: there is no face.
        """
        if self._sum is None:
            raise ValueError("a template of no looks")
        unit: np.ndarray = (self._sum / max(float(np.linalg.norm(self._sum)), 1e-12)).astype(np.float32)
        return unit

    @property
    def detail(self) -> float:
        """Pixels of detail, the weighted geometric mean over the faces."""
        return float(np.exp(self._details / max(self._weights, 1e-12)))

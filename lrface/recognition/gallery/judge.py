"""Which similarity means the same person."""

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder


class Judge:
    """Says for one probe which similarity means the same person.

    Where the model is calibrated by quality, and the resolutions are known, each face has a threshold of its own: small
    and blurred faces resemble each other, whoever they show.

    Args:
        encoder: the model; not needed for a threshold given by hand.
        far: the false accept rate of one comparison.
        threshold: a cosine for all faces instead.
        resolution: of the probe, in pixels of detail; None if unknown.

    Attributes:
        lowest: no face has a threshold below this one.

    Raises:
        LrfaceError: the model is not calibrated for this rate, the threshold is no cosine, or there is no model.
    """

    def __init__(
        self, encoder: FaceEncoder | None, far: float, threshold: float | None, resolution: float | None
    ) -> None:
        if threshold is not None and not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")
        if threshold is None and encoder is None:
            raise LrfaceError("a gallery that was opened without a model has no thresholds: give one")
        self._far, self._resolution, self._by_hand = far, resolution, threshold is not None
        self._calibration = encoder.calibration if encoder is not None else None
        self._plain = threshold if threshold is not None else encoder.threshold(far)  # type: ignore[union-attr]
        self.lowest = self._plain
        if self._calibration is not None:
            self.lowest = min(self._plain, *self.thresholds(self._calibration.knots).tolist())

    def thresholds(self, resolutions: np.ndarray) -> np.ndarray:
        """Of faces of these resolutions, NaN where unknown: float64 ``[n]``."""
        limits = np.full(len(resolutions), self._plain)
        if self._calibration is not None and self._resolution is not None and not self._by_hand:
            known = ~np.isnan(resolutions)
            limits[known] = self._calibration.threshold(self._far, self._resolution, resolutions[known])
        return limits

    def probability(self, similarity: float, resolution: float | None) -> float | None:
        """Of one person, where as many pairs are of one as of two; None if unknown."""
        if self._calibration is None or self._resolution is None or resolution is None:
            return None
        return float(self._calibration.probability(similarity, self._resolution, resolution))

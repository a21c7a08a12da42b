"""The decision rule: which similarity means the same person, and the risk of a false match."""

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.calibration import Rate, find_rate
from lrface.recognition.encoder import FaceEncoder

#: False accept rate of the threshold above which a new face is too similar to somebody else's, if the model has it.
ALIKE_FAR = 1e-4

#: Upper limit of a stranger's risk of being refused at enrolment as somebody in the gallery.
ALIKE_RISK = 0.01


class DecisionRule:
    """The decision rule for one probe: which similarity means the same person.

    If the model is calibrated by quality and the resolutions are known, each face has its own threshold, because small and
    blurred faces look alike.

    Args:
        encoder: the model; not needed for a threshold that the user gave.
        far: the false accept rate of one comparison.
        threshold: a cosine for all faces instead.
        resolution: of the probe, in pixels of detail; None if unknown.
        looks: of how many looks of a video the probe is the template; None: it is one face.

    Attributes:
        lowest: the smallest threshold of any face.

    Raises:
        LrfaceError: the model is not calibrated for this rate, ``threshold`` is not a cosine, or there is neither a model
            nor a threshold.
    """

    def __init__(
        self, encoder: FaceEncoder | None, far: float, threshold: float | None, resolution: float | None,
        looks: int | None = None,
    ) -> None:  # fmt: skip
        if threshold is not None and not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")
        if threshold is None and encoder is None:
            raise LrfaceError("a gallery that was opened without a model has no thresholds: give one")
        self._far, self._resolution, self._by_hand, self._looks = far, resolution, threshold is not None, looks
        self._calibration = encoder.calibration if encoder is not None else None
        self._rates = encoder.thresholds if encoder is not None else {}
        self._plain = threshold if threshold is not None else encoder.threshold(far)  # type: ignore[union-attr]
        self.lowest = self._plain
        if self._calibration is not None:
            self.lowest = min(self._plain, *self.thresholds(self._calibration.knots).tolist())

    def thresholds(self, resolutions: np.ndarray) -> np.ndarray:
        """The thresholds of faces with these resolutions (NaN if unknown): float64 ``[n]``."""
        limits = np.full(len(resolutions), self._plain)
        if self._calibration is not None and not self._by_hand:
            limits += self._calibration.shift(self._far, self._looks)
        if self._calibration is not None and self._resolution is not None and not self._by_hand:
            known = ~np.isnan(resolutions)
            limits[known] = self._calibration.threshold(self._far, self._resolution, resolutions[known], self._looks)
        return limits

    def rate(self, similarity: float, resolution: float | None) -> Rate | None:
        """The share of strangers that reach a similarity to a face of this resolution; None if the model is not calibrated."""
        if self._calibration is not None and self._resolution is not None and resolution is not None:
            return self._calibration.false_accept_rate(similarity, self._resolution, resolution, self._looks)
        rates = self._rates
        if self._calibration is not None:
            rates = {
                share: limit + float(self._calibration.shift(share, self._looks)) for share, limit in rates.items()
            }
        return find_rate(rates, similarity) if rates else None


class Alike:
    """The rule for a new face: which similarity to somebody else's face is too high for another person.

    It is the threshold for ``ALIKE_FAR``. In a large gallery a stranger's risk would exceed ``ALIKE_RISK``, and the
    threshold is higher. For each further factor of ten in the number of faces it rises by the difference between the
    thresholds for ten times this rate and for this rate.

    Args:
        encoder: the model, with thresholds.
        resolution: of the new face, in pixels of detail; None if unknown.
        faces: number of faces with which it is compared.

    Attributes:
        lowest: the smallest threshold of any face.
    """

    def __init__(self, encoder: FaceEncoder, resolution: float | None, faces: int) -> None:
        known = sorted(encoder.thresholds)
        far = next((rate for rate in known if rate >= ALIKE_FAR * (1 - 1e-9)), known[-1])
        self._strict = DecisionRule(encoder, far, None, resolution)
        loose = min(10 * far, known[-1])
        self._loose = DecisionRule(encoder, loose, None, resolution)
        decades = float(np.log10(loose / far))
        self._steps = max(0.0, float(np.log10(max(faces, 1) * far / ALIKE_RISK))) / decades if decades > 0 else 0.0
        self.lowest = self._strict.lowest

    def thresholds(self, resolutions: np.ndarray) -> np.ndarray:
        """The thresholds of faces with these resolutions (NaN if unknown): float64 ``[n]``."""
        strict = self._strict.thresholds(resolutions)
        return strict + self._steps * np.maximum(strict - self._loose.thresholds(resolutions), 0)

"""What similarities mean: the thresholds in a model's card, for false accept rates."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lrface.errors import LrfaceError
from lrface.faces.calibration import Calibration, interpolation_note, rate_weights
from lrface.faces.quality import Quality


class Calibrated:
    """Something whose card tells what its similarities mean.

    Args:
        card: of a model or a family.
    """

    def __init__(self, card: Mapping[str, Any]) -> None:
        self._card = card

    @property
    def thresholds(self) -> dict[float, float]:
        """The calibrated thresholds: false accept rate -> cosine; empty if the model has none."""
        return {float(far): float(value) for far, value in self._card.get("thresholds", {}).items()}

    @cached_property
    def calibration(self) -> Calibration | None:
        """The meaning of similarities by the quality of both faces; None if the model has no such tables.

        Raises:
            LrfaceError: the model's tables cannot be used.
        """
        return Calibration.from_card(self._card)

    def check_threshold(self, far: float, threshold: float | None = None) -> None:
        """Raise LrfaceError if the model has no threshold for this rate, or the user's threshold is not a cosine."""
        if threshold is None:
            self.threshold(far)
        elif not -1 <= threshold <= 1:
            raise LrfaceError(f"a threshold of {threshold} makes no sense: it is a cosine, -1 to 1")

    def threshold(self, far: float, a: Quality | None = None, b: Quality | None = None) -> float:
        """The cosine threshold for a false accept rate.

        Args:
            far: one of :attr:`thresholds`, or a rate between two of them; then it is interpolated in the logarithm of the rate.
            a, b: quality of the two faces. If the model is calibrated by quality, the threshold depends on their resolutions.
                It is higher for small and blurred faces, because these look alike.

        Raises:
            LrfaceError: the rate lies outside the calibrated ones.
        """
        if self.calibration is not None and a is not None and b is not None:
            return float(self.calibration.threshold(far, a.resolution, b.resolution))
        known = self.thresholds
        if not known:
            raise LrfaceError("this model carries no calibrated thresholds: give one with --threshold")
        weights = rate_weights(known, far)
        if not weights:
            raise LrfaceError(
                f"this model is not calibrated for a false accept rate of {far:g}: "
                f"choose one from {min(known):g} to {max(known):g}, or give a --threshold"
            )
        return sum(weight * known[rate] for rate, weight in weights.items())

    def rate_notes(self, far: float) -> tuple[str, ...]:
        """Remarks on the threshold for a false accept rate: that it is interpolated, or older than the model's last change."""
        return interpolation_note(self.thresholds, far) + adapted_note(self._card)


def adapted_note(card: Mapping[str, Any]) -> tuple[str, ...]:
    """One line if the model was adapted to a camera after its thresholds had been calibrated; see ``lrface adapt``."""
    if "adapted" not in card:
        return ()
    return ("the thresholds were calibrated before the model was adapted to a camera: check them on pairs from it",)

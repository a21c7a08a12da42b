"""A stranger's risk in a gallery: the probability of a false accept in one comparison, applied to many."""

from dataclasses import dataclass

from lrface.faces.calibration import Rate


@dataclass(frozen=True)
class Risk:
    """The probability that a stranger reaches a similarity to somebody in a gallery, if comparisons are independent.

    Attributes:
        chance: 0 to 1.
        bound: ``below`` or ``above``, if the calibration gives only this bound; else None.
    """

    chance: float
    bound: str | None = None


def stranger_risk(far: float, faces: int) -> float:
    """The probability of at least one false accept in this number of comparisons, each with the rate ``far``."""
    return float(1 - (1 - far) ** faces)


def find_risk(rate: Rate, faces: int) -> Risk:
    """The risk of a stranger who is compared with this number of faces."""
    return Risk(stranger_risk(rate.share, faces), rate.bound)


def percent(chance: float, bound: str | None = None) -> str:
    """Format a probability, such as ``1.3 %`` or ``below 0.2 %``. A value close to 1 is never shown as 100 %."""
    if chance > 0.995:
        return "below 100 %" if bound == "below" else "above 99 %"
    text = f"{100 * chance:.2g} %"
    return f"{bound} {text}" if bound else text

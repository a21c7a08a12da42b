"""How far a stranger gets in a gallery: the chance of a false accept in one comparison, carried to many."""

from dataclasses import dataclass

from lrface.faces.calibration import Rate


@dataclass(frozen=True)
class Risk:
    """The chance that a stranger reaches a similarity to somebody of a gallery, if comparisons are independent.

    Attributes:
        chance: 0 to 1.
        bound: ``below`` or ``above``, where the calibration tells no more than that; else None.
    """

    chance: float
    bound: str | None = None


def stranger_risk(far: float, faces: int) -> float:
    """The chance of one false accept or more in so many comparisons, each with the rate ``far``."""
    return float(1 - (1 - far) ** faces)


def find_risk(rate: Rate, faces: int) -> Risk:
    """That of a stranger who is compared with so many faces."""
    return Risk(stranger_risk(rate.share, faces), rate.bound)


def percent(chance: float, bound: str | None = None) -> str:
    """A chance in words, such as ``1.3 %`` or ``below 0.2 %``; what is all but sure is no 100 %."""
    if chance > 0.995:
        return "below 100 %" if bound == "below" else "above 99 %"
    text = f"{100 * chance:.2g} %"
    return f"{bound} {text}" if bound else text

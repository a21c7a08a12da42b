"""What many looks do to a threshold: a template of a video's looks has less noise than one face, and all similarities rise.

Travels in the model's card with the calibration by quality, as ``quality.looks``. ``tools/calibrate_looks.py`` fits it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Key within the calibration's record.
LOOKS_KEY = "looks"


@dataclass(frozen=True)
class LooksShift:
    """How far the threshold of a template lies from that of one face of the same detail.

    Attributes:
        counts: float64 ``[k]``, looks, rising from 1. More looks than the last are taken as that many.
        shifts: share of pairs of different people -> cosine that is added, float64 ``[k]``.
        facts: what it was fitted on, for people.
    """

    counts: NDArray[np.float64]
    shifts: Mapping[float, NDArray[np.float64]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "LooksShift":
        """Read what :meth:`as_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: the record is damaged.
        """
        counts = np.asarray(record["counts"], np.float64)
        shifts = {float(share): np.asarray(row, np.float64) for share, row in record["shifts"].items()}
        if counts.ndim != 1 or any(row.shape != counts.shape or not np.isfinite(row).all() for row in shifts.values()):
            raise ValueError(f"looks: expected {len(counts)} finite numbers a rate")
        return cls(counts, shifts, record.get("facts", {}))

    def as_dict(self) -> dict[str, Any]:
        """As a card holds it."""
        shifts = {f"{share:g}": np.round(row, 4).tolist() for share, row in self.shifts.items()}
        return {"counts": self.counts.tolist(), "shifts": shifts, "facts": dict(self.facts)}

    def of(self, share: float, looks: ArrayLike) -> NDArray[np.float64]:
        """What is added for templates of so many looks, at a share that was fitted, or at the nearest one.

        Args:
            share: of pairs of different people.
            looks: counts, of any shape.
        """
        nearest = min(self.shifts, key=lambda known: abs(np.log(known / share)))
        places = np.log2(np.maximum(np.asarray(looks, np.float64), 1.0))
        shift: NDArray[np.float64] = np.interp(places, np.log2(self.counts), self.shifts[nearest])
        return shift

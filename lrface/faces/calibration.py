"""What a model's similarities mean, given the resolution of both faces. Travels in the model's card as ``quality``.

Small and blurred faces resemble one another, whoever they show, so that one threshold for all accepts almost any two of
them. Here everything depends on a pair of resolutions, in pixels of detail: the worse face's and the better one's. Tables
have a row and a column for each of a few resolutions, and are read by bilinear interpolation in the resolutions'
logarithms. ``tools/calibrate.py`` fits them (:mod:`lrface.eval.quality_tables`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError
from lrface.faces.looks import LOOKS_KEY, LooksShift

#: Two rates are the same one if they differ by no more than this.
_SAME_RATE = 1e-9

#: Key of the model's card.
CARD_KEY = "quality"

FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """Tables over the resolutions ``knots``; the first axis is the worse face's, the second the better one's.

    Attributes:
        knots: float64 ``[k]``, pixels of detail, rising. What lies outside is taken as the nearest of them.
        different: share of pairs of different people -> the similarity that as many of them exceed, float64 ``[k, k]``,
            symmetric.
        same: the same of pairs of one person.
        logistic: float64 ``[2, 4]``: offset and slope of the log-odds of one person, each a bilinear form in 1, l, h,
            l h, where l and h are the resolutions' logarithms, 0 at the first knot and 1 at the last.
        recognisable: float64 ``[k]``, 0 to 1: of the pairs of one person that the model recognises with two faces of the
            last knot at a false accept rate of 1 %, the part that is left when one of them has this resolution.
        facts: what it was fitted on, for people.
        looks: what templates of several looks add to thresholds; None: nobody measured it, and nothing is added.
    """

    knots: NDArray[np.float64]
    different: Mapping[float, NDArray[np.float64]]
    same: Mapping[float, NDArray[np.float64]]
    logistic: NDArray[np.float64]
    recognisable: NDArray[np.float64]
    facts: Mapping[str, Any] = field(default_factory=dict)
    looks: LooksShift | None = None

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> "Calibration | None":
        """Read a model's card; None if it carries no such calibration.

        Raises:
            LrfaceError: it carries one that this version cannot use.
        """
        record = card.get(CARD_KEY)
        if record is None:
            return None
        if not isinstance(record, Mapping) or record.get("format") != FORMAT:
            raise LrfaceError("the model's calibration by quality is of another version of lrface")
        try:
            count = len(record["knots"])
            return cls(
                _table(record["knots"], count),
                {float(share): _table(table, count, count) for share, table in record["different"].items()},
                {float(share): _table(table, count, count) for share, table in record["same"].items()},
                _table(record["logistic"], 2, 4),
                _table(record["recognisable"], count),
                record.get("facts", {}),
                LooksShift.from_dict(record[LOOKS_KEY]) if LOOKS_KEY in record else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LrfaceError(f"the model's calibration by quality is damaged: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """As a card holds it."""
        record = {
            "format": FORMAT,
            "knots": _rounded(self.knots),
            "different": {f"{share:g}": _rounded(table) for share, table in self.different.items()},
            "same": {f"{share:g}": _rounded(table) for share, table in self.same.items()},
            "logistic": _rounded(self.logistic),
            "recognisable": _rounded(self.recognisable),
            "facts": dict(self.facts),
        }
        return record if self.looks is None else record | {LOOKS_KEY: self.looks.as_dict()}

    def threshold(
        self, far: float, a: ArrayLike, b: ArrayLike, looks: ArrayLike | None = None, other: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The cosine that a share ``far`` of pairs of different people exceeds.

        Args:
            far: a share from the smallest of ``different`` to the largest; see :func:`rate_weights`.
            a, b: resolutions of the two faces in pixels, of shapes that fit each other.
            looks, other: of how many looks of a video the first and the second one are the template; None: one face.

        Raises:
            LrfaceError: the rate lies outside.
        """
        weights = rate_weights(self.different, far)
        if not weights:
            raise LrfaceError(f"this model is not calibrated for a false accept rate of {far:g}")
        tables = [weight * self.different[rate] for rate, weight in weights.items()]
        limit = self._read(np.sum(tables, axis=0), a, b)
        return limit + self.shift(far, looks) + self.shift(far, other)

    def probability(self, similarity: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
        """The probability that the two are one person, where as many pairs are of one person as of two.

        It rises with the similarity, whatever the resolutions.

        Args:
            similarity: cosine.
            a, b: resolutions of the two faces in pixels.
        """
        offset, slope = np.moveaxis(bilinear_terms(self._place(a), self._place(b)) @ self.logistic.T, -1, 0)
        odds = offset + np.maximum(slope, 0.0) * np.asarray(similarity, np.float64)
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
        return probability

    def false_accept_rate(self, similarity: float, a: float, b: float, looks: int | None = None) -> "Rate":
        """How many pairs of different people are at least so similar; see :func:`find_rate`.

        Args:
            similarity: cosine.
            a, b: resolutions of the two faces in pixels.
            looks: of how many looks of a video the first one is the template; None: one face.
        """
        limits = {
            share: float(self._read(table, a, b) + self.shift(share, looks)) for share, table in self.different.items()
        }
        return find_rate(limits, similarity)

    def recognisability(self, resolution: float) -> float:
        """How much the model can do with a face, 0 to 1; see ``recognisable``. Falls to 0 at one pixel."""
        places = np.concatenate([[0.0], np.log2(self.knots)])
        return float(np.interp(np.log2(max(resolution, 1.0)), places, np.concatenate([[0.0], self.recognisable])))

    def quantiles(self, kind: str, a: float, b: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The distribution of similarities at two resolutions.

        Args:
            kind: ``same`` or ``different``.
            a, b: resolutions of the two faces in pixels.

        Returns:
            Shares of pairs that lie below, rising, and the similarities; both float64 ``[n]``.
        """
        tables = self.same if kind == "same" else self.different
        above = sorted(tables, reverse=True)
        values = np.array([float(self._read(tables[share], a, b)) for share in above])
        return 1 - np.array(above), np.maximum.accumulate(values)

    def shift(self, share: float, looks: ArrayLike | None) -> NDArray[np.float64]:
        """What is added to a threshold for the template of so many looks; 0 for one face, or where nobody measured it."""
        return np.zeros(()) if looks is None or self.looks is None else self.looks.of(share, looks)

    def _place(self, resolution: ArrayLike) -> NDArray[np.float64]:
        """0 at the first knot, 1 at the last, in logarithms."""
        ends = np.log2(self.knots[[0, -1]])
        logs = np.log2(np.clip(np.asarray(resolution, np.float64), self.knots[0], self.knots[-1]))
        place: NDArray[np.float64] = (logs - ends[0]) / (ends[1] - ends[0])
        return place

    def _read(self, table: NDArray[np.float64], a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
        value: NDArray[np.float64] = np.einsum(
            "...i,...j,ij->...", hat_weights(a, self.knots), hat_weights(b, self.knots), table
        )
        return value


def rate_weights(rates: Iterable[float], far: float) -> dict[float, float]:
    """How the threshold for a rate is made from those that were calibrated.

    Args:
        rates: that were calibrated.
        far: the rate that is asked for.

    Returns:
        Rate -> weight, the sum 1: one rate if it is calibrated, else its two neighbours, weighted linearly in the
        logarithm of the rate. Empty if the rate lies outside.
    """
    known = sorted(rates)
    for rate in known:
        if abs(rate - far) <= _SAME_RATE:
            return {rate: 1.0}
    for below, above in pairwise(known):
        if 0 < below < far < above:
            share = math.log(far / below) / math.log(above / below)
            return {below: 1 - share, above: share}
    return {}


@dataclass(frozen=True)
class Rate:
    """A share of pairs of different people that reach a similarity.

    Attributes:
        share: 0 to 1.
        bound: ``below`` where the share is smaller than this one, the smallest that was calibrated; ``above`` where it is
            larger than the largest; else None.
    """

    share: float
    bound: str | None = None


def find_rate(thresholds: Mapping[float, float], similarity: float) -> Rate:
    """The share of pairs of different people that reach a similarity: thresholds read the other way round.

    Between two calibrated shares it is interpolated linearly in the logarithm of the share.

    Args:
        thresholds: share -> the similarity that as many pairs exceed; one at least.
        similarity: cosine.
    """
    shares = sorted(thresholds, reverse=True)
    limits = np.maximum.accumulate([thresholds[share] for share in shares])
    if similarity <= limits[0]:
        return Rate(shares[0], "above")
    if similarity > limits[-1]:
        return Rate(shares[-1], "below")
    return Rate(float(np.exp(np.interp(similarity, limits, np.log(shares)))))


def interpolation_note(rates: Iterable[float], far: float, what: str = "a false accept rate of") -> tuple[str, ...]:
    """A line that says so where the threshold for a rate was interpolated; none where it was calibrated."""
    used = list(rate_weights(rates, far))
    if len(used) < 2:
        return ()
    return (f"no threshold was calibrated for {what} {far:g}: it is interpolated between {used[0]:g} and {used[1]:g}",)


def hat_weights(resolution: ArrayLike, knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of linear interpolation in the logarithm, float64 ``[..., k]``: two neighbours' at most, their sum 1."""
    logs, places = np.log2(np.clip(np.asarray(resolution, np.float64), knots[0], knots[-1])), np.log2(knots)
    left = np.clip(np.searchsorted(places, logs, side="right") - 1, 0, len(knots) - 2)
    share = (logs - places[left]) / (places[left + 1] - places[left])
    columns = np.arange(len(knots))
    weights: NDArray[np.float64] = (columns == left[..., None]) * (1 - share[..., None])
    return weights + (columns == left[..., None] + 1) * share[..., None]


def bilinear_terms(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, l, h, l h of the lower and the higher of two places: float64 ``[..., 4]``."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.stack([np.ones_like(low), low, high, low * high], axis=-1)


def _table(values: Any, *shape: int) -> NDArray[np.float64]:
    table = np.asarray(values, np.float64)
    if table.shape != shape or not np.isfinite(table).all():
        raise ValueError(f"expected {list(shape)} finite numbers, not {list(table.shape)}")
    return table


def _rounded(table: NDArray[np.float64]) -> Any:
    return np.round(table, 4).tolist()

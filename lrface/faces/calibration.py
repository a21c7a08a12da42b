"""Calibration: what a model's similarities mean, given the resolution of both faces.

Small and blurred faces of different people resemble one another. With one threshold for all faces, almost any two of them
would be accepted.
So every table here depends on a pair of resolutions in pixels of detail: that of the worse face and that of the better
one. A table has a row and a column for each of a few resolutions. It is read by bilinear interpolation in the logarithms
of the resolutions. ``tools/calibrate.py`` fits the tables (:mod:`lrface.eval.quality_tables`), and the model's card holds
them as ``quality``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrface.errors import LrfaceError

#: Two rates count as equal if they differ by no more than this.
_SAME_RATE = 1e-9

#: Key of the model's card.
CARD_KEY = "quality"

FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """Tables over the resolutions ``knots``. The first axis is the worse face's resolution, the second the better one's.

    Attributes:
        knots: float64 ``[k]``, pixels of detail, rising. A resolution outside is treated as the nearest knot.
        different: for pairs of different people: share of pairs -> the similarity that this share exceeds, float64
            ``[k, k]``, symmetric.
        same: the same for pairs of one person.
        logistic: float64 ``[2, 4]``: offset and slope of the log-odds that both faces are one person. Each is a bilinear
            form in 1, l, h, l h. l and h are the logarithms of the lower and the higher resolution, scaled to 0 at the
            first knot and 1 at the last.
        recognisable: float64 ``[k]``, 0 to 1. Take the pairs of one person that the model recognises at a false accept
            rate of 1 % when both faces have the resolution of the last knot. The number is the part of them that it still
            recognises when one face has the resolution of this knot.
        facts: what the tables were fitted on, for human readers.
    """

    knots: NDArray[np.float64]
    different: Mapping[float, NDArray[np.float64]]
    same: Mapping[float, NDArray[np.float64]]
    logistic: NDArray[np.float64]
    recognisable: NDArray[np.float64]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> "Calibration | None":
        """Read the calibration from a model's card; None if the card has none.

        Raises:
            LrfaceError: the calibration is damaged or belongs to another version of lrface.
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
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LrfaceError(f"the model's calibration by quality is damaged: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """The tables as plain numbers, rounded to four decimals, as a card holds them."""
        return {
            "format": FORMAT,
            "knots": _rounded(self.knots),
            "different": {f"{share:g}": _rounded(table) for share, table in self.different.items()},
            "same": {f"{share:g}": _rounded(table) for share, table in self.same.items()},
            "logistic": _rounded(self.logistic),
            "recognisable": _rounded(self.recognisable),
            "facts": dict(self.facts),
        }

    def threshold(self, far: float, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
        """The cosine that a share ``far`` of the pairs of different people exceeds.

        Args:
            far: a false accept rate between the smallest and the largest rate in ``different``; see :func:`rate_weights`.
            a, b: resolutions of the two faces in pixels of detail; their shapes must broadcast.

        Returns:
            float64 in the broadcast shape of ``a`` and ``b``.

        Raises:
            LrfaceError: ``far`` lies outside the calibrated rates.
        """
        weights = rate_weights(self.different, far)
        if not weights:
            raise LrfaceError(f"this model is not calibrated for a false accept rate of {far:g}")
        tables = [weight * self.different[rate] for rate, weight in weights.items()]
        return self._read(np.sum(tables, axis=0), a, b)

    def probability(self, similarity: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
        """The probability that two faces show one person, if pairs of one person and of two are equally frequent.

        The probability rises with the similarity at every pair of resolutions.

        Args:
            similarity: cosine.
            a, b: resolutions of the two faces in pixels of detail; all three shapes must broadcast.

        Returns:
            float64, 0 to 1, in the broadcast shape.
        """
        offset, slope = np.moveaxis(bilinear_terms(self._place(a), self._place(b)) @ self.logistic.T, -1, 0)
        odds = offset + np.maximum(slope, 0.0) * np.asarray(similarity, np.float64)
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
        return probability

    def false_accept_rate(self, similarity: float, a: float, b: float) -> "Rate":
        """The share of pairs of different people that are at least this similar; see :func:`find_rate`.

        Args:
            similarity: cosine.
            a, b: resolutions of the two faces in pixels of detail.
        """
        return find_rate({share: float(self._read(table, a, b)) for share, table in self.different.items()}, similarity)

    def recognisability(self, resolution: float) -> float:
        """How well the model can recognise a face of this resolution, 0 to 1; see ``recognisable``. It is 0 at one pixel."""
        places = np.concatenate([[0.0], np.log2(self.knots)])
        return float(np.interp(np.log2(max(resolution, 1.0)), places, np.concatenate([[0.0], self.recognisable])))

    def quantiles(self, kind: str, a: float, b: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The distribution of similarities at two resolutions.

        Args:
            kind: ``same`` or ``different``.
            a, b: resolutions of the two faces in pixels of detail.

        Returns:
            The shares of pairs that lie below each similarity, rising, and these similarities; both float64 ``[n]``.
        """
        tables = self.same if kind == "same" else self.different
        above = sorted(tables, reverse=True)
        values = np.array([float(self._read(tables[share], a, b)) for share in above])
        return 1 - np.array(above), np.maximum.accumulate(values)

    def _place(self, resolution: ArrayLike) -> NDArray[np.float64]:
        """Position of a resolution on a logarithmic scale: 0 at the first knot, 1 at the last."""
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
    """Weights of the calibrated rates that make up the threshold for any rate.

    Args:
        rates: the calibrated rates.
        far: the wanted rate.

    Returns:
        Rate -> weight; the weights sum to 1. One rate if ``far`` is calibrated, else its two neighbours, weighted
        linearly in the logarithm of the rate. Empty if ``far`` lies outside the calibrated rates.
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
    """The share of pairs of different people that reach a similarity.

    Attributes:
        share: 0 to 1.
        bound: ``below`` if the true share is smaller than ``share``, the smallest calibrated one; ``above`` if it is
            larger than the largest calibrated one; else None.
    """

    share: float
    bound: str | None = None


def find_rate(thresholds: Mapping[float, float], similarity: float) -> Rate:
    """Find the share of pairs of different people that reach a similarity: the inverse of a threshold table.

    Between two calibrated shares the result is interpolated linearly in the logarithm of the share.

    Args:
        thresholds: share -> the similarity that this share of pairs exceeds; at least one entry.
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
    """One line that says that the threshold for a rate was interpolated; empty if the rate is calibrated."""
    used = list(rate_weights(rates, far))
    if len(used) < 2:
        return ()
    return (f"no threshold was calibrated for {what} {far:g}: it is interpolated between {used[0]:g} and {used[1]:g}",)


def hat_weights(resolution: ArrayLike, knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of linear interpolation in the logarithm, float64 ``[..., k]``: at most two neighbours, their sum is 1."""
    logs, places = np.log2(np.clip(np.asarray(resolution, np.float64), knots[0], knots[-1])), np.log2(knots)
    left = np.clip(np.searchsorted(places, logs, side="right") - 1, 0, len(knots) - 2)
    share = (logs - places[left]) / (places[left + 1] - places[left])
    columns = np.arange(len(knots))
    weights: NDArray[np.float64] = (columns == left[..., None]) * (1 - share[..., None])
    return weights + (columns == left[..., None] + 1) * share[..., None]


def bilinear_terms(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The terms 1, l, h, l h, where l is the lower and h the higher of two positions: float64 ``[..., 4]``."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.stack([np.ones_like(low), low, high, low * high], axis=-1)


def _table(values: Any, *shape: int) -> NDArray[np.float64]:
    table = np.asarray(values, np.float64)
    if table.shape != shape or not np.isfinite(table).all():
        raise ValueError(f"expected {list(shape)} finite numbers, not {list(table.shape)}")
    return table


def _rounded(table: NDArray[np.float64]) -> Any:
    return np.round(table, 4).tolist()

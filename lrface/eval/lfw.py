"""Verification on LFW and similar sets: one model, one set of pairs, at one resolution or across resolutions."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.eval.verification import VerificationResult, evaluate
from lrface.faces.degrade import Degradation
from lrface.models.embedder import Embedder
from lrface.models.family import Family

Mode = Literal["lr-lr", "hr-lr", "hr-hr"]


@dataclass(frozen=True)
class Row:
    """One line of a results table.

    Attributes:
        pair_set: name of the pairs.
        alignment: how the crops were made.
        mode: which sides of a pair were reduced.
        operator: name of the reduction, or ``none``.
        result: the scores.
        flip: whether embeddings were summed over a crop and its mirror image.
    """

    pair_set: str
    alignment: str
    mode: str
    operator: str
    result: VerificationResult
    flip: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        facts = {"pair_set": self.pair_set, "alignment": self.alignment, "mode": self.mode, "operator": self.operator}
        return facts | {"flip": self.flip} | self.result.as_dict()


def verify_pairs(
    embedder: Embedder,
    pairs: PairSet,
    degradation: Degradation | None = None,
    mode: Mode = "lr-lr",
    hr_embedder: Embedder | None = None,
    thresholds: Literal["grid", "exact"] = "grid",
    progress: bool = False,
    flip: bool = True,
) -> Row:
    """Run the ten-fold protocol.

    Args:
        embedder: the model.
        pairs: the set.
        degradation: applied to images of the low-resolution side before the model's own preprocessing. A 16 px student
            reduces any crop by itself; a 112 px model gets the reduced face enlarged again.
        mode: ``lr-lr`` reduces both images of a pair, ``hr-lr`` only the second, ``hr-hr`` none.
        hr_embedder: model of the high-resolution side in ``hr-lr``, such as the student's teacher; by default
            ``embedder``.
        thresholds: see :func:`lrface.eval.verification.evaluate`.
        progress: show a progress bar.
        flip: sum embeddings over a crop and its mirror image, as usual for LFW; False for the crop alone.

    Raises:
        LrfaceError: ``hr-lr`` without a degradation, or two models with embeddings of different lengths.
    """
    if mode == "hr-lr" and degradation is None:
        raise LrfaceError("hr-lr needs a low-resolution side: say which with --side")
    label = pairs.name if progress else None
    if mode == "hr-lr":
        check_comparable(hr_embedder or embedder, embedder)
        first = _embed_used(hr_embedder or embedder, pairs, pairs.a, None, label, flip)
        second = _embed_used(embedder, pairs, pairs.b, degradation, label, flip)
    else:
        both = np.stack([pairs.a, pairs.b])
        first, second = _embed_used(embedder, pairs, both, None if mode == "hr-hr" else degradation, label, flip)
    operator = "none" if mode == "hr-hr" or degradation is None else degradation.name
    result = evaluate(first, second, np.asarray(pairs.same), thresholds=thresholds)
    return Row(pairs.name, pairs.alignment, mode, operator, result, flip)


def check_comparable(high: Embedder | Family, low: Embedder | Family) -> None:
    """Raise LrfaceError if the embeddings of two models differ in length."""
    if high is not low and high.dim != low.dim:
        raise LrfaceError(f"the two models' embeddings cannot be compared: {high.dim} and {low.dim} dimensions")


def _embed_used(
    embedder: Embedder, pairs: PairSet, at: np.ndarray, degradation: Degradation | None, label: str | None, flip: bool
) -> np.ndarray:
    """Embeddings of the images at the positions ``at``, ``[*at.shape, dim]``. Each image is embedded once."""
    used, back = np.unique(at, return_inverse=True)
    embeddings = flip_sum(embedder, [pairs.images[i] for i in used], degradation, progress=label, flip=flip)
    return embeddings[back.reshape(at.shape)]


def table(rows: list[Row]) -> str:
    """Format rows as a plain-text table."""
    import pandas as pd

    lines = [
        {
            "pairs": row.pair_set,
            "mode": row.mode,
            "operator": row.operator,
            "accuracy %": f"{100 * row.result.accuracy:.2f} ± {100 * row.result.std:.2f}",
            "AUC": f"{row.result.auc:.4f}",
            "EER %": f"{100 * row.result.eer:.2f}",
            **{f"TAR@{far:g}": _percent(tar) for far, tar in row.result.tar_at_far.items()},
        }
        for row in rows
    ]
    return pd.DataFrame(lines).to_string(index=False)


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"

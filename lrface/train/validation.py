"""Choosing the best epoch and calibrating thresholds, on pairs whose figures are never reported."""

from pathlib import Path

import numpy as np

from lrface.data.sets.pair_set import PairSet, from_store
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.eval.verification import FARS, VerificationResult, evaluate, threshold_at_far
from lrface.models.embedder import Embedder
from lrface.train.batches import Pictures
from lrface.train.recipe import Recipe
from lrface.train.split import Split, draw_pairs

#: Maximum number of impostor pairs from which thresholds are computed.
IMPOSTORS = 2_000_000


def validation_pairs(recipe: Recipe, store: Store, split: Split, root: Path) -> PairSet | None:
    """The validation pairs of a recipe: from files over another store, or drawn from held-out identities; None if neither.

    Raises:
        LrfaceError: the named store or files are wrong.
    """
    section = recipe.validation
    if section.images:
        if not section.pairs:
            raise LrfaceError("validation.images needs validation.pairs, files with pairs over those images")
        return from_store(root / section.images, [root / file for file in section.pairs])
    if not len(split.holdout):
        return None
    a, b, same = draw_pairs(split.holdout_labels, section.pairs_per_kind)
    return PairSet(pixels(recipe, store, split.holdout), a, b, same, "held-out identities", "as trained")


def validate(embedder: Embedder, pairs: PairSet) -> VerificationResult:
    """Evaluate a model on pairs with the ten-fold protocol."""
    embeddings = flip_sum(embedder, pairs.images, batch_size=256)
    return evaluate(embeddings[pairs.a], embeddings[pairs.b], pairs.same)


def calibrate(
    embedder: Embedder, recipe: Recipe, store: Pictures, split: Split, pairs: PairSet | None
) -> dict[str, float]:
    """Cosine thresholds by false accept rate, as a model's card holds them.

    All pairs of different held-out identities are used; without held-out identities, the different pairs of ``pairs``. A
    rate is left out if there are too few pairs for it.
    """
    if len(split.holdout):
        embeddings = flip_sum(embedder, pixels(recipe, store, split.holdout), batch_size=256)
        scores = _impostor_scores(embeddings, split.holdout_labels)
    elif pairs is not None:
        embeddings = flip_sum(embedder, pairs.images, batch_size=256)
        scores = np.einsum("nd,nd->n", embeddings[pairs.a], embeddings[pairs.b])[~pairs.same]
    else:
        return {}
    return {f"{far:g}": threshold_at_far(scores, far) for far in FARS if far * len(scores) >= 1}


def _impostor_scores(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Similarities of pairs of different identities, float32 ``[n]``; a fixed sample if there are very many."""
    total = len(labels) * (len(labels) - 1) // 2
    if total <= IMPOSTORS:
        a, b = np.triu_indices(len(labels), 1)
    else:
        a, b = np.random.default_rng(0).integers(len(labels), size=(2, IMPOSTORS))
    different = labels[a] != labels[b]
    a, b = a[different], b[different]
    chunks = [slice(start, start + 100_000) for start in range(0, len(a), 100_000)]
    return np.concatenate([np.einsum("nd,nd->n", embeddings[a[chunk]], embeddings[b[chunk]]) for chunk in chunks])


def pixels(recipe: Recipe, store: Pictures, images: np.ndarray) -> list[np.ndarray]:
    """The images of a store at the resolution that the recipe's network uses, uint8 RGB."""
    if recipe.data.resolution == "low":
        return list(store.low(images))
    return [store.crop(int(image)) for image in images]

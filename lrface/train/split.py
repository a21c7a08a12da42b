"""The split of a store: faces for training, and held-out faces for choosing the best epoch and calibrating thresholds."""

from dataclasses import dataclass

import numpy as np

from lrface.data.packed import PackedStore
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.train.recipe import DataSection
from lrface.train.store_detail import store_detail

#: The held-out identities are the same for every seed of a recipe, so that its runs can be compared.
HOLDOUT_SEED = 20_000
#: The identities of a part of the data are the same too, and a smaller part is contained in a larger one.
PART_SEED = 20_001
#: Number of folds of the validation protocol, and so the smallest number of pairs.
FOLDS = 10


@dataclass(frozen=True)
class Split:
    """A store, divided by identity.

    Attributes:
        train: int64 ``[n]``, images of the store for training.
        labels: int64 ``[n]``, their identities, 0 to ``classes - 1``; -1 for no identity.
        classes: number of training identities.
        holdout: int64 ``[m]``, images of held-out identities.
        holdout_labels: int64 ``[m]``, their identities.
        blurred: number of images that were left out because they have less detail than the recipe asks for.
    """

    train: np.ndarray
    labels: np.ndarray
    classes: int
    holdout: np.ndarray
    holdout_labels: np.ndarray
    blurred: int = 0

    def __str__(self) -> str:
        """One line that says how many images there are of each kind."""
        nobody = int((self.labels < 0).sum())
        parts = [f"training on {len(self.train):,} images of {self.classes:,} identities"]
        if nobody:
            parts.append(f"{nobody:,} of them of nobody in particular")
        if self.blurred:
            parts.append(f"{self.blurred:,} with too little detail left out")
        return ", ".join(parts)


def split_store(store: Store | PackedStore, section: DataSection) -> Split:
    """Divide a store according to a recipe.

    Raises:
        LrfaceError: fewer than two identities remain for training, fewer than the recipe wants, or too few have two images
            to be held out; or ``data.least_detail`` is set and a crop cannot be read.
    """
    labelled = np.flatnonzero(store.labels >= 0)
    known_labels = store.labels[labelled]
    counts = np.bincount(known_labels, minlength=store.identities)
    kept = counts >= section.min_images
    held = np.zeros_like(kept)
    if section.holdout_identities:
        able = np.flatnonzero(kept & (counts >= 2))
        if len(able) < section.holdout_identities:
            raise LrfaceError(
                f"data.holdout_identities is {section.holdout_identities}, but only {len(able)} identities of "
                f"{store.path} have two images or more: hold out fewer"
            )
        held[np.random.default_rng(HOLDOUT_SEED).permutation(able)[: section.holdout_identities]] = True
    sharp = _sharp(store, section)
    named = labelled[_part(kept & ~held, store, section)[known_labels]]
    nobody = np.flatnonzero(store.labels < 0) if section.unlabelled else named[:0]
    known, labels = np.unique(store.labels[named[sharp[named]]], return_inverse=True)
    if len(known) < 2:
        why = (
            f"; only {len(labels)} of {len(named)} images have {section.least_detail:g} pixels of detail"
            if section.least_detail
            else ""
        )
        raise LrfaceError(f"{len(known)} identities of {store.path} are left to train on: at least two are needed{why}")
    offered = np.concatenate([named, nobody])
    train = offered[sharp[offered]]
    labels = np.concatenate([labels, np.full(len(train) - len(labels), -1)])
    holdout = labelled[held[known_labels]]
    return Split(train, labels, len(known), holdout, store.labels[holdout], len(offered) - len(train))


def _sharp(store: Store | PackedStore, section: DataSection) -> np.ndarray:
    """Which images have the detail to be trained on, bool ``[N]``. It does not matter for the others what this says."""
    if section.least_detail is None:
        return np.ones(len(store), bool)
    if isinstance(store, PackedStore):  # it was chosen when they were packed
        return store.packed
    return store_detail(store) >= section.least_detail


def _part(kept: np.ndarray, store: Store | PackedStore, section: DataSection) -> np.ndarray:
    """From the training identities, bool ``[identities]``, select the part that a recipe wants."""
    able = np.flatnonzero(kept)
    if section.identities is None:
        return kept
    if len(able) < section.identities:
        raise LrfaceError(
            f"data.identities is {section.identities}, but only {len(able)} identities of {store.path} are left to train "
            "on: ask for fewer"
        )
    part = np.zeros_like(kept)
    part[np.random.default_rng(PART_SEED).permutation(able)[: section.identities]] = True
    return part


def draw_pairs(
    labels: np.ndarray, per_kind: int, seed: int = HOLDOUT_SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw equally many same and different pairs, alternating, so that every fold of a protocol has both.

    Args:
        labels: int64 ``[m]``.
        per_kind: pairs of each kind; fewer if there are not that many same pairs.
        seed: of the draw.

    Returns:
        int64 ``[2k]``, int64 ``[2k]``: positions in ``labels``; bool ``[2k]``: same.

    Raises:
        LrfaceError: no identity has two images, there is only one identity, or there are fewer than ``FOLDS`` pairs.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    groups = [group for group in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(group) > 1]
    if not groups or len(np.unique(labels)) < 2:
        raise LrfaceError("no validation pairs can be drawn: two identities and one with two images are needed")
    same = np.concatenate([np.stack(np.triu_indices(len(group), 1), 1) for group in groups])
    owner = np.repeat(np.arange(len(groups)), [len(group) * (len(group) - 1) // 2 for group in groups])
    chosen = rng.permutation(len(same))[:per_kind]
    a = np.array([groups[owner[i]][same[i, 0]] for i in chosen])
    b = np.array([groups[owner[i]][same[i, 1]] for i in chosen])
    c, d = rng.integers(len(labels), size=(2, 20 * len(chosen) + 100))
    different = labels[c] != labels[d]
    c, d = c[different][: len(a)], d[different][: len(a)]
    count = min(len(a), len(c))
    if 2 * count < FOLDS:
        raise LrfaceError(
            f"only {2 * count} validation pairs can be drawn, {FOLDS} are needed: hold out more identities"
        )
    left, right = np.stack([a[:count], c[:count]], 1).ravel(), np.stack([b[:count], d[:count]], 1).ravel()
    return left, right, np.tile([True, False], count)

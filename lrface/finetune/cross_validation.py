"""Cross-validation of a classifier on held-out images of its people: accuracy, and thresholds for unknown people.

If a person is left out while a layer is trained on all others, this person is a stranger to the layer. In turns, every person
is a stranger once, and images of the others are held out. Strangers show how similar unknown people are to the nearest known
person. Held-out images show how similar people are to their own direction. The strangers give the thresholds, the held-out
images give the scale of the softmax.

A backbone that was finetuned on these people has seen other images of the strangers too. It separates them slightly better
than real strangers.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.eval.thresholds import threshold_at_far
from lrface.finetune.softmax_layer import LayerSettings, cosines, fit_layer

#: Shares of strangers that may be accepted as a known person.
RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.001)

#: Candidates for the scale of the softmax.
SCALES = np.geomspace(1, 128, 57)


@dataclass(frozen=True)
class CrossValidation:
    """The result of a cross-validation. Shares refer to held-out images of known people.

    Attributes:
        images: number of held-out images.
        top1: share of images whose nearest person is right.
        scale: of the softmax, chosen so that its probabilities are as accurate as possible.
        strangers: number of images of strangers.
        thresholds: share of strangers that is accepted -> cosine that must be exceeded.
        outcomes: the same shares -> shares of known people that are then ``right``, ``wrong`` or ``unknown``.
    """

    images: int
    top1: float
    scale: float
    strangers: int
    thresholds: dict[str, float]
    outcomes: dict[str, dict[str, float]]

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class _Round:
    """Masks bool ``[n]``: images for training a layer, held-out images, and images of strangers."""

    train: np.ndarray
    known: np.ndarray
    strangers: np.ndarray


def cross_validate(
    embeddings: np.ndarray, labels: np.ndarray, settings: LayerSettings, seed: int, share: float = 0.2,
    held: np.ndarray | None = None, device: str = "cpu", progress: bool = False,
) -> CrossValidation:  # fmt: skip
    """Train layers without held-out images and strangers, and evaluate them on these.

    The rate of a threshold holds for the number of people in a layer, that is all people except the present strangers. With
    all people in the layer, a stranger has a few more people to be confused with.

    Args:
        embeddings: float32 ``[n, dim]``.
        labels: int64 ``[n]``, 0 to the number of people - 1; each occurs.
        settings, seed, device: of the layers.
        share: of each person's images that is held out at a time.
        held: bool ``[n]``: only these may be held out, because the backbone was trained on the others; None for all.
        progress: show a progress bar.

    Raises:
        LrfaceError: nobody has two images, so that nothing can be held out.
    """
    from tqdm import tqdm

    turns = max(2, round(1 / share))
    if np.bincount(labels).max() < 2 or (held is not None and not held.any()):
        raise LrfaceError(
            "nobody has two images: nothing can be held out to calibrate on; give two or more of somebody"
        )
    part = _parts(labels, turns, seed)
    rounds = list(_in_turns(labels, part, turns) if held is None else _after_training(labels, held, turns))
    right, best, strange, losses = [], [], [], np.zeros(len(SCALES))
    smoothing = 1 / (sum(int(each.known.sum()) for each in rounds) + 2)
    for number, each in enumerate(tqdm(rounds, desc="held out", unit="layer", disable=None if progress else True)):
        known, trained = np.unique(labels[each.train], return_inverse=True)
        weight = fit_layer(embeddings[each.train], trained, len(known), settings, seed + number, device)
        similarity = cosines(embeddings[each.known], weight)
        truth = np.searchsorted(known, labels[each.known])
        right.append(similarity.argmax(1) == truth)
        best.append(similarity.max(1))
        strange.append(cosines(embeddings[each.strangers], weight).max(1, initial=-1))
        losses += _losses(similarity, truth, smoothing)
    return _conclude(np.concatenate(right), np.concatenate(best), np.concatenate(strange), losses)


def _conclude(right: np.ndarray, best: np.ndarray, strange: np.ndarray, losses: np.ndarray) -> CrossValidation:
    count = len(strange)
    rates = [rate for rate in RATES if rate * count >= 1]
    thresholds = {f"{rate:g}": threshold_at_far(strange, rate) for rate in rates}
    if not thresholds:
        # For so few exchangeable strangers, the next one exceeds the highest of them with this probability.
        thresholds = {f"{1 / (count + 1):.2g}": float(strange.max())}
    outcomes = {}
    for rate, threshold in thresholds.items():
        named = best > threshold
        outcomes[rate] = {
            "right": float(np.mean(named & right)),
            "wrong": float(np.mean(named & ~right)),
            "unknown": float(np.mean(~named)),
        }
    scale = float(SCALES[losses.argmin()])
    return CrossValidation(len(right), float(right.mean()), scale, count, thresholds, outcomes)


def _losses(similarity: np.ndarray, truth: np.ndarray, smoothing: float) -> np.ndarray:
    """The sums of the cross-entropies at each of ``SCALES``, float64 ``[len(SCALES)]``.

    The targets are smoothed as if there were two more images, one of them wrong (Platt, 1999), because a few right images do
    not prove certainty.
    """
    result = np.zeros(len(SCALES))
    people = similarity.shape[1]
    if people < 2:
        return result
    for start in range(0, len(truth), 1024):
        chunk, own_place = similarity[start : start + 1024].astype(np.float64), truth[start : start + 1024, None]
        below = chunk - chunk.max(1, keepdims=True)
        for at, scale in enumerate(SCALES):
            logs = scale * below
            logs -= np.log(np.exp(logs).sum(1, keepdims=True))
            own = np.take_along_axis(logs, own_place, 1)[:, 0]
            others = (logs.sum(1) - own) / (people - 1)
            result[at] -= ((1 - smoothing) * own + smoothing * others).sum()
    return result


def _parts(labels: np.ndarray, turns: int, seed: int) -> np.ndarray:
    """The turn in which each image is held out, int64 ``[n]``; -1 for a person's only image.

    A person's images are spread evenly over the turns. The first turn is random, so that all turns have similar sizes.
    """
    rng = np.random.default_rng(seed)
    part = np.full(len(labels), -1)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) > 1:
            part[own] = (rng.integers(turns) + np.arange(len(own))) % turns
    return part


def _in_turns(labels: np.ndarray, part: np.ndarray, turns: int) -> Iterator[_Round]:
    """Each image is held out once as a known person's, except in the turn in which its person is a stranger."""
    for turn in range(turns):
        out = labels % turns == turn
        known = (part == turn) & ~out
        train = ~known & ~out
        if train.any():
            yield _Round(train, known, out)


def _after_training(labels: np.ndarray, held: np.ndarray, turns: int) -> Iterator[_Round]:
    """Use the held-out images first with a layer over everybody, and then as strangers with layers without their people."""
    yield _Round(~held, held, np.zeros_like(held))
    for turn in range(turns):
        out = labels % turns == turn
        if (held & out).any() and (~held & ~out).any():
            yield _Round(~held & ~out, np.zeros_like(held), held & out)


def held_out_images(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw the images that are kept out of the training of a backbone, bool ``[n]``.

    About ``share`` of each person's images, at least one, but never the only one.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) > 1:
            held[own[: min(max(1, round(share * len(own))), len(own) - 1)]] = True
    return held

"""What held-out images of the people themselves say of a classifier: how often it is right, and whom to call unknown.

A person who is left out while a layer is trained on all others is a stranger to that layer. In turns, everybody becomes a
stranger once and images of the others are held out: the first kind shows how near strangers come to somebody's direction,
the second how near people come to their own. From the strangers come the thresholds, from the others the softmax's scale.

A backbone that was finetuned on these people has seen even the strangers among them, in other images: it tells them apart a
little better than it will real ones.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.eval.thresholds import threshold_at_far
from lrface.finetune.softmax_layer import LayerSettings, cosines, fit_layer

#: Shares of strangers that may be taken for somebody.
RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.001)

#: Tried as the softmax's scale.
SCALES = np.geomspace(1, 128, 57)


@dataclass(frozen=True)
class CrossValidation:
    """What was found; shares are of the held-out images of known people.

    Attributes:
        images: held-out images.
        top1: share whose person is the nearest.
        scale: of the softmax, with which its probabilities are most nearly true.
        strangers: images of people who were strangers.
        thresholds: share of strangers that may be taken for somebody -> cosine that has to be exceeded.
        outcomes: the same shares -> what then becomes of known people: ``right``, ``wrong``, ``unknown``.
    """

    images: int
    top1: float
    scale: float
    strangers: int
    thresholds: dict[str, float]
    outcomes: dict[str, dict[str, float]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Round:
    """Masks bool ``[n]``: images to train a layer on, to hold out, and of strangers."""

    train: np.ndarray
    known: np.ndarray
    strangers: np.ndarray


def cross_validate(
    embeddings: np.ndarray, labels: np.ndarray, settings: LayerSettings, seed: int, share: float = 0.2,
    held: np.ndarray | None = None, device: str = "cpu", progress: bool = False,
) -> CrossValidation:  # fmt: skip
    """Hold out and see.

    The rate of a threshold is that among as many people as there are, less those who are strangers at the time: with all of them
    a stranger has a few more to be taken for.

    Args:
        embeddings: float32 ``[n, dim]``.
        labels: int64 ``[n]``, 0 to the number of people - 1; each occurs.
        settings, seed, device: of the layers.
        share: of each person's images, held out at a time.
        held: bool ``[n]``: only these may be held out, as the backbone has been trained on the others; None for all.
        progress: show a bar.

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
        # The next of so few exchangeable strangers exceeds the highest of them with this probability.
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
    """The sum of the cross-entropies at each of ``SCALES``.

    The targets are smoothed as if there were two more images, one of them wrong (Platt, 1999): a few images that are all
    right do not prove certainty.
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
    """In which turn each image is held out, int64 ``[n]``; -1 for the only image of a person.

    A person's images are spread evenly, and begin at different turns, so that the turns are of about the same size.
    """
    rng = np.random.default_rng(seed)
    part = np.full(len(labels), -1)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) > 1:
            part[own] = (rng.integers(turns) + np.arange(len(own))) % turns
    return part


def _in_turns(labels: np.ndarray, part: np.ndarray, turns: int) -> Iterator[_Round]:
    """Each image of a known person is held out once but for its person's own turn as a stranger."""
    for turn in range(turns):
        out = labels % turns == turn
        known = (part == turn) & ~out
        train = ~known & ~out
        if train.any():
            yield _Round(train, known, out)


def _after_training(labels: np.ndarray, held: np.ndarray, turns: int) -> Iterator[_Round]:
    """The held images are known ones to a layer over everybody, and then strangers to layers without their people."""
    yield _Round(~held, held, np.zeros_like(held))
    for turn in range(turns):
        out = labels % turns == turn
        if (held & out).any() and (~held & ~out).any():
            yield _Round(~held & ~out, np.zeros_like(held), held & out)


def held_out_images(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Images to keep away from the training of a backbone, bool ``[n]``.

    About ``share`` of each person's, at least one, never the only one.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) > 1:
            held[own[: min(max(1, round(share * len(own))), len(own) - 1)]] = True
    return held

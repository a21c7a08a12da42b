"""A split of faces into training and test images of the same people: deterministic, seeded, stratified by person.

All orders come from SHA-256 digests of names and not from a random generator. So the same names and seed give the same split
on every machine and with every version of every library.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from lrface.errors import LrfaceError

UNUSED, TRAIN, TEST = 0, 1, 2


def shuffled(names: Iterable[str], seed: int, salt: str = "") -> list[str]:
    """Sort the names into a random order that depends only on the seed and the salt, not on the input order."""
    return sorted(
        names, key=lambda name: (hashlib.sha256(f"{seed}\0{salt}\0{name}".encode("utf-8", "replace")).digest(), name)
    )


def split_subjects(
    faces: Sequence[str], subjects: Sequence[str], people: int, train: int, test: int, seed: int
) -> np.ndarray:
    """Draw people, and divide the images of each into training and test.

    People with two or more images are drawn at random. While the drawn people have fewer than ``train + test`` images
    together, the one with the fewest images is replaced by the next person in the random order who has more.

    Each person then gives training and test images in proportion to the available ones, at least one of each. The totals
    are exactly ``train`` and ``test`` if there are enough images. Otherwise all images are used in the same ratio.

    Args:
        faces: a name for each face, all different.
        subjects: name of the person of each face.
        people, train, test: wanted numbers of people, of training images and of test images.
        seed: of the draw.

    Returns:
        int8 ``[n]``: ``UNUSED``, ``TRAIN`` or ``TEST``.

    Raises:
        LrfaceError: two faces have one name, the wanted numbers are too small, or fewer than two people have two images.
    """
    if min(train, test) < people or people < 2:
        raise LrfaceError(f"{people} people with {train} training and {test} test images: everyone needs one of each")
    places: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for at, (face, subject) in enumerate(zip(faces, subjects, strict=True)):
        if face in places[subject]:
            raise LrfaceError(f"two faces of {subject} are called {face}: each needs its own name")
        places[subject][face] = at
    drawn = _draw({name: len(images) for name, images in places.items() if len(images) > 1}, people, train + test, seed)
    if len(drawn) < 2:
        raise LrfaceError(f"{len(drawn)} people have two images or more: at least two such people are needed")
    sizes = np.array([len(places[name]) for name in drawn])
    total = int(min(sizes.sum(), train + test))
    used = _apportion(total, sizes, np.full_like(sizes, 2), sizes)
    wanted = int(np.clip(round(total * test / (train + test)), len(drawn), total - len(drawn)))
    tested = _apportion(wanted, used, np.ones_like(used), used - 1)
    roles = np.full(len(faces), UNUSED, np.int8)
    for name, count, share in zip(drawn, used.tolist(), tested.tolist(), strict=True):
        chosen = [places[name][face] for face in shuffled(places[name], seed, name)[:count]]
        roles[chosen] = TRAIN
        roles[chosen[:share]] = TEST
    return roles


def _draw(sizes: dict[str, int], people: int, images: int, seed: int) -> list[str]:
    order = shuffled(sizes, seed)
    drawn, rest = order[:people], order[people:]
    total = sum(sizes[name] for name in drawn)
    for name in rest:
        if total >= images:
            break
        fewest = min(range(len(drawn)), key=lambda at: sizes[drawn[at]])
        if sizes[name] > sizes[drawn[fewest]]:
            total += sizes[name] - sizes[drawn[fewest]]
            drawn[fewest] = name
    return drawn


def _apportion(total: int, weights: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whole numbers between ``low`` and ``high`` with the sum ``total``, about proportional to ``weights``."""
    total = int(np.clip(total, low.sum(), high.sum()))
    below, above = 0.0, float((high / weights).max())
    for _ in range(100):  # bisection for the factor at which the clipped shares add up to the total
        factor = (below + above) / 2
        below, above = (factor, above) if np.clip(factor * weights, low, high).sum() < total else (below, factor)
    shares = np.clip(above * weights, low, high)
    whole = np.minimum(np.maximum(np.floor(shares + 1e-9).astype(np.int64), low), high)
    for step in (1, -1):  # largest remainders first; the second pass only if rounding exceeded the total
        for at in np.argsort(-step * (shares - whole), kind="stable"):
            if (total - whole.sum()) * step <= 0:
                break
            if low[at] <= whole[at] + step <= high[at]:
                whole[at] += step
    return whole

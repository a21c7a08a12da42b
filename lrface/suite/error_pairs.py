"""The hardest errors as pairs of faces, at full size and at the resolution that the model saw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.faces.degrade import Degradation, resize
from lrface.faces.images import encode_image
from lrface.files import atomic_write

#: Side in pixels of a face on the sheet that is written as a file.
TILE = 112


@dataclass(frozen=True)
class ErrorPair:
    """A pair with one of a model's largest errors.

    Attributes:
        names: of the two images; empty if the set has no names.
        similarity: cosine.
        full, low: the two faces, uint8 RGB, at full size and as the model saw them.
    """

    names: tuple[str, str]
    similarity: float
    full: tuple[np.ndarray, np.ndarray]
    low: tuple[np.ndarray, np.ndarray]


def hardest(
    pairs: PairSet, scores: np.ndarray, operator: Degradation, count: int = 6
) -> tuple[list[ErrorPair], list[ErrorPair]]:
    """The most similar pairs of different people, and the least similar pairs of one person.

    Args:
        pairs: the set.
        scores: float ``[n]``, similarity of each pair.
        operator: reduces a face to what the model saw.
        count: number of pairs of each kind.
    """
    same = np.asarray(pairs.same, bool)
    order = np.argsort(scores, kind="stable")
    accepts = [at for at in order[::-1] if not same[at]][:count]
    rejects = [at for at in order if same[at]][:count]
    return tuple([_error_pair(pairs, int(at), scores, operator) for at in chosen] for chosen in (accepts, rejects))  # type: ignore[return-value]


def _error_pair(pairs: PairSet, at: int, scores: np.ndarray, operator: Degradation) -> ErrorPair:
    first, second = int(pairs.a[at]), int(pairs.b[at])
    full = (pairs.images[first], pairs.images[second])
    names = (_person(pairs.names[first]), _person(pairs.names[second])) if pairs.names else ("", "")
    return ErrorPair(names, float(scores[at]), full, (operator(full[0]), operator(full[1])))


def _person(name: str) -> str:
    return Path(name).stem.replace("_", " ")


def write_error_pairs(errors: list[ErrorPair], path: Path) -> None:
    """Write all pairs as one PNG: each pair's faces at full size above those that the model saw."""
    from lrface.data.contact_sheet import grid

    tiles = [
        np.vstack([np.hstack([resize(face, TILE) for face in pair.full]),
                   np.hstack([resize(face, TILE, "nearest", antialias=False) for face in pair.low])])
        for pair in errors
    ]  # fmt: skip
    with atomic_write(path) as file:
        file.write(encode_image(grid(tiles, 6), "png"))

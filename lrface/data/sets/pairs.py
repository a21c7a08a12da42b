"""LFW's lists of pairs (``pairs.txt``, ``pairsDevTrain.txt``, ``pairsDevTest.txt``). XQLFW uses the same format.

The first line gives the number of pairs: ``10<TAB>300`` for View 2 (10 folds of 300 same and 300 different pairs), ``1100``
for View 1 (one fold). Each fold lists its same pairs, ``name<TAB>i<TAB>j``, and then its different pairs,
``name1<TAB>i<TAB>name2<TAB>j``. Image i of a person is ``name/name_%04d.jpg``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lrface.errors import LrfaceError
from lrface.files import because, require_path


class Pair(NamedTuple):
    """Two images as paths relative to the image folder, whether they show one person, and the fold (from 0)."""

    a: str
    b: str
    same: bool
    fold: int


def read_pairs(path: str | Path, suffix: str = ".jpg") -> list[Pair]:
    """Read a list of pairs, in the order of the file.

    A pair that is listed twice counts twice, as in every published number; see :func:`repeated_pairs`.

    Args:
        path: the list.
        suffix: ending of the image files.

    Raises:
        LrfaceError: the file is missing; the number of pairs differs from the first line; or a line (given by its number)
            cannot be read, is among the pairs of the other kind, names one person as two, or pairs an image with itself.
    """
    try:
        lines = Path(require_path(path)).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {because(error, path)}") from error
    except UnicodeDecodeError as error:
        raise LrfaceError(f"{path} is not a text file: {error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    folds, half = _read_counts(lines[0] if lines else "", path)
    if len(lines) - 1 != folds * 2 * half:
        raise LrfaceError(
            f"{path}: line 1 announces {folds * 2 * half} pairs ({folds} x 2 x {half}), {len(lines) - 1} lines follow"
        )
    pairs = []
    for at, line in enumerate(lines[1:]):
        fold, within = divmod(at, 2 * half)
        pairs.append(_read_pair(line, within < half, fold, f"{path} line {at + 2}", suffix))
    return pairs


def resolve(pairs: Iterable[Pair], root: str | Path) -> list[tuple[Path, Path]]:
    """Find the two image files of each pair under ``root``.

    Raises:
        LrfaceError: images are missing; the message says how many and names the first ones. No pair is ever left out.
    """
    pairs = list(pairs)
    missing = missing_images(pairs, root)
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        total = len({name for pair in pairs for name in (pair.a, pair.b)})
        raise LrfaceError(f"{len(missing)} of the {total} images are missing in {root}: {shown}")
    return [(Path(root, pair.a), Path(root, pair.b)) for pair in pairs]


def missing_images(pairs: Iterable[Pair], root: str | Path) -> list[str]:
    """The relative paths of the pairs that are no files under ``root``, each once, in the order of the pairs."""
    names = dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b))
    return [name for name in names if not Path(root, name).is_file()]


def repeated_pairs(pairs: Iterable[Pair]) -> int:
    """Number of pairs that were already listed, in either order. They count as listed; reports give their number."""
    listed = [frozenset((pair.a, pair.b)) for pair in pairs]
    return len(listed) - len(set(listed))


def _read_counts(line: str, path: str | Path) -> tuple[int, int]:
    words = line.strip().split("\t")
    if len(words) > 2 or not all(word.isascii() and word.isdigit() and int(word) for word in words):
        raise LrfaceError(f"{path} line 1: expected 10<TAB>300, or one number of pairs, found {line!r:.60}")
    folds = int(words[0]) if len(words) == 2 else 1
    return folds, int(words[-1])


def _read_pair(line: str, same: bool, fold: int, where: str, suffix: str) -> Pair:
    words = line.rstrip("\r\n").split("\t")
    kind = "same: name<TAB>i<TAB>j" if same else "different: name<TAB>i<TAB>name<TAB>j"
    if len(words) != (3 if same else 4):
        raise LrfaceError(f"{where}: expected a pair of the {kind}, found {line!r:.80}")
    name_a, name_b = words[0], words[0] if same else words[2]
    number_a, number_b = words[1], words[-1]
    for name in (name_a, name_b):
        if not name.strip() or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise LrfaceError(f"{where}: {name!r:.60} is no name")
    for number in (number_a, number_b):
        if not (number.isascii() and number.isdigit()):
            raise LrfaceError(f"{where}: {number!r:.60} is no image number")
    if not same and name_a == name_b:
        raise LrfaceError(f"{where}: a pair of different people names {name_a} twice")
    if same and int(number_a) == int(number_b):
        raise LrfaceError(f"{where}: an image of {name_a} is paired with itself")
    return Pair(_image(name_a, number_a, suffix), _image(name_b, number_b, suffix), same, fold)


def _image(name: str, number: str, suffix: str) -> str:
    return f"{name}/{name}_{int(number):04d}{suffix}"

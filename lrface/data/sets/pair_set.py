"""Sets for verification: images and pairs of them, from packs, stores or folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrface.data.crop import Settings, crop_item
from lrface.data.sets.pairs import Pair, read_pairs, repeated_pairs, resolve
from lrface.data.sources import FolderSource, Item
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import require_path


@dataclass(frozen=True)
class PairSet:
    """A verification set.

    Attributes:
        images: aligned crops, uint8 RGB ``[h, w, 3]``, each once.
        a, b: int64 ``[n]``, positions in ``images``.
        same: bool ``[n]``, in the order of the protocol's folds.
        name: name of the set, for tables.
        alignment: how the crops were made, for tables.
        names: ``NAME/NAME_0001.jpg`` of each image; empty for a pack, which has no names.
        notes: remarks for reports: pairs that are listed twice.
    """

    images: Sequence[np.ndarray]
    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    name: str
    alignment: str
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def from_bin(path: str | Path) -> PairSet:
    """Read a verification pack of aligned crops. Raises LrfaceError as ``read_bin`` does."""
    from lrface.data.sets.bins import read_bin

    images, same = read_bin(path)
    first = np.arange(len(same)) * 2
    return PairSet(list(images), first, first + 1, np.asarray(same, bool), Path(path).stem, "as packed")


def from_store(path: str | Path, pairs: Sequence[str | Path]) -> PairSet:
    """Make pairs of the images of a store.

    Args:
        path: a store made from a folder with one subfolder per identity.
        pairs: files in LFW's format; their pairs are joined.

    Raises:
        LrfaceError: a file cannot be read, or a pair names an image that is not in the store because it is missing or no
            face was found in it.
    """
    import pandas as pd

    store = Store(path)
    listed = listed_pairs(pairs)
    manifest = pd.concat(
        [pd.read_parquet(folder / "manifest.parquet", columns=["path", "status", "reason"]) for folder in store.folders]
    )
    usable = manifest[manifest["status"] == "ok"]
    position = dict(zip(usable["path"], range(len(usable)), strict=True))
    names = _names(listed)
    missing = [name for name in names if name not in position]
    if missing:
        known = manifest.set_index("path")["reason"]
        why = known.get(missing[0]) or "it was not in the source"
        raise LrfaceError(f"{len(missing)} of {len(names)} images of the pairs are not in {path}; {missing[0]}: {why}")
    crops = [store.crop(position[name]) for name in names]
    return _pair_set(crops, names, listed, _title(pairs), describe(store.settings))


def from_folder(root: str | Path, pairs: Sequence[str | Path], settings: Settings, device: str = "cpu") -> PairSet:
    """Make pairs of a folder of photos or crops. The faces are aligned here, with a progress bar.

    Args:
        root: ``root/<name>/<name>_0001.jpg``.
        pairs: files in LFW's format.
        settings: how faces are found and cut; ``detector`` may not be ``landmarks``.
        device: of the detector.

    Raises:
        LrfaceError: a file cannot be read, an image is missing, or no face is found in it.
    """
    from tqdm import tqdm

    from lrface.faces.detect import create_detector

    listed = listed_pairs(pairs, suffix=_suffix(root))
    resolve(listed, root)
    detector = None if settings.detector in ("none", "eyes") else create_detector(settings.detector, device=device)
    source = FolderSource(Path(require_path(root)))
    names = _names(listed)
    crops = []
    for name in tqdm(names, unit="img", desc="align", disable=None):
        crops.append(crop_item(Item(name, name.partition("/")[0], 0), source, settings, detector).decoded())
    return _pair_set(crops, names, listed, _title(pairs), describe(settings.as_dict()))


def describe(settings: dict[str, object]) -> str:
    """How crops were made, in a few words for a table."""
    detector, eyes = settings["detector"], settings.get("eyes")
    if detector == "eyes":
        return f"fixed eyes {eyes}"
    return f"{detector}, else fixed eyes {eyes}" if eyes else str(detector)


def listed_pairs(files: Sequence[str | Path], suffix: str = ".jpg") -> list[Pair]:
    """Read the pairs of files in LFW's format.

    One file with folds keeps its order. Several files, or one without folds, are shuffled, so that every contiguous fold has
    pairs of both kinds.
    """
    lists = [read_pairs(file, suffix) for file in files]
    if len(lists) == 1 and lists[0][-1].fold > 0:
        return lists[0]
    every = [pair for pairs in lists for pair in pairs]
    order = np.random.default_rng(0).permutation(len(every))
    return [every[i] for i in order]


def _names(pairs: list[Pair]) -> list[str]:
    return sorted({name for pair in pairs for name in (pair.a, pair.b)})


def _title(files: Sequence[str | Path]) -> str:
    return " + ".join(Path(file).stem for file in files)


def _suffix(root: str | Path) -> str:
    """The ending of the image files: LFW comes as JPEG, aligned copies of it also as PNG."""
    first = next((file for file in sorted(Path(root).glob("*/*")) if file.suffix.lower() in (".jpg", ".png")), None)
    return first.suffix if first else ".jpg"


def _pair_set(crops: list[np.ndarray], names: list[str], pairs: list[Pair], title: str, alignment: str) -> PairSet:
    at = {name: number for number, name in enumerate(names)}
    a = np.array([at[pair.a] for pair in pairs])
    b = np.array([at[pair.b] for pair in pairs])
    repeated = repeated_pairs(pairs)
    notes = (f"{repeated:,} of the {len(pairs):,} pairs are repetitions and count as listed",) if repeated else ()
    return PairSet(crops, a, b, np.array([pair.same for pair in pairs]), title, alignment, tuple(names), notes)

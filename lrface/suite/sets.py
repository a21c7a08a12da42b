"""Finding the sets of the suite under the data root, or a text about what is missing and how to get it."""

from pathlib import Path

from lrface.data.sets.catalog import dataset, find
from lrface.errors import LrfaceError
from lrface.files import looked_in
from lrface.reporting.fingerprint import FileDigests, digest
from lrface.suite.end_to_end import locate_photos
from lrface.suite.located import TITLES, Absent, Located, is_rehearsal
from lrface.suite.native import locate_native
from lrface.suite.options import Options

PAIR_SETS = ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw", "xqlfw")

#: Name in the suite -> name in the catalogue, where they differ.
CATALOGUE = {"survface": "qmul-survface"}


def locate(name: str, options: Options, digests: FileDigests) -> list[Located | Absent]:
    """Find a set. If it is absent, its rehearsal is added, if there is one.

    Raises:
        LrfaceError: the set exists but is damaged.
    """
    if name == "lfw":
        found = _lfw(options, digests)
    elif name == "xqlfw":
        found = _xqlfw(options, digests)
    elif name in PAIR_SETS:
        found = _pack(name, _first(options.data, (f"{name}.bin", f"*/{name}.bin")), digests)
    else:
        found = locate_native(name, options, digests)
        if found is None and options.rehearsal is not None:
            rehearsed = locate_native(name, options, digests, options.rehearsal)
            if rehearsed is not None:
                return [absent(name, options), rehearsed]
    return [found or absent(name, options)]


def locate_lfw_photos(options: Options, digests: FileDigests) -> Located | Absent:
    """Find the photos of LFW with the same lists of pairs as its other rows, for end-to-end rows."""
    beside = options.data / "lfw" / "pairs.txt"
    return locate_photos(options, options.pairs or ((beside,) if beside.exists() else ()), digests)


def absent(name: str, options: Options, why: str = "") -> Absent:
    """Describe a set that is missing or incomplete."""
    entry = dataset(CATALOGUE.get(name, name))
    found = next(found for found in find(options.data) if found.dataset is entry)
    places = [found.missing] if found.present and found.missing else entry.places
    looked = "; or ".join(", ".join(patterns) for patterns in places)
    parts = [
        why or f"looked for {looked} in the data root {options.data}",
        f"it comes from {entry.source} ({entry.terms})",
        f"`lrface data where {entry.name}` tells the layout",
    ]
    return Absent(name, TITLES[name], "; ".join(parts))


def _first(root: Path, patterns: tuple[str, ...]) -> Path | None:
    return next((path for pattern in patterns for path in sorted(root.glob(pattern))), None)


def _is_store(folder: Path) -> bool:
    return any(folder.glob("shard-*-of-*/shard.json"))


def _lfw(options: Options, digests: FileDigests) -> Located | None:
    root = options.lfw or _default_lfw(options)
    if root is None:
        return None
    if root.suffix == ".bin":
        return _pack("lfw", root, digests)
    if not root.is_dir():
        raise LrfaceError(f"--lfw {root}: no such folder or pack ({looked_in(root)})")
    pairs = options.pairs or _pairs_beside(root, options.data)
    return _over_store(root, pairs, digests) if _is_store(root) else _over_photos(root, pairs, options, digests)


def _default_lfw(options: Options) -> Path | None:
    """The first of: a store made with the chosen detector, any other store, the photos, the pack."""
    stores = [path for path in sorted(options.data.glob("lfw_*")) if _is_store(path)]
    stores.sort(key=lambda path: path.name != f"lfw_{options.detector}")
    if stores and (options.pairs or (options.data / "lfw" / "pairs.txt").exists()):
        return stores[0]
    if (options.data / "lfw" / "images").is_dir() and (options.pairs or (options.data / "lfw" / "pairs.txt").exists()):
        return options.data / "lfw" / "images"
    return _first(options.data, ("lfw.bin", "*/lfw.bin"))


def _pairs_beside(root: Path, data: Path) -> tuple[Path, ...]:
    places = (root.parent / "pairs.txt", root / "pairs.txt", data / "lfw" / "pairs.txt")
    found = next((path for path in places if path.exists()), None)
    if found is None:
        raise LrfaceError(f"no list of pairs for {root}: name one with --pairs, or put pairs.txt beside it")
    return (found,)


def _over_store(root: Path, pairs: tuple[Path, ...], digests: FileDigests) -> Located:
    from lrface.data.sets.pair_set import describe, from_store
    from lrface.data.store import Store

    store = Store(root)
    contents = digest([store.fingerprint, [digests.of(path) for path in pairs]])
    return Located(
        "lfw",
        _title("lfw", pairs),
        contents,
        describe(store.settings),
        is_rehearsal(root),
        lambda: from_store(root, pairs),
    )


def _over_photos(root: Path, pairs: tuple[Path, ...], options: Options, digests: FileDigests) -> Located:
    """Align the photos once, into a store in the results folder. An interrupted alignment resumes."""
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare
    from lrface.data.sets.pair_set import PairSet, describe, from_store
    from lrface.data.sets.pairs import read_pairs

    settings = Settings(detector=options.detector, eyes=options.eyes)
    names = sorted({name for path in pairs for pair in read_pairs(path) for name in (pair.a, pair.b)})
    contents = digest([digests.of(root, names), [digests.of(path) for path in pairs], settings.as_dict()])

    def load() -> PairSet:
        store = options.out / "cache" / f"lfw_{digest([str(root.resolve()), settings.as_dict()])[:12]}"
        prepare(root, store, settings, device=options.device, workers=options.workers)
        return from_store(store, pairs)

    return Located("lfw", _title("lfw", pairs), contents, describe(settings.as_dict()), is_rehearsal(root), load)


def _xqlfw(options: Options, digests: FileDigests) -> Located | None:
    from lrface.data.crop import Settings
    from lrface.data.sets.pair_set import from_folder

    root, pairs = options.data / "xqlfw" / "images", options.data / "xqlfw" / "xqlfw_pairs.txt"
    if not root.is_dir() or not pairs.exists():
        return None
    contents = digest([digests.of(root), digests.of(pairs)])
    settings = Settings(detector="none")
    return Located(
        "xqlfw", TITLES["xqlfw"], contents, "as given", is_rehearsal(root.parent),
        lambda: from_folder(root, [pairs], settings),
    )  # fmt: skip


def _pack(name: str, path: Path | None, digests: FileDigests) -> Located | None:
    from lrface.data.sets.pair_set import from_bin

    if path is None:
        return None
    chosen = path
    if not chosen.is_file():
        raise LrfaceError(f"no such pack: {chosen} ({looked_in(chosen)})")
    return Located(name, TITLES[name], digests.of(chosen), "as packed", False, lambda: from_bin(chosen))


def _title(name: str, pairs: tuple[Path, ...]) -> str:
    """The title of the set. LFW alone means View 2; with other lists their names are added, because their figures differ."""
    lists = " + ".join(path.stem for path in pairs)
    return TITLES[name] if lists == "pairs" else f"{TITLES[name]} ({lists})"

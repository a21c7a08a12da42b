"""The faces for rehearsals: the aligned crops of a store, grouped by the name of the person."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.sets.subject_split import shuffled
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE_SIZE
from lrface.faces.degrade import resize


def identities_of(store: Store) -> list[tuple[str, str]]:
    """Name of the person and path in the source, for each image of a store.

    Raises:
        LrfaceError: the manifests do not fit the store.
    """
    import pandas as pd

    rows = []
    for folder in store.folders:
        table = pd.read_parquet(folder / "manifest.parquet", columns=["path", "identity", "status"])
        usable = table[table["status"] == "ok"]
        rows += list(zip(usable["identity"], usable["path"], strict=True))
    if len(rows) != len(store):
        raise LrfaceError(f"{store.path}: {len(rows)} rows of the manifests for {len(store)} images: prepare it again")
    return rows


class Pool:
    """The people of a store that may be used.

    Args:
        store: aligned crops.
        seed: determines the order of people and of their images.
        without: names of people to leave out.

    Attributes:
        images: person -> positions in the store, in random order.
        paths: position in the store -> path in its source.
        excluded: number of people left out.
    """

    def __init__(self, store: Store, seed: int, without: Iterable[str] = ()) -> None:
        self._store, self.seed = store, seed
        banned = set(without)
        people: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for at, (identity, path) in enumerate(identities_of(store)):
            people[identity][path] = at
        self.paths = {at: path for images in people.values() for path, at in images.items()}
        self.excluded = len(banned & set(people))
        self.images = {
            name: [people[name][path] for path in shuffled(people[name], seed, name)]
            for name in shuffled(people.keys() - banned, seed)
        }

    def people(self, least: int = 1, most: int | None = None) -> list[str]:
        """The people with ``least`` to ``most`` images, in random order."""
        return [
            name for name, images in self.images.items() if least <= len(images) and len(images) <= (most or np.inf)
        ]

    def crop(self, image: int) -> np.ndarray:
        """An aligned crop, uint8 RGB ``[112, 112, 3]``."""
        return resize(self._store.crop(image), TEMPLATE_SIZE)


def source_name(path: str | Path) -> str:
    """The name of a source in results: the last two parts of its path, which are meaningful on any machine."""
    return "/".join(Path(path).resolve().parts[-2:])


def describe_store(store: Store) -> dict[str, Any]:
    """How the faces of a store were aligned, for the marker."""
    return {key: store.settings[key] for key in ("detector", "eyes", "face")}

"""Join the two parts of CelebA into one folder of aligned crops for `lrface prepare --detector none`.

    python tools/join_faces.py --blurred data/celeba_store --sharp data/faces --out data/joined
    lrface prepare data/joined --detector none --out data/joined_store

``--sharp`` holds ``index.csv`` with the columns path, identity (-1: unknown) and also_in_celeba. If an image is in both parts, the
sharp one is used. Faces without identity go into the folder ``-1`` if ``--unknown`` is given.
"""

import csv
import os
import sys
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import atomic_write

UNKNOWN = "-1"  # folder of faces without identity


def sharp_images(folder: Path, unknown: bool) -> list[tuple[str, Path]]:
    """The sharp crops: name in the joined folder, and file.

    Args:
        folder: with ``index.csv``.
        unknown: include faces without identity.

    Raises:
        LrfaceError: the index is missing or lacks a column.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise LrfaceError(f"{index} is missing: it names the images and their identities")
    with open(index, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "identity"} <= rows[0].keys():
        raise LrfaceError(f"{index} needs the columns path and identity")
    found = []
    for row in rows:
        number = int(row["identity"])
        if number >= 0 or unknown:
            who = f"{number:05d}" if number >= 0 else UNKNOWN
            found.append((f"{who}/{Path(row['path']).name}", folder / row["path"]))
    return found


def stored_paths(store: Store) -> list[str]:
    """The path that each image of a store had in its source, in order."""
    tables = [pq.read_table(folder / "manifest.parquet", columns=["path", "status"]) for folder in store.folders]
    return [row["path"] for table in tables for row in table.to_pylist() if row["status"] == "ok"]


def sharp_among(store: Store, folder: Path) -> np.ndarray:
    """Which images of a joined store come from the sharp part: bool ``[len(store)]``.

    Args:
        store: the joined store.
        folder: of the sharp part, with ``index.csv``.

    Raises:
        LrfaceError: the index cannot be read, or names no image of the store.
    """
    names = {_stem(name) for name, _ in sharp_images(folder, True)}
    found = np.array([_stem(path) in names for path in stored_paths(store)])
    if not found.any():
        raise LrfaceError(f"{folder / 'index.csv'} names no image of {store.path}: was the store joined from it?")
    return found


def join(blurred: Path, sharp: Path, out: Path, unknown: bool) -> tuple[int, int]:
    """Write the joined folder. Existing files are kept. Returns the numbers of sharp and of blurred images.

    Raises:
        LrfaceError: a part cannot be read.
    """
    taken = sharp_images(sharp, unknown)
    for name, file in taken:
        _write(out / name, file.read_bytes())
    known = {_stem(name) for name, _ in taken}
    store, added = Store(blurred), 0
    for position, path in enumerate(stored_paths(store)):
        if _stem(path) not in known:
            _write(out / path, store.encoded(position))
            added += 1
    return len(taken), added


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(""))


def _write(path: Path, content: bytes) -> None:
    if path.exists() and os.path.getsize(path) == len(content):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(content)


@click.command()
@click.option("--blurred", type=click.Path(path_type=Path), required=True, help="Store of the older, blurred part.")
@click.option("--sharp", type=click.Path(path_type=Path), required=True, help="Folder of sharp crops with index.csv.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The joined folder.")
@click.option("--unknown", is_flag=True, help="Take the faces without identity too.")
def main(blurred: Path, sharp: Path, out: Path, unknown: bool) -> None:
    """Join both parts of CelebA."""
    try:
        counts = join(blurred, sharp, out, unknown)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out}: {counts[0]:,} sharp crops and {counts[1]:,} blurred ones")


if __name__ == "__main__":
    main()

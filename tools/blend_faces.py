"""Blend pairs of aligned faces into faces without identity: more pictures for the losses that need no label.

    python tools/blend_faces.py --store data/joined_store --count 60000 --out data/joined/-1
    lrface prepare data/joined --detector none --out data/blended_store

The mean of two aligned faces looks like a third person. The teacher embeds it too, so a student is also taught at points between
the training identities. Beyer et al. ("Knowledge distillation: a good teacher is patient and consistent", 2022) give teacher and
student the same mixed pictures. Held-out identities are left out.
"""

import sys
from pathlib import Path

import click
import cv2
import numpy as np
from tqdm import tqdm

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import atomic_write
from lrface.train.recipe import DataSection
from lrface.train.split import split_store

#: Range of the first face's share: near the middle, where a blend is least similar to either face.
SHARES = (0.35, 0.65)
QUALITY = 95  # JPEG quality


def draw_blends(
    images: np.ndarray, labels: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw pairs of images of different people, and the share of the first.

    Args:
        images: int64 ``[n]``, numbers in the store.
        labels: int64 ``[n]``, their identities.
        count: number of pairs.
        seed: of the random choices.

    Returns:
        int64 ``[count]``, int64 ``[count]``, float64 ``[count]``.

    Raises:
        LrfaceError: there are fewer than two people.
    """
    if len(np.unique(labels)) < 2:
        raise LrfaceError("a blend needs faces of two people")
    rng = np.random.default_rng(seed)
    first = rng.integers(len(images), size=count)
    second = rng.integers(len(images), size=count)
    while (same := labels[first] == labels[second]).any():
        second[same] = rng.integers(len(images), size=int(same.sum()))
    return images[first], images[second], rng.uniform(*SHARES, size=count)


def blend(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """The weighted mean of two crops of the same size: uint8 ``[s, s, 3]``."""
    mean: np.ndarray = share * first.astype(np.float32) + (1 - share) * second.astype(np.float32)
    return mean.round().astype(np.uint8)


@click.command()
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Store of labelled faces.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the blends.")
@click.option("--count", type=click.IntRange(min=1), default=60_000, show_default=True)
@click.option(
    "--holdout-identities", type=int, default=300, show_default=True, help="Identities to leave out, as in the recipe."
)
@click.option("--seed", default=5, show_default=True)
def main(store: Path, out: Path, count: int, holdout_identities: int, seed: int) -> None:
    """Write blends. Existing ones are kept, so that the command can be run again after a kill."""
    try:
        faces = Store(store)
        split = split_store(
            faces, DataSection(store=str(store), holdout_identities=holdout_identities, unlabelled=False)
        )
        pairs = draw_blends(split.train, split.labels, count, seed)
        work = tqdm(zip(*pairs, strict=True), total=count, unit="img", desc="blend")
        for number, (a, b, share) in enumerate(work):
            file = out / f"blend{number:06d}.jpg"
            if not file.exists():
                picture = blend(faces.crop(int(a)), faces.crop(int(b)), share)
                out.mkdir(parents=True, exist_ok=True)
                with atomic_write(file) as target:
                    target.write(
                        cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
                    )
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out}: {count:,} blends")


if __name__ == "__main__":
    main()

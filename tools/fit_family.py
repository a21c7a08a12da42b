"""Fit the map from the teachers' embeddings to the embedding space of a student. A family embeds sharp faces with it.

    python tools/fit_family.py lrface-small-16px --ridge 0.3 --power 0.1 --store data/joined_store --holdout 300 \\
        --teacher data/dlib_resnet.onnx --out data/dlib.map.safetensors
    python tools/fit_family.py lrface-small-16px --ridge 0.3 --power 0.1 --back 0.1 --sharp data/faces --weights 0.5 0.7 \\
        --store data/faces_store --teacher data/mobilefacenet.onnx --out data/mobilefacenet.map.safetensors

The student gets each training face reduced; the teachers get the crop at full size. Held-out identities are not used.
"""

import sys
from pathlib import Path

import click
import numpy as np
from join_faces import sharp_among

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.models.embedder import open_embedder
from lrface.models.teacher_map import WEIGHTS, TeacherMap, fit_back, fit_map
from lrface.train.recipe import DataSection
from lrface.train.split import split_store
from lrface.train.teacher_cache import cached_embeddings


def make_map(
    student: str, store: Store, teachers: list[str], holdout: int, ridge: float, power: float, threads: int | None,
    back: float | None = None, weights: tuple[float, float] = WEIGHTS, sharp: Path | None = None,
) -> TeacherMap:  # fmt: skip
    """Embed the training faces by the student and by the teachers, and fit the map.

    Raises:
        LrfaceError: a model cannot be opened, or the store cannot be split.
    """
    own = open_embedder(student, threads=threads)
    opened = [open_embedder(teacher, threads=threads) for teacher in teachers]
    train = split_store(store, DataSection(store=str(store.path), holdout_identities=holdout)).train
    parts = [np.asarray(cached_embeddings(store, teacher, flips=False)[0][train]) for teacher in opened]
    crops = [own.preprocessing.fit(store.crop(int(image))) for image in train]
    embeddings = flip_sum(own, crops, batch_size=256, progress="student")
    centres, matrix, bias = fit_map(parts, embeddings, ridge, power)
    facts = {
        "student": own.fingerprint,
        "store": store.fingerprint,
        "images": len(train),
        "ridge": ridge,
        "power": power,
        "back": back,
    }
    way_back = None
    if back is not None:
        chosen = np.ones(len(train), bool) if sharp is None else sharp_among(store, sharp)[train]
        way_back = fit_back([part[chosen] for part in parts], embeddings[chosen], back)
    fingerprints = tuple(teacher.fingerprint for teacher in opened)
    return TeacherMap(fingerprints, centres, matrix, bias, facts, way_back, weights)


@click.command()
@click.argument("student")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="The faces.")
@click.option(
    "--teacher", "teachers", multiple=True, required=True, help="A teacher that taught the student; repeatable."
)
@click.option("--holdout", default=300, show_default=True, help="Identities that the recipes hold out.")
@click.option(
    "--ridge", default=0.3, show_default=True, help="Ridge penalty in units of the joined embeddings' mean variance."
)
@click.option("--power", default=0.5, show_default=True, help="Power of the map's singular values.")
@click.option(
    "--back", type=float, default=None, help="Ridge penalty of the map back to the teachers; none without it."
)
@click.option(
    "--sharp", type=click.Path(path_type=Path), default=None,
    help="Folder of sharp crops with index.csv; the map back is fitted on them alone.",
)  # fmt: skip
@click.option(
    "--weights",
    nargs=2,
    type=float,
    default=WEIGHTS,
    show_default=True,
    help="Weight of the shared part for a sharp face, and for any other.",
)
@click.option("--threads", type=int, default=None, help="CPU threads.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The map file to write.")
def main(
    student: str, store: Path, teachers: tuple[str, ...], holdout: int, ridge: float, power: float, back: float | None,
    sharp: Path | None, weights: tuple[float, float], threads: int | None, out: Path,
) -> None:  # fmt: skip
    """Fit the map onto the space of STUDENT."""
    try:
        make_map(student, Store(store), list(teachers), holdout, ridge, power, threads, back, weights, sharp).save(out)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out} written")


if __name__ == "__main__":
    main()

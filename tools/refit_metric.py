"""Bring a trained student's metric towards a teacher's: change the last layer of its file.

    python tools/refit_metric.py runs/shipped_r18_16px/last.safetensors --store data/faces_store --sharp data/faces \\
        --teacher data/mobilefacenet.onnx --out runs/shipped_r18_16px/refitted.safetensors

Uses the training faces that the index of ``--sharp`` names (see tools/join_faces.py): on blurred ones this teacher's embedding
tells the blur. The student gets them reduced, the teacher at full size. Held-out identities are not used. Do this before
tools/calibrate.py. The method is that of :mod:`lrface.train.teacher_metric`.
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
from lrface.models.weights import load_model, save_model
from lrface.train.recipe import DataSection
from lrface.train.split import split_store
from lrface.train.teacher_cache import cached_embeddings
from lrface.train.teacher_metric import teacher_metric
from lrface.train.whiten import fold


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--store", type=click.Path(path_type=Path), required=True, help="The store that the model was trained on."
)
@click.option("--sharp", type=click.Path(path_type=Path), required=True, help="Folder of sharp crops with index.csv.")
@click.option("--teacher", required=True, help="A teacher of the model.")
@click.option("--holdout", default=300, show_default=True, help="Identities that the recipe holds out.")
@click.option(
    "--ridge", default=0.1, show_default=True, help="Ridge penalty in units of the embeddings' mean variance."
)
@click.option("--weight", default=0.5, show_default=True, help="Weight of the student's own cosine.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The model file to write.")
def main(
    model: Path, store: Path, sharp: Path, teacher: str, holdout: int, ridge: float, weight: float, out: Path
) -> None:
    """Refit the metric of MODEL, a safetensors file."""
    try:
        faces, own, known = Store(store), open_embedder(model, runtime="torch"), open_embedder(teacher)
        train = split_store(faces, DataSection(store=str(store), holdout_identities=holdout)).train
        images = np.sort(train[sharp_among(faces, sharp)[train]])
        crops = [own.preprocessing.fit(faces.crop(int(image))) for image in images]
        embeddings = flip_sum(own, crops, batch_size=256, progress="student")
        targets = np.asarray(cached_embeddings(faces, known, flips=False)[0][images])
        network, card = load_model(model)
        fold(network, teacher_metric(embeddings, targets, ridge, weight))
        facts = {
            "teacher": str(known.card.get("source", teacher)), "fingerprint": known.fingerprint, "images": len(images),
            "ridge": ridge, "weight": weight,
        }  # fmt: skip
        save_model(out, network, {**card, "metric": facts})
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out}: refitted on {len(images):,} faces")


if __name__ == "__main__":
    main()

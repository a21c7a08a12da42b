"""Calibrate a model's similarities by the resolution and blur of both faces, and write the result into the model's card.

    python tools/calibrate.py runs/celeba_r18_16px/model.safetensors --store data/celeba_store \\
        --images data/lfw_mtcnn --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt

The faces are those of the identities that the recipe held out of the training store, and those of the given pairs. These must not
be pairs whose results are reported. Each face is reduced and blurred at random; see lrface/faces/calibration.py for the fit. The
card's thresholds become those of two sharp faces. Run this before tools/ship.py and `lrface export`, which copy the card.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.quality_tables import KNOTS, fit
from lrface.eval.verification import FARS
from lrface.faces.calibration import CARD_KEY, Calibration
from lrface.finetune.quality_samples import Source, held_out_source, listed_source, sample_qualities
from lrface.models.card import read_header, write_card
from lrface.models.embedder import GRAPH_SUFFIX, open_embedder


def gather(model: Path, store: str | None, images: str | None, pairs: tuple[str, ...]) -> list[Source]:
    """Open the faces for the calibration.

    Raises:
        LrfaceError: no faces are given, or they cannot be used for this model.
    """
    if bool(images) != bool(pairs):
        raise LrfaceError("--images and --pairs belong together: a store, and lists of pairs over its images")
    sources = []
    if store:
        sources.append(held_out_source(Store(store), read_header(model)[0]))
    if images:
        sources.append(listed_source(images, pairs))
    if not sources:
        raise LrfaceError("name faces to calibrate on: --store, or --images and --pairs")
    return sources


def calibrate(model: Path, sources: list[Source], faces: int, seed: int = 0) -> Calibration:
    """Fit a calibration of the model, and write it into its card.

    Args:
        model: file of the model.
        sources: faces for the calibration.
        faces: number of embeddings of each source.
        seed: of the random degradations.

    Raises:
        LrfaceError: the model cannot be read or written, has a graph next to it, or there are too few faces.
    """
    graph = model.with_name(model.stem + GRAPH_SUFFIX)
    if graph.exists():
        raise LrfaceError(f"{graph} belongs to {model} as it is: calibrate what training wrote, then tools/ship.py")
    embedder = open_embedder(model, threads=1, runtime="torch")
    found = fit(sample_qualities(embedder, sources, faces, seed))
    facts = {"sources": [{"name": source.name, **source.facts} for source in sources], "faces": faces, "seed": seed}
    calibration = replace(found, facts=facts)
    card, _ = read_header(model)
    top = float(KNOTS[-1])
    thresholds = {f"{far:g}": float(calibration.threshold(far, top, top)) for far in FARS}
    write_card(model, {**card, "thresholds": thresholds, CARD_KEY: calibration.as_dict()})
    return calibration


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(), default=None, help="The store that the model was trained on.")
@click.option("--images", type=click.Path(), default=None, help="Another store, of the images that the pairs name.")
@click.option("--pairs", type=click.Path(), multiple=True, help="Lists of pairs in LFW's format, View 1's; repeatable.")
@click.option("--faces", default=12000, show_default=True, help="Embeddings of each source.")
def main(model: Path, store: str | None, images: str | None, pairs: tuple[str, ...], faces: int) -> None:
    """Calibrate MODEL, a safetensors file."""
    start = time.perf_counter()
    try:
        calibration = calibrate(model, gather(model, store, images, pairs), faces)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    for far in FARS:
        row = " ".join(f"{float(calibration.threshold(far, knot, knot)):6.3f}" for knot in KNOTS)
        click.echo(f"threshold at {far:<6g} {row}   (both of {', '.join(f'{knot:g}' for knot in KNOTS)} px)")
    click.echo("recognisable        " + " ".join(f"{part:6.2f}" for part in calibration.recognisable))
    click.echo(f"{model}: calibrated in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

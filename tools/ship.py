"""Put a trained model into the package: its weights in half precision, its graph, an int8 model, and all checksums.

python tools/ship.py runs/celeba_r18_16px/model.safetensors lrface-r18-16px --facts lrface/weights/lrface-r18-16px.yaml \\
    --calibration data/celeba_store --images data/lfw_store --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt
"""

import sys
import tempfile
from pathlib import Path

import click
import yaml

from lrface.data.sets.pair_set import PairSet, from_store
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest, looked_in, write_json
from lrface.models import shipped
from lrface.models.card import read_header
from lrface.models.preprocessing import Preprocessing
from lrface.models.weights import load_model, save_model

REQUIRED = ("licence", "data_licence", "teacher", "overlap_check", "intended_use", "limits")
MAX_BYTES = 30_000_000
INT8 = "-int8"


def ship(
    model_file: Path,
    name: str,
    facts: dict[str, str],
    calibration: Store | None = None,
    pairs: PairSet | None = None,
    default: bool = False,
    int8_only: bool = False,
) -> list[Path]:
    """Write the model ``name`` into the package, and also ``name-int8`` if there are faces for its calibration.

    Args:
        model_file: written by the training.
        name: of the shipped model.
        facts: additional facts for the card: ``REQUIRED`` and others.
        calibration, pairs: for int8, see :func:`lrface.export.run.export`. Without them, an int8 file of earlier weights
            is removed.
        default: make it the default model. The first model becomes the default anyway.
        int8_only: do not ship the half-precision weights, to keep the package small.

    Returns:
        The files.

    Raises:
        LrfaceError: the model cannot be read, a required fact is missing, a file would be too large, or an export
            differs from the model.
    """
    from lrface.export.linked import write_graph
    from lrface.export.run import export

    if int8_only and calibration is None:
        raise LrfaceError("int8 needs faces to calibrate on: give --calibration")
    check(model_file, facts, calibration)
    model, card = load_model(model_file)
    int8 = f"{name}{INT8}"
    with tempfile.TemporaryDirectory() as folder:  # so that either all files or none are written
        path = Path(folder) / f"{name}.safetensors"
        save_model(path, model, card | facts | {"name": name}, half=True)
        files = [path, write_graph(path)]
        if calibration is not None:
            files.append(export(path, path.with_name(f"{int8}.onnx"), True, False, calibration, pairs).path)
        if int8_only:
            files = files[2:]
        for file in files:
            if file.stat().st_size > MAX_BYTES:
                raise LrfaceError(
                    f"{file.name} would take {file.stat().st_size:,} bytes in the package, at most {MAX_BYTES:,} may"
                )
        models = {} if int8_only else {name: path.name}
        models |= {int8: files[-1].name} if calibration is not None else {}
        return _install(models, files, {name: path.name, int8: f"{int8}.onnx"}, default)


def check(model_file: Path, facts: dict[str, str], calibration: Store | None) -> None:
    """Check the facts and the files' headers before faces are read.

    Raises:
        LrfaceError: a required fact is missing, the model has no header, or the store's crops are too small for it.
    """
    missing = [key for key in REQUIRED if not facts.get(key)]
    if missing:
        raise LrfaceError(f"the facts lack {', '.join(missing)}: a shipped model's card must say them")
    if not model_file.is_file():
        raise LrfaceError(f"no model file at {model_file} ({looked_in(model_file)})")
    card, _ = read_header(model_file)
    side = Preprocessing.from_card(card.get("preprocessing"), model_file).input_size
    if calibration is not None and calibration.size < side:
        raise LrfaceError(f"{calibration.path} holds crops of {calibration.size} px and the model takes {side} px")


def _install(models: dict[str, str], files: list[Path], replaced: dict[str, str], default: bool) -> list[Path]:
    """Move the files into the package, in place of earlier ones, and enter them in its listing."""
    listing = shipped.listing()
    for model, known in replaced.items():
        listing["models"].pop(model, None)
        listing["sha256"].pop(known, None)
        if known not in models.values():
            (shipped.WEIGHTS / known).unlink(missing_ok=True)
    shipped.WEIGHTS.mkdir(exist_ok=True)
    for file in files:
        with atomic_write(shipped.WEIGHTS / file.name) as written:
            written.write(file.read_bytes())
        listing["sha256"][file.name] = file_digest(file)
    listing["models"] |= models
    if default or listing["default"] not in listing["models"]:
        listing["default"] = next(iter(models))
    write_json(shipped.WEIGHTS / shipped.LISTING, listing)
    return [shipped.WEIGHTS / file.name for file in files]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("name")
@click.option(
    "--facts", required=True, type=click.Path(exists=True, path_type=Path), help="YAML with the card's facts."
)
@click.option("--calibration", type=click.Path(), default=None, help="Store of real faces; without it no int8.")
@click.option("--images", type=click.Path(), default=None, help="Store of the pairs' images.")
@click.option("--pairs", type=click.Path(), multiple=True, help="Pairs that int8 is measured on; repeatable.")
@click.option("--int8-only", is_flag=True, help="Leave the half-precision weights out.")
@click.option("--default", is_flag=True, help="Make it the model that is used when none is named.")
def main(
    model: Path, name: str, facts: Path, calibration: str | None, images: str | None, pairs: tuple[str, ...],
    int8_only: bool, default: bool,
) -> None:  # fmt: skip
    """Put MODEL into the package as NAME, and as NAME-int8."""
    try:
        store, said = Store(calibration) if calibration else None, yaml.safe_load(facts.read_text())
        check(model, said, store)
        chosen = from_store(images, pairs) if images else None
        for path in ship(model, name, said, store, chosen, default, int8_only):
            click.echo(f"{path}: {path.stat().st_size:,} bytes")
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

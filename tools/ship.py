"""Put a trained model into the package: half precision, with the facts that its card must carry.

python tools/ship.py runs/celeba_r18_16px/model.safetensors lrface-r18-16px --facts lrface/weights/lrface-r18-16px.yaml
"""

import sys
from pathlib import Path

import click
import yaml

from lrface.errors import LrfaceError
from lrface.models.weights import load_model, save_model

WEIGHTS = Path(__file__).parent.parent / "lrface" / "weights"
REQUIRED = ("licence", "data_licence", "teacher", "overlap_check", "intended_use", "limits")
MAX_BYTES = 30_000_000


def ship(model_file: Path, name: str, facts: dict[str, str]) -> Path:
    """Write ``name`` into the package.

    Raises:
        LrfaceError: the model cannot be read, a required fact is missing, or the file would be too large.
    """
    missing = [key for key in REQUIRED if not facts.get(key)]
    if missing:
        raise LrfaceError(f"the facts lack {', '.join(missing)}: a shipped model's card must say them")
    model, card = load_model(model_file)
    path = WEIGHTS / f"{name}.safetensors"
    save_model(path, model, card | facts | {"name": name}, half=True)
    if path.stat().st_size > MAX_BYTES:
        size = path.stat().st_size
        path.unlink()
        raise LrfaceError(f"{name} would take {size:,} bytes in the package, at most {MAX_BYTES:,} may")
    return path


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("name")
@click.option(
    "--facts", required=True, type=click.Path(exists=True, path_type=Path), help="YAML with the card's facts."
)
def main(model: Path, name: str, facts: Path) -> None:
    """Put MODEL into the package as NAME."""
    try:
        path = ship(model, name, yaml.safe_load(facts.read_text()))
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

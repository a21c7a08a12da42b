"""``lrface train``."""

from pathlib import Path
from typing import Any

import click

from lrface.cli.options import DATA_ROOT, FilePath


@click.command("train")
@click.argument("recipe", type=FilePath())
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, e.g. optim.lr=0.02; repeatable."
)
@click.option("--out", type=FilePath(), default=None, help="Folder of the run.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Continue from the run's last checkpoint.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, cuda:0,1, mps.")
@DATA_ROOT
def command(
    recipe: str, overrides: tuple[str, ...], out: str | None, resume: bool, device: str, data_root: str
) -> None:
    """Train the model that RECIPE describes.

    On several GPUs: torchrun --nproc-per-node 4 -m lrface train RECIPE. After Ctrl-C, --resume continues the run.
    """
    from lrface.objects.recipe import is_object_recipe
    from lrface.train.recipe import parse_recipe
    from lrface.train.run import train
    from lrface.train.schema import read_yaml

    content = read_yaml(recipe, "recipe", overrides)
    if is_object_recipe(content):
        _train_objects(content, recipe, out, resume, device, data_root)
        return
    loaded = parse_recipe(content, recipe)
    folder = Path(out) if out else Path("runs") / loaded.name
    result = train(loaded, folder, data_root, device, resume)
    if not result.finished:
        raise click.Abort
    if result.history:
        best = max(result.history, key=lambda entry: entry["accuracy"])
        click.echo(f"best epoch {best['epoch']:g}: validation accuracy {100 * best['accuracy']:.2f} %")
    click.echo(f"model: {result.model}")


def _train_objects(content: Any, recipe: str, out: str | None, resume: bool, device: str, data_root: str) -> None:
    from lrface.objects.recipe import parse_object_recipe
    from lrface.objects.run import train_objects

    loaded = parse_object_recipe(content, recipe)
    folder = Path(out) if out else Path("runs") / "objects" / loaded.name
    result = train_objects(loaded, folder, data_root, device, resume)
    if not result.finished or result.accuracy is None:
        raise click.Abort
    click.echo(f"test accuracy: {100 * result.accuracy:.2f} %")
    click.echo(f"model: {result.model}")

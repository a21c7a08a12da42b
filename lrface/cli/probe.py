"""``lrface probe``."""

from pathlib import Path

import click

from lrface.cli.options import DATA_ROOT


@click.command("probe")
@click.argument("model", type=click.Path())
@click.option("--set", "name", required=True, help="shapes, cifar100, svhn, stl10 or tinyimagenet.")
@click.option("--path", default=None, help="Where the set lies under the data root.  [default: a folder of its name]")
@DATA_ROOT
def command(model: str, name: str, path: str | None, data_root: str) -> None:
    """Train a linear classifier on the frozen features of MODEL, and measure it on the set's test pictures."""
    from lrface.objects.probe import linear_probe

    found = linear_probe(model, name, Path(data_root) / (path or name))
    click.echo(f"test accuracy: {100 * found.accuracy:.2f} %")
    click.echo(f"strength C = {found.strength:g}, chosen on held-out training pictures ({100 * found.held_out:.2f} %)")

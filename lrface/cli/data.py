"""``lrface data``."""

from pathlib import Path

import click

from lrface.cli.options import DATA_ROOT
from lrface.errors import LrfaceError


@click.group("data")
def command() -> None:
    """Get data sets, or be told where they are to be had."""


@command.command("list")
@DATA_ROOT
def list_sets(data_root: str) -> None:
    """List the known data sets, and which of them lie under the data root."""
    from lrface.data.catalog import find

    for found in find(data_root):
        click.echo(f"{found.state:<10}  {found.dataset.name:<13}  {found.dataset.title}")
    click.echo(f"data root: {Path(data_root).resolve()}; `lrface data where NAME` tells more")


@command.command("where")
@click.argument("name")
@DATA_ROOT
def where(name: str, data_root: str) -> None:
    """Tell where the data set NAME is to be had, under which terms, and which layout is expected."""
    from lrface.data.catalog import dataset, find

    entry = dataset(name)
    found = next(found for found in find(data_root) if found.dataset is entry)
    layout = entry.layout.replace("\n", "\n         ")
    click.echo(f"{entry.title}\nfor:     {entry.purpose}\nterms:   {entry.terms}\nfrom:    {entry.source}")
    click.echo(
        f"layout:  {layout}\nuse:     {entry.use}\nhere:    {found.state} under {Path(data_root).resolve()}", nl=False
    )
    click.echo(f", lacking {', '.join(found.missing)}" if found.state == "incomplete" else "")


@command.command("get")
@click.argument("name")
@click.option("--out", type=click.Path(), default=None, help="Folder to make.  [default: lfw in the data root]")
@DATA_ROOT
def get(name: str, out: str | None, data_root: str) -> None:
    """Download the data set NAME; only lfw can be had without a form."""
    from lrface.data.catalog import dataset
    from lrface.data.fetch import fetch_lfw

    entry = dataset(name)
    if entry.name != "lfw":
        raise LrfaceError(f"{entry.name} cannot be fetched by a program; see `lrface data where {entry.name}`")
    folder = Path(out) if out else Path(data_root) / "lfw"
    click.echo("LFW, some 230 MB, by scikit-learn's fetcher: this can take some minutes ...", err=True)
    click.echo(f"{fetch_lfw(folder):,} images and the pairs files of Views 1 and 2: {folder}")

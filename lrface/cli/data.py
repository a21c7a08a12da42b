"""``lrface data``."""

import os
from pathlib import Path

import click

from lrface.cli.options import DATA_ROOT, DEVICE, EYES, FACE, FilePath
from lrface.errors import LrfaceError


@click.group("data")
def command() -> None:
    """Download, locate, rehearse or split data sets."""


@command.command("list")
@DATA_ROOT
def list_sets(data_root: str) -> None:
    """List the known data sets, and which of them lie under the data root."""
    from lrface.data.sets.catalog import find

    for found in find(data_root):
        click.echo(f"{found.state:<10}  {found.dataset.name:<13}  {found.dataset.title}")
    click.echo(f"data root: {Path(data_root).resolve()}; `lrface data where NAME` tells more")


@command.command("where")
@click.argument("name")
@DATA_ROOT
def where(name: str, data_root: str) -> None:
    """Tell where the data set NAME can be obtained, under which terms, and which layout is expected."""
    from lrface.data.sets.catalog import dataset, find

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
@click.option("--out", type=FilePath(), default=None, help="Folder to make.  [default: NAME in the data root]")
@DATA_ROOT
def get(name: str, out: str | None, data_root: str) -> None:
    """Download the data set NAME: lfw, cifar100, svhn or stl10. For the others see `lrface data where NAME`."""
    from lrface.data.sets.catalog import dataset
    from lrface.data.sets.fetch import fetch_lfw
    from lrface.objects.data.fetch import FETCHED, fetch_objects

    entry = dataset(name)
    if entry.name in FETCHED:
        folder = Path(out) if out else Path(data_root) / entry.name
        fetch_objects(entry.name, folder)
        click.echo(f"{entry.title}: {folder}")
        return
    if entry.name != "lfw":
        raise LrfaceError(f"{entry.name} cannot be fetched by a program; see `lrface data where {entry.name}`")
    folder = Path(out) if out else Path(data_root) / "lfw"
    click.echo("LFW, some 230 MB, by scikit-learn's fetcher: this can take some minutes ...", err=True)
    click.echo(f"{fetch_lfw(folder):,} images and the pairs files of Views 1 and 2: {folder}")


@command.command("rehearse")
@click.argument("source", type=FilePath())
@click.option("--out", type=FilePath(), required=True, help="Data root to make the sets in.")
@click.option(
    "--set", "sets", multiple=True, type=click.Choice(["tinyface", "uccs", "survface", "scface"]),
    help="Set to rehearse; repeatable.  [default: all]",
)  # fmt: skip
@click.option(
    "--detector", default=None, type=click.Choice(["insightface", "centerface", "mtcnn", "dlib", "landmarks", "eyes", "none"]),
    help="How faces are found in a folder of photos; none: aligned crops.  "
    "[default: insightface; landmarks with --landmarks; eyes with --eyes]",
)  # fmt: skip
@click.option("--landmarks", type=FilePath(), default=None, help="CSV: path, then 2 eyes or 5 points.")
@EYES
@FACE
@click.option("--seed", default=5, show_default=True, help="Seed of the choice of people and of the degradations.")
@click.option(
    "--disjoint-from", multiple=True, type=FilePath(), metavar="STORE",
    help="Leave out people of the same name as in this store; repeatable.",
)  # fmt: skip
@click.option(
    "--workers",
    default=os.cpu_count() or 1,
    show_default="all cores",
    type=click.IntRange(1),
    help="Processes that find faces.",
)
@DEVICE
@click.option("--overwrite", is_flag=True, help="Replace rehearsals that were made with other options.")
def rehearse_sets(
    source: str, out: str, sets: tuple[str, ...], detector: str | None, landmarks: str | None,
    eyes: tuple[float, float, float, float] | None, face: str, seed: int, disjoint_from: tuple[str, ...], workers: int,
    device: str, overwrite: bool,
) -> None:  # fmt: skip
    """Make small degraded faces from SOURCE, in the layouts of TinyFace, UCCS, QMUL-SurvFace and SCface.

    SOURCE is a folder per identity, or a store that `lrface prepare` made.
    """
    from lrface.data.crop import Settings
    from lrface.data.rehearse import SETS, rehearse

    settings = None
    if detector or landmarks or eyes or not any(Path(source).glob("shard-*-of-*")):
        detector = detector or ("landmarks" if landmarks else "eyes" if eyes else "insightface")
        settings = Settings(detector=detector, eyes=eyes, face=face)
    for made in rehearse(
        source, out, sets or tuple(SETS), settings, landmarks, seed, disjoint_from,
        workers=workers, device=device, overwrite=overwrite,
    ):  # fmt: skip
        counts = ", ".join(f"{count:,} {what}" for what, count in made.marker["counts"].items())
        click.echo(f"{made.folder}: {counts}{'' if made.made else ' (there already)'}")
        if disjoint_from:
            click.echo(f"  {made.marker['people_left_out']:,} people left out, named as in {', '.join(disjoint_from)}")
        for note in made.marker["notes"]:
            click.echo(f"  {note}")


@command.command("split")
@click.argument("source", type=FilePath())
@click.option("--out", type=FilePath(), required=True, help="CSV file to write: path,subject_id,split.")
@click.option("--subjects", default=180, show_default=True, type=click.IntRange(2), help="People to draw.")
@click.option("--train", default=3918, show_default=True, type=click.IntRange(2), help="Training images.")
@click.option("--test", default=907, show_default=True, type=click.IntRange(2), help="Test images.")
@click.option("--seed", default=5, show_default=True, help="Seed of the draw.")
def split(source: str, out: str, subjects: int, train: int, test: int, seed: int) -> None:
    """Draw people and divide their images into training and test, for identification as on UCCS.

    SOURCE holds the UCCS challenge's gallery.csv and validation.csv, or a folder per identity. The split depends only on
    the names and the seed. It is this project's own split: the one used in the literature was never published.
    """
    from lrface.data.sets.uccs import build_split, write_split

    made = build_split(source, subjects, train, test, seed)
    write_split(made, out, source)
    click.echo(f"{made.subjects} people, {len(made.train):,} training and {len(made.test):,} test images: {out}")
    for note in made.notes:
        click.echo(f"  {note}")

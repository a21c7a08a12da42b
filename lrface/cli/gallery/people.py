"""``lrface gallery rename`` and ``remove``."""

import json
import sys

import click

from lrface.cli.gallery.options import GALLERY, JSON, notify
from lrface.cli.options import FilePath


@click.command("rename")
@click.argument("name")
@click.argument("new")
@click.option("--yes", is_flag=True, help="If NEW exists already, merge without asking.")
@GALLERY
@JSON
def rename(name: str, new: str, yes: bool, folder: str, as_json: bool) -> None:
    """Rename NAME to NEW. If NEW exists already, the two become one person, and an image of both is counted once."""
    from lrface.recognition.gallery import Gallery, NameTakenError

    with Gallery.open(folder, notify=notify) as gallery:
        try:
            moved = gallery.rename(name, new, merge=yes)
        except NameTakenError as error:
            if not sys.stdin.isatty():
                raise NameTakenError(f"{error} (--yes merges them)") from error
            click.confirm(f"There is somebody called {new} already. Merge {name} into this person?", abort=True)
            moved = gallery.rename(name, new, merge=True)
    answer = {"name": name, "new": new, "faces": moved}
    click.echo(json.dumps(answer) if as_json else f"{name} is called {new}, {moved:,} faces")


@click.command("remove")
@click.argument("name")
@click.option(
    "--photo", type=FilePath(), default=None,
    help="Remove only the face of this photo: the file, or the path that it was enrolled from.",
)  # fmt: skip
@GALLERY
@JSON
def remove(name: str, photo: str | None, folder: str, as_json: bool) -> None:
    """Remove NAME with all faces from every file of the gallery."""
    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder, notify=notify) as gallery:
        gone = gallery.remove(name) if photo is None else gallery.remove_photo(name, photo)
    if as_json:
        click.echo(json.dumps({"name": name, "removed": gone} | ({} if photo is None else {"photo": photo})))
    elif photo is None:
        click.echo(f"{name} removed, {gone:,} faces")
    else:
        click.echo(f"{gone:,} {'face' if gone == 1 else 'faces'} of {name} removed: {photo}")

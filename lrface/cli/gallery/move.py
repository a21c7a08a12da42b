"""``lrface gallery copy`` and ``reembed``."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from lrface.cli.gallery.options import GALLERY, JSON, enrol_options, notify, open_gallery
from lrface.cli.options import FilePath


@click.command("copy")
@click.argument("source", metavar="FROM", type=FilePath())
@click.argument("target", metavar="TO", type=FilePath())
@JSON
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy the gallery FROM to TO, where none is yet: folders, or postgresql://USER@HOST/DATABASE.

    All faces of both are compared afterwards. Killed at any moment, the same command goes on; until it has ended well, nobody
    can open the copy.
    """
    from lrface.recognition.gallery.copy import copy_gallery

    copied = copy_gallery(source, target, notify=notify)
    if as_json:
        click.echo(json.dumps(copied.as_dict()))
        return
    click.echo(f"{copied.people:,} people, {copied.faces:,} faces copied from {copied.source} to {copied.target}")
    click.echo(
        f"checked, equal on both sides: people, faces, model {copied.model_name} ({copied.model[:12]}), sum of all embeddings "
        f"{copied.total:.6f}, and each face's name, image, source, date, detail and embedding (SHA-256 {copied.digest[:12]})"
    )


@click.command("reembed")
@click.argument("target", metavar="TO", type=FilePath())
@GALLERY
@click.option(
    "--crops", type=FilePath(file_okay=False), default=None, metavar="FOLDER",
    help="Where `lrface serve --keep-crops` kept crops; they are used before the photos.",
)  # fmt: skip
@click.option(
    "--force", is_flag=True, help="Embed unusable faces, too, and the face in the middle of several of like size."
)
@JSON
@enrol_options
def reembed(target: str, folder: str, crops: str | None, force: bool, as_json: bool, **model: Any) -> None:
    """Embed the people of the gallery anew, into the gallery TO: by another --model, from kept crops or the photos they had.

    The gallery itself stays as it is. A photo is used if it is where it was and has not changed. What cannot be embedded is
    listed. Killed at any moment, the same command goes on; so it does with other options, such as --detector none for crops.
    Exit status: 0 everybody is there, 1 some faces are lacking, 2 error.
    """
    from lrface.recognition.gallery.reembed import reembed as run
    from lrface.recognition.gallery.stores import open_store

    open_store(folder).close()  # that it is missing should not come out after a model was loaded, and TO made
    with open_gallery(target, model) as gallery:
        report = run(folder, gallery, None if crops is None else Path(crops), force)
    for name, source, reason in report.lacking:
        click.echo(f"lacking {name}: {source}: {reason}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        lacking = [{"name": name, "photo": source, "reason": reason} for name, source, reason in report.lacking]
        counts = {"people": report.people, "faces": report.faces, "added": report.added, "known": report.known}
        click.echo(json.dumps(counts | {"from_crops": report.from_crops, "lacking": lacking, "notes": report.notes}))
    else:
        click.echo(
            f"{report.faces:,} faces of {report.people:,} people: {report.added:,} embedded, {report.from_crops:,} of them "
            f"from kept crops, {report.known:,} there already, {len(report.lacking):,} lacking"
        )
        for reason, count in Counter(reason for _, _, reason in report.lacking).most_common():
            click.echo(f"{count:6,}  {reason}")
    sys.exit(1 if report.lacking else 0)

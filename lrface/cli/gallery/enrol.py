"""``lrface gallery add`` and ``import``."""

import json
import sys
from collections import Counter
from typing import Any

import click

from lrface.cli.gallery.options import GALLERY, JSON, enrol_options, open_gallery
from lrface.cli.options import FilePath

#: Maximum number of faces for the check after an import. It would take minutes for a larger gallery.
CHECKED = 20_000

EXACT_LIMIT = click.option(
    "--exact-limit", type=click.IntRange(100), default=None,
    help="Number of faces above which searches are approximate; stored in the gallery.  [default: 100000]",
)  # fmt: skip
FORCE = click.option(
    "--force", is_flag=True,
    help="Also enrol what is skipped otherwise: tiny, blurred or flat faces, which resemble everybody; photos of several faces; "
    "an image that is enrolled under another name; a face that resembles another person too much.",
)  # fmt: skip


@click.command("add")
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, type=FilePath())
@GALLERY
@EXACT_LIMIT
@FORCE
@JSON
@enrol_options
def add(
    name: str, photos: tuple[str, ...], folder: str, exact_limit: int | None, force: bool, as_json: bool, **model: Any
) -> None:
    """Enrol the main face of each of PHOTOS (files, or folders of files) as NAME. A new gallery is made if there is none.

    Photos without a usable face are named, counted and skipped. So are photos that are enrolled under another name, and
    faces that resemble another person too much. If no photo is usable, the exit status is 2. Tiny or blurred faces are
    skipped because they resemble everybody: a gallery with them gives confident wrong answers. --force enrols them.
    """
    from lrface.data.folders import Passed
    from lrface.recognition.embed_files import list_images
    from lrface.recognition.gallery.names import checked_name

    checked_name(name)
    passed = Passed()
    paths = list_images(photos, passed)
    with open_gallery(folder, model, exact_limit=exact_limit) as gallery:
        report = gallery.add(name, paths, force)
    report.refused += passed.rows
    report.notes += passed.notes()
    _tell(report, {"name": name, "images": len(paths) + len(passed.rows)}, as_json)


@click.command("import")
@click.argument("source", metavar="FOLDER", type=FilePath())
@GALLERY
@EXACT_LIMIT
@FORCE
@JSON
@enrol_options
def import_(source: str, folder: str, exact_limit: int | None, force: bool, as_json: bool, **model: Any) -> None:
    """Enrol the people of FOLDER, which has a subfolder of photos for each person, named like the person.

    The command can be killed at any time; run it again to continue. Photos without a usable face are named and counted. If
    no photo is usable, the exit status is 2. The gallery is checked afterwards as by `lrface gallery check`, and a note is
    printed if faces resemble another person.
    """
    from lrface.recognition.gallery import import_folder

    with open_gallery(folder, model, exact_limit=exact_limit) as gallery:
        report = import_folder(gallery, source, force)
        if report.added:
            report.notes += _check(gallery)
    _tell(report, {"people": report.people, "images": report.images}, as_json)


def _check(gallery: Any) -> list[str]:
    """A note if some faces of the gallery may have a wrong name."""
    if not gallery.needed_encoder.thresholds:
        return []
    if gallery.info()["faces"] > CHECKED:
        return [f"a gallery of more than {CHECKED:,} faces is not checked by itself: `lrface gallery check` does"]
    count = len(gallery.suspects())
    faces = "1 face resembles" if count == 1 else f"{count:,} faces resemble"
    return [f"{faces} somebody else, or nobody: `lrface gallery check` lists them"] if count else []


def _tell(report: Any, facts: dict[str, Any], as_json: bool) -> None:
    """Print the result of an enrolment, and exit."""
    for name, reason in report.refused:
        click.echo(f"left out {name}: {reason}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    reasons = Counter(reason for _, reason in report.refused)
    if as_json:
        refused = [{"image": name, "reason": reason} for name, reason in report.refused]
        counts = {"added": report.added, "known": report.known, "left_out": refused, "notes": report.notes}
        click.echo(json.dumps(facts | counts))
    else:
        click.echo(
            f"{facts['images']:,} images: {report.added:,} faces enrolled, {report.known:,} there already, ", nl=False
        )
        click.echo(f"{len(report.refused):,} left out")
        for reason, count in reasons.most_common() if len(report.refused) > 1 else []:
            click.echo(f"{count:6,}  {reason}")
    sys.exit(0 if report.added + report.known else 2)

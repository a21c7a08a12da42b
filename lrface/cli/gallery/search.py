"""``lrface gallery search``."""

import json
import sys
from typing import Any

import click

from lrface.cli.all_faces import DRAW, check_draw, draw_answers, report_face
from lrface.cli.gallery.options import GALLERY, JSON, open_gallery, search_options
from lrface.cli.options import FilePath


@click.command("search")
@click.argument("photo", type=FilePath())
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="How many people to name.")
@click.option(
    "--far",
    default=0.001,
    show_default=True,
    help="False accept rate of one comparison, within the range that the model was calibrated for.",
)
@click.option("--threshold", type=click.FloatRange(-1, 1), default=None, help="Cosine threshold instead of --far.")
@GALLERY
@DRAW
@JSON
@search_options
def search(
    photo: str, top: int, far: float, threshold: float | None, folder: str, draw: str | None, as_json: bool, **model: Any
) -> None:  # fmt: skip
    """Tell who the main face of PHOTO is. Exit status: 0 somebody of the gallery, 1 unknown, 2 error.

    A risk is printed for each candidate: the probability that a stranger of this image quality reaches such a similarity
    to somebody in a gallery of this size. With --face all every face is searched. The exit status is then 0 if at least one
    face has a name, 1 if all are unknown, and 2 if there is no face.
    """
    check_draw(model["face"], [photo], draw)
    if model["face"] == "all":
        with open_gallery(folder, {**model, "face": "largest-central"}, create=False) as gallery:
            found = gallery.search_all(photo, top, far, threshold)
        sys.exit(_tell_all(photo, found, draw, as_json))
    with open_gallery(folder, model, create=False) as gallery:
        answer = gallery.search(photo, top, far, threshold)
    if as_json:
        click.echo(json.dumps({"photo": photo, **answer.as_dict()}))
    else:
        _tell(answer)
    sys.exit(0 if answer.name is not None else 1)


def _tell(answer: Any) -> None:
    from lrface.recognition.gallery.risk import percent

    click.echo(answer.name or "unknown")
    width = max((len(match.name) for match in answer.matches), default=0)
    for match in answer.matches:
        risk = "" if match.risk is None else f", risk of a stranger {percent(match.risk, match.risk_bound)}"
        click.echo(
            f"  {'*' if match.same else ' '} {match.name:<{width}}  similarity {match.similarity:.4f}, "
            f"threshold {match.threshold:.4f}{risk}  {match.photo}"
        )
    origin = "given threshold" if answer.far is None else f"false accept rate {answer.far:g} a comparison"
    click.echo(f"{answer.people:,} people, {answer.faces:,} faces, {answer.method} search, {origin}")
    for note in answer.notes:
        click.echo(f"note: {note}")
    for warning in answer.warnings:
        click.echo(f"warning: {warning}")


def _tell_all(photo: str, found: list[Any], draw: str | None, as_json: bool) -> int:
    """Print and draw the identities of all faces of an image. Returns the exit status."""
    from lrface.recognition.gallery.risk import percent

    if not found:
        click.echo(f"{photo}: no face found", err=True)
    named = []
    for number, (cropped, answer) in enumerate(found, 1):
        best = answer.matches[0] if answer.matches else None
        text = answer.name or "unknown"
        if best is not None:
            nearest = "" if answer.name else f", nearest {best.name}"
            text += f"{nearest}, similarity {best.similarity:.4f}, threshold {best.threshold:.4f}"
            if best.risk is not None:
                text += f", risk of a stranger {percent(best.risk, best.risk_bound)}"
        report_face(photo, number, len(found), cropped, answer.as_dict(), text, as_json)
        named.append((cropped, answer.name, best.similarity if best else 0.0))
    if draw:
        draw_answers(photo, named, draw)
    return 2 if not found else int(not any(answer.name for _, answer in found))

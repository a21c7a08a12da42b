"""``lrface gallery``."""

import json
import sys
from collections import Counter
from typing import Any

import click

from lrface.cli.all_faces import DRAW, check_draw, draw_answers, report_face
from lrface.cli.options import (
    DEVICE,
    ENCODER_DETECTOR,
    FACE,
    FACE_OR_ALL,
    FACE_TO_ENROL,
    MIN_FACE,
    MODEL,
    RUNTIME,
    SHARP,
    THREADS,
    TURN,
    FilePath,
)  # fmt: skip

GALLERY = click.option(
    "--gallery", "folder", envvar="LRFACE_GALLERY", default="gallery", show_default="LRFACE_GALLERY, else gallery",
    type=FilePath(), help="Folder of the gallery.",
)  # fmt: skip
EXACT_LIMIT = click.option(
    "--exact-limit", type=click.IntRange(100), default=None,
    help="Number of faces above which searches are approximate, kept with the gallery.  [default: 100000]",
)  # fmt: skip
FORCE = click.option(
    "--force",
    is_flag=True,
    help="Enrol what is left out otherwise: tiny, blurred or flat faces, which resemble everybody; photos of several faces.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _encoder_options(function: Any, face: Any = FACE) -> Any:
    for option in (THREADS, SHARP, RUNTIME, DEVICE, TURN, face, MIN_FACE, ENCODER_DETECTOR, MODEL):
        function = option(function)
    return function


def _search_options(function: Any) -> Any:
    return _encoder_options(function, FACE_OR_ALL)


def _enrol_options(function: Any) -> Any:
    return _encoder_options(function, FACE_TO_ENROL)


@click.group("gallery")
def command() -> None:
    """A gallery of named people: enrol their faces, ask who somebody is.

    Several processes may use a gallery at once, on one machine.
    """


@command.command("add")
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, type=FilePath())
@GALLERY
@EXACT_LIMIT
@FORCE
@JSON
@_enrol_options
def add(
    name: str, photos: tuple[str, ...], folder: str, exact_limit: int | None, force: bool, as_json: bool, **model: Any
) -> None:
    """Enrol the main face of each of PHOTOS (files, or folders of files) as NAME; the first one makes the gallery.

    A photo without a usable face is counted and named, and left out; if none is usable the exit status is 2. A gallery
    that holds tiny or blurred faces answers with confidence for everyone: those want --force.
    """
    from lrface.recognition.embed_files import list_images
    from lrface.recognition.gallery.names import checked_name

    checked_name(name)
    paths = list_images(photos)
    with _open(folder, model, exact_limit=exact_limit) as gallery:
        report = gallery.add(name, paths, force)
    _tell(report, {"name": name, "images": len(paths)}, as_json)


@command.command("import")
@click.argument("source", metavar="FOLDER", type=FilePath())
@GALLERY
@EXACT_LIMIT
@FORCE
@JSON
@_enrol_options
def import_(source: str, folder: str, exact_limit: int | None, force: bool, as_json: bool, **model: Any) -> None:
    """Enrol the people of FOLDER: a subfolder of photos for each, called as the person is.

    Killed at any moment, the same command goes on where it was. Photos without a usable face are counted and named; if
    none is usable the exit status is 2.
    """
    from lrface.recognition.gallery import import_folder

    with _open(folder, model, exact_limit=exact_limit) as gallery:
        report = import_folder(gallery, source, force)
    _tell(report, {"people": report.people, "images": report.images}, as_json)


@command.command("search")
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
@_search_options
def search(
    photo: str, top: int, far: float, threshold: float | None, folder: str, draw: str | None, as_json: bool, **model: Any
) -> None:  # fmt: skip
    """Tell who the main face of PHOTO is. Exit status: 0 somebody of the gallery, 1 unknown, 2 error.

    With --face all every face is searched for, and the status is 0 if one of them is somebody, 2 if there is no face.
    """
    check_draw(model["face"], [photo], draw)
    if model["face"] == "all":
        with _open(folder, {**model, "face": "largest-central"}, create=False) as gallery:
            found = gallery.search_all(photo, top, far, threshold)
        sys.exit(_tell_all(photo, found, draw, as_json))
    with _open(folder, model, create=False) as gallery:
        answer = gallery.search(photo, top, far, threshold)
    if as_json:
        click.echo(json.dumps({"photo": photo, **answer.as_dict()}))
    else:
        click.echo(answer.name or "unknown")
        width = max((len(match.name) for match in answer.matches), default=0)
        for match in answer.matches:
            sure = "" if match.probability is None else f", probability {match.probability:.3f}"
            click.echo(
                f"  {'*' if match.same else ' '} {match.name:<{width}}  similarity {match.similarity:.4f}, "
                f"threshold {match.threshold:.4f}{sure}  {match.photo}"
            )
        origin = "given threshold" if answer.far is None else f"false accept rate {answer.far:g} a comparison"
        click.echo(f"{answer.people:,} people, {answer.faces:,} faces, {answer.method} search, {origin}")
        for note in answer.notes:
            click.echo(f"note: {note}")
        for warning in answer.warnings:
            click.echo(f"warning: {warning}")
    sys.exit(0 if answer.name is not None else 1)


def _tell_all(photo: str, found: list[Any], draw: str | None, as_json: bool) -> int:
    """Print and draw who the faces of an image are; return the exit status."""
    if not found:
        click.echo(f"{photo}: no face found", err=True)
    named = []
    for number, (look, answer) in enumerate(found, 1):
        best = answer.matches[0] if answer.matches else None
        text = answer.name or "unknown"
        if best is not None:
            nearest = "" if answer.name else f", nearest {best.name}"
            text += f"{nearest}, similarity {best.similarity:.4f}, threshold {best.threshold:.4f}"
        report_face(photo, number, len(found), look, answer.as_dict(), text, as_json)
        named.append((look, answer.name, best.similarity if best else 0.0))
    if draw:
        draw_answers(photo, named, draw)
    return 2 if not found else int(not any(answer.name for _, answer in found))


@command.command("list")
@GALLERY
@JSON
def list_(folder: str, as_json: bool) -> None:
    """List the people and how many faces each has."""
    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder) as gallery:
        people = gallery.people()
    if as_json:
        click.echo(json.dumps({"people": {person.name: person.faces for person in people}}))
        return
    for person in people:
        click.echo(f"{person.faces:6,}  {person.name}")
    click.echo(f"{len(people):,} people, {sum(person.faces for person in people):,} faces")


@command.command("remove")
@click.argument("name")
@GALLERY
@JSON
def remove(name: str, folder: str, as_json: bool) -> None:
    """Remove NAME with all faces, from every file of the gallery."""
    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder, notify=_notify) as gallery:
        gone = gallery.remove(name)
    click.echo(json.dumps({"name": name, "removed": gone}) if as_json else f"{name} removed, {gone:,} faces")


@command.command("info")
@click.option(
    "--check", is_flag=True, help="Read every file whole, and compare them; exit status 2 if something is wrong."
)
@GALLERY
@JSON
def info(check: bool, folder: str, as_json: bool) -> None:
    """Show size, model and index of the gallery, and the recall that was measured."""
    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder) as gallery:
        facts = gallery.info()
        faults = gallery.check() if check else None
    if as_json:
        click.echo(json.dumps(facts | ({} if faults is None else {"faults": faults}), indent=2))
    else:
        click.echo(_text(facts))
        for fault in faults or []:
            click.echo(f"fault: {fault}")
        if faults == []:
            click.echo("checked: every file is sound, and they agree")
    sys.exit(2 if faults else 0)


def _open(folder: str, model: dict[str, Any], **options: Any) -> Any:
    from lrface.recognition.encoder import FaceEncoder
    from lrface.recognition.gallery import Gallery
    from lrface.recognition.gallery.index import load_faiss
    from lrface.recognition.gallery.stores import open_store

    load_faiss()  # that it is missing, or that there is no gallery, should not come out after a model was loaded
    if not options.get("create", True):
        open_store(folder).close()
    encoder = FaceEncoder.load(
        model["model"],
        model["detector"],
        model["face"],
        model["device"],
        model["runtime"],
        model["threads"],
        model["min_face"],
        model["turn"],
        model["sharp"],
    )
    return Gallery.open(folder, encoder, notify=_notify, **options)


def _notify(line: str) -> None:
    click.echo(line, err=True)


def _tell(report: Any, facts: dict[str, Any], as_json: bool) -> None:
    """Print what became of the images, and exit."""
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


def _text(facts: dict[str, Any]) -> str:
    index = facts["index"]
    if index is None:
        searched = "none needed yet, exact search"
    elif index["recall"] is None:
        searched = f"exact, {index['faces']:,} faces"
    else:
        recall = index["recall"]
        searched = (
            f"approximate, {index['faces']:,} faces; recall {recall['first']:.4f} of the nearest face and "
            f"{recall['ten']:.4f} of the ten nearest, on {recall['queries']} queries among {recall['faces']:,} faces"
        )
    return "\n".join(
        (
            f"people   {facts['people']:,}",
            f"faces    {facts['faces']:,}",
            f"model    {facts['model_name']} ({facts['model'][:12]}), {facts['dim']}-d",
            f"index    {searched}",
            f"limit    exact up to {facts['exact_limit']:,} faces",
            f"size     {facts['bytes'] / 1e6:,.1f} MB in {facts['folder']}, begun {facts['created']}",
        )
    )

"""``lrface identify``."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from lrface.cli.all_faces import DRAW, check_draw, draw_answers, report_face
from lrface.cli.options import DEVICE, ENCODER_DETECTOR, FACE_OR_ALL, MIN_FACE, TURN, FilePath, check_model

if TYPE_CHECKING:
    from lrface.recognition.classifier import Identification


@click.command("identify")
@click.argument("photos", nargs=-1, required=True, type=FilePath())
@click.option(
    "--classifier", envvar="LRFACE_CLASSIFIER", default="people.safetensors",
    show_default="LRFACE_CLASSIFIER, else people.safetensors", type=FilePath(),
    help="The file that `lrface finetune` wrote.",
)  # fmt: skip
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="How many candidates to name.")
@click.option(
    "--far", type=click.FloatRange(0, 1), default=None,
    help="Share of strangers that may get a name, within the range of the classifier.  "
    "[default: 0.05, or the strictest that it knows]",
)  # fmt: skip
@click.option("--threshold", type=click.FloatRange(-1, 1), default=None, help="Cosine threshold instead of --far.")
@click.option(
    "--model", default=None, callback=check_model, help="The network's file, for a classifier that does not contain it."
)
@ENCODER_DETECTOR
@MIN_FACE
@FACE_OR_ALL
@TURN
@DEVICE
@DRAW
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --face all one for each face.")
def command(
    photos: tuple[str, ...], classifier: str, top: int, far: float | None, threshold: float | None, model: str | None,
    detector: str, min_face: float | None, face: str, turn: bool, device: str, draw: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Tell who the main face of each of PHOTOS is (files, or folders of files), among the people of a classifier.

    A photo, an aligned crop or a tiny native face can be used. The probabilities are shared among the people of the
    classifier. A face is unknown if its similarity to the nearest person is below the threshold. Exit status: 0 every face
    has a name, 1 a face is unknown, 2 error, also if one of several photos cannot be used.
    """
    from lrface.recognition.classifier import FaceClassifier
    from lrface.recognition.identify_files import identify_files

    check_draw(face, photos, draw)
    rule = None if face == "all" else face
    people = FaceClassifier.load(classifier, detector, rule, device, model, min_face, turn)
    if face == "all":
        sys.exit(_identify_all(people, photos, (top, far, threshold), draw, as_json))
    report = identify_files(people, photos, top, far, threshold)
    if as_json:
        found = [{"photo": path, **answer.as_dict()} for path, answer in report.found]
        refused = [{"photo": path, "reason": reason} for path, reason in report.refused]
        notes = {"notes": list(report.notes)} if report.notes else {}
        click.echo(json.dumps({"classifier": classifier, "found": found, "refused": refused} | notes))
    else:
        for path, answer in report.found:
            click.echo(_text(path, answer))
        for note in report.notes:
            click.echo(f"note: {note}", err=True)
    for path, reason in report.refused:
        click.echo(f"error: {path}: {reason}", err=True)
    sys.exit(2 if report.refused else 0 if all(answer.known for _, answer in report.found) else 1)


def _identify_all(
    people: Any, photos: tuple[str, ...], choice: tuple[Any, ...], draw: str | None, as_json: bool
) -> int:
    """Print and draw the identities of all faces of each photo. Returns the exit status."""
    from lrface.data.folders import Passed
    from lrface.recognition.embed_files import list_images
    from lrface.recognition.encoder import ImageError

    people.choose(*choice[1:])
    status, count = 0, 0
    passed = Passed()
    paths = list_images(photos, passed)
    for line in passed.lines():
        click.echo(f"note: {line}", err=True)
    for photo in paths:
        try:
            all_cropped = people.encoder.cropped_faces(photo)
        except ImageError as error:
            click.echo(f"error: {error}", err=True)
            status = 2
            continue
        if not all_cropped:
            click.echo(f"{photo}: no face found", err=True)
        answers = people.identify_crops([cropped.crop for cropped in all_cropped], *choice) if all_cropped else []
        for number, (cropped, answer) in enumerate(zip(all_cropped, answers, strict=True), 1):
            count += 1
            status = max(status, 0 if answer.known else 1)
            text = f"{answer.name or 'unknown'}, similarity {answer.similarity:.4f}, threshold {answer.threshold:.4f}"
            report_face(photo, number, len(all_cropped), cropped, answer.as_dict(), text, as_json)
        if draw:
            named = [
                (cropped, answer.name, answer.similarity) for cropped, answer in zip(all_cropped, answers, strict=True)
            ]
            draw_answers(photo, named, draw)
    return status if count else 2


def _text(path: str, answer: "Identification") -> str:
    origin = "given" if answer.far is None else f"takes {100 * answer.far:g} % of strangers for somebody"
    relation = "above" if answer.known else "not above"
    lines = [
        f"{path}: {answer.name if answer.known else 'unknown'}: similarity {answer.similarity:.4f} "
        f"{relation} threshold {answer.threshold:.4f} ({origin})"
    ]
    width = max(len(candidate.name) for candidate in answer.candidates)
    lines += [
        f"  {each.name:<{width}}  {100 * each.probability:6.2f} %  similarity {each.similarity:.4f}"
        for each in answer.candidates
    ]
    return "\n".join([*lines, *(f"  note: {note}" for note in answer.notes)])

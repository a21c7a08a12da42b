"""``lrface identify``."""

import json
import sys
from typing import TYPE_CHECKING

import click

from lrface.cli.options import DEVICE, ENCODER_DETECTOR, FACE, TURN, FilePath, check_model

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
    help="Share of strangers that may be taken for somebody, within the range of the classifier.  "
    "[default: 0.05, or the strictest that it knows]",
)  # fmt: skip
@click.option("--threshold", type=click.FloatRange(-1, 1), default=None, help="Cosine threshold instead of --far.")
@click.option(
    "--model", default=None, callback=check_model, help="Where the network is, for a classifier that does not carry it."
)
@ENCODER_DETECTOR
@FACE
@TURN
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    photos: tuple[str, ...], classifier: str, top: int, far: float | None, threshold: float | None, model: str | None,
    detector: str, face: str, turn: bool, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Tell who the main face of each of PHOTOS is (files, or folders of files), among those a classifier knows.

    A photo, an aligned crop or a tiny native face will do. Probabilities are over the people whom the classifier knows;
    who is less similar to the nearest than the threshold is unknown. Exit status: 0 everybody was named, 1 somebody is
    unknown, 2 error, also where one photo of several cannot be used.
    """
    from lrface.recognition.classifier import FaceClassifier
    from lrface.recognition.identify_files import identify_files

    report = identify_files(
        FaceClassifier.load(classifier, detector, face, device, model, turn), photos, top, far, threshold
    )
    if as_json:
        found = [{"photo": path, **answer.as_dict()} for path, answer in report.found]
        refused = [{"photo": path, "reason": reason} for path, reason in report.refused]
        click.echo(json.dumps({"classifier": classifier, "found": found, "refused": refused}))
    else:
        for path, answer in report.found:
            click.echo(_text(path, answer))
    for path, reason in report.refused:
        click.echo(f"error: {path}: {reason}", err=True)
    sys.exit(2 if report.refused else 0 if all(answer.known for _, answer in report.found) else 1)


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

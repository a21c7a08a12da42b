"""``lrface verify``."""

import json
import sys
from dataclasses import replace

import click

from lrface.cli.options import (
    DEVICE,
    ENCODER_DETECTOR,
    FACE_OR_ALL,
    MIN_FACE,
    MODEL,
    RUNTIME,
    SHARP,
    THREADS,
    TURN,
    FilePath,
)  # fmt: skip
from lrface.errors import LrfaceError


@click.command("verify")
@click.argument("a", type=FilePath())
@click.argument("b", type=FilePath())
@MODEL
@click.option(
    "--far",
    default=0.01,
    show_default=True,
    help="False accept rate of the decision, within the range that the model was calibrated for.",
)
@click.option("--threshold", type=click.FloatRange(-1, 1), default=None, help="Cosine threshold instead of --far.")
@ENCODER_DETECTOR
@MIN_FACE
@FACE_OR_ALL
@TURN
@DEVICE
@RUNTIME
@SHARP
@THREADS
@click.option(
    "--explain", type=FilePath(dir_okay=False), default=None, help="Draw a picture that explains the answer: FILE.png."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    a: str,
    b: str,
    model: str | None,
    far: float,
    threshold: float | None,
    detector: str,
    face: str,
    turn: bool,
    device: str,
    runtime: str,
    sharp: tuple[str, ...],
    threads: int | None,
    min_face: float | None,
    explain: str | None,
    as_json: bool,
) -> None:
    """Tell whether A and B show the same person.

    Each is a photo, an aligned crop or a tiny native face. It can also be several photos of one person: a folder, or
    a.jpg,b.jpg. The best pair of faces and the mean embeddings of both sides then decide together. With --face all, every
    face of every photo is compared, and the best pair decides. Exit status: 0 same, 1 different, 2 error.
    """
    from lrface.recognition.encoder import FaceEncoder
    from lrface.recognition.several import list_side, look_at_side, verify_several

    sides, every = (list_side(a), list_side(b)), face == "all"
    if explain:
        from lrface.recognition.explain import check

        check(explain)
        if every or any(len(side) > 1 for side in sides):
            raise LrfaceError("--explain draws one photo a side, without --face all")
    rule = "largest-central" if every else face
    encoder = FaceEncoder.load(model, detector, rule, device, runtime, threads, min_face, turn, sharp)
    encoder.check_threshold(far, threshold)
    (looks_a, left_a), (looks_b, left_b) = (look_at_side(encoder, side, every) for side in sides)
    result = verify_several(encoder, looks_a, looks_b, far, threshold, any_pair=every)
    result = replace(result, notes=(*left_a, *left_b, *result.notes))
    if explain:
        from lrface.recognition.explain import draw

        draw(encoder, (a, b), (looks_a[0], looks_b[0]), result, explain)
    if as_json:
        click.echo(json.dumps({"a": a, "b": b, **result.as_dict()}))
    else:
        origin = "given" if result.far is None else f"for a false accept rate of {result.far:g}"
        click.echo(f"{'same' if result.same else 'different'}: similarity {result.similarity:.4f}, ", nl=False)
        click.echo(f"threshold {result.threshold:.4f} ({origin})")
        if result.probability is not None:
            click.echo(f"probability of one person: {result.probability:.4f} (if it was even before)")
        if result.resolutions is not None:
            click.echo("pixels of detail: {:.1f} and {:.1f}".format(*result.resolutions))
        if result.members is not None:
            click.echo("embedded by: {} and {}".format(*result.members))
        for warning in result.warnings:
            click.echo(f"warning: {warning}")
        for note in result.notes:
            click.echo(f"note: {note}")
    sys.exit(0 if result.same else 1)

"""``--face all``: one answer for each face of an image, as text, as JSON, and drawn on the image."""

import json
from collections.abc import Sequence
from typing import Any

import click

from lrface.cli.options import FilePath
from lrface.errors import LrfaceError

DRAW = click.option(
    "--draw", type=FilePath(dir_okay=False), default=None,
    help="Draw the box and the answer of each face on the image: FILE.png. Needs --face all.",
)  # fmt: skip


def check_draw(face: str, photos: Sequence[str], draw: str | None) -> None:
    """Check the options of ``--draw`` before anything that takes time.

    Raises:
        LrfaceError: the options do not fit together, or the file name is not that of an image.
    """
    from lrface.faces.draw import check_drawing

    if draw is None:
        return
    if face != "all" or len(photos) != 1:
        raise LrfaceError("--draw needs --face all, and one photo")
    check_drawing(draw)


def report_face(
    photo: str, number: int, count: int, cropped: Any, answer: dict[str, Any], text: str, as_json: bool
) -> None:
    """Print one face: a line of text, or one JSON object.

    Args:
        photo: path of the image.
        number: of the face, counted from 1, from left to right.
        count: number of faces in the image.
        cropped: the face, see :meth:`lrface.recognition.encoder.FaceEncoder.cropped_faces`.
        answer: fields for the JSON object.
        text: for the line of text. It may have more lines.
        as_json: print the JSON object.
    """
    if as_json:
        warnings = list(cropped.quality.warnings)
        click.echo(json.dumps({"photo": photo, **cropped.as_dict(), "face_warnings": warnings, **answer}))
        return
    left, top, right, bottom = (round(float(edge)) for edge in cropped.box)
    place = f"{left},{top} to {right},{bottom}, {cropped.quality.resolution:.1f} pixels of detail"
    click.echo(f"{photo}: face {number} of {count} ({place}): {text}")


def draw_answers(photo: str, answers: Sequence[tuple[Any, str | None, float]], out: str) -> None:
    """Draw the boxes and names of all faces of an image.

    Args:
        photo: path of the image.
        answers: of each face: the face, its name (None: unknown), and the similarity.
        out: file to write.
    """
    from lrface.faces.draw import draw_faces
    from lrface.faces.images import read_image

    labels = [
        (cropped.box, f"{name or 'unknown'} {similarity:.2f}", name is not None)
        for cropped, name, similarity in answers
    ]
    draw_faces(read_image(photo), labels, out)


def draw_cropped_faces(photo: str, all_cropped: Sequence[Any], out: str) -> None:
    """Draw all faces of an image, each with its row in the embedding file (from 0) and its pixels of detail.

    Args:
        photo: path of the image.
        all_cropped: the faces.
        out: file to write.
    """
    from lrface.faces.draw import draw_faces
    from lrface.faces.images import read_image

    labels = [
        (cropped.box, f"{row}: {cropped.quality.resolution:.0f} px", cropped.quality.usable)
        for row, cropped in enumerate(all_cropped)
    ]
    draw_faces(read_image(photo), labels, out)

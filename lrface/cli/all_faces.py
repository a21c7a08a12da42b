"""``--face all``: one answer for each face of an image, printed, as JSON, and drawn."""

import json
from collections.abc import Sequence
from typing import Any

import click
import numpy as np

from lrface.cli.options import FilePath
from lrface.errors import LrfaceError

DRAW = click.option(
    "--draw", type=FilePath(dir_okay=False), default=None,
    help="Draw boxes on the image, and what is said of each face: FILE.png. Needs --face all.",
)  # fmt: skip


def check_draw(face: str, photos: Sequence[str], draw: str | None) -> None:
    """Raise LrfaceError where nothing can be drawn: before anything that takes time."""
    from lrface.faces.draw import check_drawing

    if draw is None:
        return
    if face != "all" or len(photos) != 1:
        raise LrfaceError("--draw needs --face all, and one photo")
    check_drawing(draw)


def report_face(
    photo: str, number: int, count: int, look: Any, answer: dict[str, Any], text: str, as_json: bool
) -> None:
    """Print one face: a line of text, with more lines below it, or one JSON object.

    Args:
        photo: the image's path.
        number: of the face, from 1, from left to right.
        count: of faces in the image.
        look: the face, see :meth:`lrface.recognition.encoder.FaceEncoder.looks`.
        answer: for JSON.
        text: for people.
        as_json: which of them.
    """
    if as_json:
        click.echo(json.dumps({"photo": photo, **facts(look), **answer}))
        return
    left, top, right, bottom = (round(float(edge)) for edge in look.box)
    place = f"{left},{top} to {right},{bottom}, {look.quality.resolution:.1f} pixels of detail"
    click.echo(f"{photo}: face {number} of {count} ({place}): {text}")


def facts(look: Any) -> dict[str, Any]:
    """Where a face is and what is known of it, as JSON writes it."""
    face = look.face
    return {
        "box": [round(float(edge), 2) for edge in look.box],
        "landmarks": None if face is None else np.round(face.landmarks.astype(float), 2).tolist(),
        "score": None if face is None else round(face.score, 4),
        "detail": round(look.quality.resolution, 2),
        "face_warnings": list(look.quality.warnings),
    }


def draw_answers(photo: str, answers: Sequence[tuple[Any, str | None, float]], out: str) -> None:
    """Draw all faces of an image.

    Args:
        photo: the image's path.
        answers: of each the face, the name (None: unknown), and the similarity.
        out: the file to write.
    """
    from lrface.faces.draw import draw_faces
    from lrface.faces.images import read_image

    labels = [
        (look.box, f"{name or 'unknown'} {similarity:.2f}", name is not None) for look, name, similarity in answers
    ]
    draw_faces(read_image(photo), labels, out)


def draw_looks(photo: str, looks: Sequence[Any], out: str) -> None:
    """Draw all faces of an image, each with its row in the file, from 0, and its pixels of detail."""
    from lrface.faces.draw import draw_faces
    from lrface.faces.images import read_image

    labels = [
        (look.box, f"{row}: {look.quality.resolution:.0f} px", look.quality.usable) for row, look in enumerate(looks)
    ]
    draw_faces(read_image(photo), labels, out)

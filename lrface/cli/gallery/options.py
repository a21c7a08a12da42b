"""Options that the commands of ``lrface gallery`` share, and the function that opens a gallery."""

from typing import Any

import click

from lrface.cli.options import (
    DEVICE,
    ENCODER_DETECTOR,
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
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _encoder_options(function: Any, face: Any) -> Any:
    for option in (THREADS, SHARP, RUNTIME, DEVICE, TURN, face, MIN_FACE, ENCODER_DETECTOR, MODEL):
        function = option(function)
    return function


def search_options(function: Any) -> Any:
    """Add the options of the model and its detector for a search."""
    return _encoder_options(function, FACE_OR_ALL)


def enrol_options(function: Any) -> Any:
    """Add the options of the model and its detector for an enrolment. ``--face`` has no default there."""
    return _encoder_options(function, FACE_TO_ENROL)


def model_options(function: Any) -> Any:
    """Add the options of the model alone."""
    for option in (THREADS, SHARP, RUNTIME, DEVICE, MODEL):
        function = option(function)
    return function


def open_gallery(folder: str, model: dict[str, Any], **options: Any) -> Any:
    """Open a gallery with its model.

    Args:
        folder: of the gallery.
        model: values of the options above. Without those of the detector, no detector is loaded.
        options: for :meth:`lrface.recognition.gallery.Gallery.open`.

    Raises:
        LrfaceError: faiss is missing, or the model or the gallery cannot be opened.
    """
    from lrface.recognition.encoder import FaceEncoder
    from lrface.recognition.gallery import Gallery
    from lrface.recognition.gallery.index import load_faiss
    from lrface.recognition.gallery.stores import open_store

    load_faiss()  # report a missing faiss or gallery before a model is loaded
    if not options.get("create", True):
        open_store(folder).close()
    encoder = FaceEncoder.load(
        model["model"],
        model.get("detector", "none"),
        model.get("face"),
        model["device"],
        model["runtime"],
        model["threads"],
        model.get("min_face"),
        model.get("turn", True),
        model["sharp"],
    )
    return Gallery.open(folder, encoder, notify=notify, **options)


def notify(line: str) -> None:
    """Print a line about work that takes time."""
    click.echo(line, err=True)

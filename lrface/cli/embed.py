"""``lrface embed``."""

import os

import click

from lrface.cli.all_faces import DRAW, check_draw, draw_cropped_faces
from lrface.cli.options import (
    DEVICE,
    ENCODER_DETECTOR,
    FACE_OR_ALL,
    MIN_FACE,
    MODEL,
    RAY,
    RUNTIME,
    SHARP,
    THREADS,
    TURN,
    FilePath,
)  # fmt: skip
from lrface.errors import LrfaceError


@click.command("embed")
@click.argument("images", nargs=-1, required=True, type=FilePath())
@click.option("--out", type=FilePath(), required=True, help="File to write, NumPy .npz or .parquet, one row per face.")
@MODEL
@ENCODER_DETECTOR
@MIN_FACE
@FACE_OR_ALL
@TURN
@DRAW
@DEVICE
@RUNTIME
@SHARP
@THREADS
@RAY
def command(
    images: tuple[str, ...], out: str, model: str | None, detector: str, face: str, turn: bool, device: str,
    runtime: str, sharp: tuple[str, ...], threads: int | None, min_face: float | None, draw: str | None,
    ray: str | None,
) -> None:  # fmt: skip
    """Write the embeddings of the main face of each of IMAGES (files, or folders of files), with --face all of every face.

    Images without a usable face are named, counted and skipped. If no image is usable, the exit status is 2.
    """
    from lrface.recognition.embed_cluster import embed_on_ray
    from lrface.recognition.embed_files import embed_files
    from lrface.recognition.encoder import FaceEncoder

    check_draw(face, images if not any(map(os.path.isdir, images)) else (), draw)
    rule = None if face == "all" else face
    options = (model, detector, rule, device, runtime, threads, min_face, turn, sharp)
    if draw and ray is not None:
        raise LrfaceError("--draw shows the faces of one photo, which needs no cluster: leave --ray out")
    if ray is None:
        report = embed_files(FaceEncoder.load(*options), images, out, every=face == "all")
    else:
        report = embed_on_ray(options, images, out, ray, every=face == "all")
    for name, reason in report.refused:
        click.echo(f"left out {name}: {reason}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    if draw:
        draw_cropped_faces(images[0], report.faces, draw)
    click.echo(f"{report.embedded:,} faces embedded, {len(report.refused):,} images left out: {out}")

"""``lrface embed``."""

import click

from lrface.cli.options import DEVICE, ENCODER_DETECTOR, FACE, MODEL, RUNTIME, SHARP, THREADS


@click.command("embed")
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option(
    "--out", type=click.Path(), required=True, help="File to write: NumPy .npz with `embeddings` and `paths`."
)
@MODEL
@ENCODER_DETECTOR
@FACE
@DEVICE
@RUNTIME
@SHARP
@THREADS
def command(
    images: tuple[str, ...], out: str, model: str | None, detector: str, face: str, device: str, runtime: str,
    sharp: tuple[str, ...], threads: int | None,
) -> None:  # fmt: skip
    """Write the embeddings of the main face of each of IMAGES (files, or folders of files).

    An image without a usable face is counted and named, and left out; if none is usable the exit status is 2.
    """
    from lrface.encoder import FaceEncoder
    from lrface.encoder_files import embed_files

    report = embed_files(FaceEncoder.load(model, detector, face, device, runtime, threads, sharp), images, out)
    for name, reason in report.refused:
        click.echo(f"left out {name}: {reason}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{report.embedded:,} faces embedded, {len(report.refused):,} images left out: {out}")

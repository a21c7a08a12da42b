"""``lrface adapt``."""

from typing import TYPE_CHECKING

import click

from lrface.cli.options import DEVICE, ENCODER_DETECTOR, FACE, TURN, FilePath, check_model
from lrface.errors import LrfaceError

if TYPE_CHECKING:
    import numpy as np

    from lrface.models.embedder import Embedder


@click.command("adapt")
@click.argument("model", required=False, callback=check_model)
@click.option(
    "--faces",
    multiple=True,
    required=True,
    type=FilePath(),
    help="Folder or file of photos from the camera; repeatable.",
)
@click.option("--out", required=True, type=FilePath(), help="Model to write: *.safetensors, or *.onnx.")
@click.option(
    "--share", default=None, type=click.FloatRange(0, 1, min_open=True),
    help="Share of the camera's own statistics; the rest remains that of the training images.  [default: 0.3]",
)  # fmt: skip
@ENCODER_DETECTOR
@FACE
@TURN
@DEVICE
def command(
    model: str | None, faces: tuple[str, ...], out: str, share: float | None, detector: str, face: str | None,
    turn: bool, device: str,
) -> None:  # fmt: skip
    """Adapt MODEL, a shipped model's name or a file with torch weights, to the look of one camera.

    A few hundred faces from that camera are enough, of anybody and without names. Nothing is trained: the statistics of batch
    normalisation are taken again. Thresholds remain as they were calibrated, and `lrface verify` says so.
    """
    from tempfile import TemporaryDirectory

    from lrface.finetune.adapt import SHARE, adapt
    from lrface.finetune.unfreeze import open_backbone

    if not out.endswith((".safetensors", ".onnx")):
        raise LrfaceError(f"--out {out}: call the file something.safetensors or something.onnx")
    embedder = open_backbone(model, device)
    crops = _crops(embedder, faces, detector, face, device, turn)
    with TemporaryDirectory() as folder:
        path = out if out.endswith(".safetensors") else f"{folder}/adapted.safetensors"
        made = adapt(embedder, crops, path, SHARE if share is None else share)
        if path != out:
            from lrface.export.run import export

            export(path, out)
    click.echo(f"{out}: adapted to {made.faces:,} faces, {100 * made.share:.0f} % of the statistics are theirs")
    click.echo("thresholds are those of the model before: check them on pairs from this camera", err=True)


def _crops(
    embedder: "Embedder", faces: tuple[str, ...], detector: str, face: str | None, device: str, turn: bool
) -> "list[np.ndarray]":
    """The main face of each photo; what cannot be used is counted and named."""
    from tqdm import tqdm

    from lrface.recognition.embed_files import list_images
    from lrface.recognition.encoder import FaceEncoder, ImageError

    encoder = FaceEncoder(embedder, detector, face, device, turn=turn)
    crops, refused = [], 0
    for path in tqdm(list_images(faces), "faces", disable=None):
        try:
            crops.append(encoder.compact(path)[0])
        except ImageError as error:
            refused += 1
            click.echo(f"left out {error}", err=True)
    click.echo(f"{len(crops):,} faces, {refused:,} photos left out")
    return crops

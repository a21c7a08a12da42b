"""``lrface export``."""

import click

from lrface.cli.options import FilePath, check_model
from lrface.errors import LrfaceError


@click.command("export")
@click.argument("model", required=False, callback=check_model)
@click.option("--out", type=FilePath(), required=True, help="File to write, *.onnx.")
@click.option("--format", "form", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option("--int8", is_flag=True, help="Quantise to 8-bit integers; needs --calibration.")
@click.option(
    "--whole", is_flag=True,
    help="Put preprocessing and mirror image into the graph, for programs without lrface. Its input is uint8 RGB crops of "
    "any size, its output embeddings of length 1.",
)  # fmt: skip
@click.option("--calibration", type=FilePath(), default=None, help="Store of real faces, for --int8.")
@click.option(
    "--pairs", type=FilePath(), multiple=True,
    help="pairs.txt that int8 is measured on; repeatable.  [default: pairs drawn from the calibration store]",
)  # fmt: skip
@click.option("--images", type=FilePath(), default=None, help="Store of the pairs' images.")
@click.option("--bin", "pack", type=FilePath(), default=None, help="Verification pack, instead of --images, --pairs.")
def command(
    model: str | None, out: str, form: str, int8: bool, whole: bool, calibration: str | None, pairs: tuple[str, ...],
    images: str | None, pack: str | None,
) -> None:  # fmt: skip
    """Write MODEL, a shipped model's name or a file, as ONNX with a dynamic batch size and the model's card as metadata.

    The export is compared with torch before it is put in place: every cosine between their embeddings must be at least
    0.9999. An int8 export is also measured on verification pairs and may lose at most 0.3 points of accuracy. If a check
    fails, the exit status is 2 and no file is left.
    """
    from lrface.data.sets import pair_set
    from lrface.data.store import Store
    from lrface.export.run import export
    from lrface.models import shipped

    if bool(pairs) != bool(images) or (pairs and pack):
        raise LrfaceError("pairs to measure int8 on: give --images STORE with --pairs FILE, or --bin PACK, or neither")
    if not int8 and (calibration or pairs or pack):
        raise LrfaceError("--calibration, --images, --pairs and --bin are for --int8")
    chosen = pair_set.from_bin(pack) if pack else pair_set.from_store(images, pairs) if images else None
    result = export(model or shipped.default(), out, int8, whole, Store(calibration) if calibration else None, chosen)
    click.echo(f"least cosine to torch, batches of 1 and 64: {result.cosine:.6f}")
    if result.accuracies:
        before, after = (100 * accuracy for accuracy in result.accuracies)
        click.echo(f"accuracy on {result.pairs}: {before:.2f} % in float32, {after:.2f} % in int8")
    if result.whole_cosine is not None:
        click.echo(f"least cosine with preprocessing inside: {result.whole_cosine:.6f}")
    click.echo(f"{result.path}: {result.size:,} bytes")

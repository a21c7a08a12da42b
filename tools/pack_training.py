"""Pack all that a recipe's training reads into parts of at most 40 MB, for a machine with a GPU and little else.

    python tools/pack_training.py recipes/shipped_r18_16px.yaml --out packs/r18 --targets int8
    lrface train packs/r18/recipe.yaml --data packs/r18 --out runs/r18        # there

There, Python, torch, numpy, Pillow and safetensors have to be installed, and pydantic, click, omegaconf, lightning-fabric
and tqdm, which are small. Killed, the packing goes on where it was. A part that is missing or was changed on the way is
named before training begins.
"""

import sys
from pathlib import Path

import click

from lrface.cli.options import DATA_ROOT
from lrface.data.pack_writer import PART_BYTES
from lrface.errors import LrfaceError
from lrface.train.pack import PackSettings, make_pack
from lrface.train.recipe import load_recipe


@click.command()
@click.argument("recipe", type=click.Path())
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the pack.")
@click.option(
    "--targets", type=click.Choice(["float32", "float16", "int8"]), default="float16", show_default=True,
    help="How the teacher's targets are stored.",
)  # fmt: skip
@click.option(
    "--quality", type=click.IntRange(50, 100), default=95, show_default=True,
    help="JPEG quality of crops that are made smaller; 100: PNG, without loss.",
)  # fmt: skip
@click.option(
    "--part-mb", type=click.FloatRange(0.1), default=PART_BYTES / 1e6, show_default=True, help="Largest part."
)
@click.option("--device", default="cpu", show_default=True, help="Where teachers run that are not cached yet.")
@DATA_ROOT
def main(
    recipe: str, overrides: tuple[str, ...], out: Path, targets: str, quality: int, part_mb: float, device: str,
    data_root: str,
) -> None:  # fmt: skip
    """Pack what RECIPE's training reads."""
    settings = PackSettings(targets, quality, int(part_mb * 1e6))  # type: ignore[arg-type]
    try:
        facts = make_pack(load_recipe(recipe, overrides), out, data_root, settings, device)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    parts, loss = facts["parts"], facts["loss"]
    largest = max(part["bytes"] for part in parts)
    click.echo(f"{out}: {facts['images']:,} training images and {facts['holdout']:,} held out, in {len(parts)} parts")
    click.echo(f"{facts['bytes'] / 1e6:.1f} MB, the largest part {largest / 1e6:.1f} MB")
    if "cosine" in loss:
        cosine = loss["cosine"]
        click.echo(
            f"targets as {targets}: cosine to the exact ones {cosine['mean']:.7f} on average, {cosine['min']:.7f} at least"
        )
    if loss.get("psnr") is not None:
        click.echo(f"crops at {facts['crop_side']} px as JPEG {quality}: PSNR {loss['psnr']:.1f} dB")


if __name__ == "__main__":
    main()

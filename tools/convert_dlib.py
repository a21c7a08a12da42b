"""Convert dlib's face recognition ResNet to an ONNX embedder; see :mod:`lrface.models.dlib_resnet`.

pip install --no-deps face-recognition-models==0.3.0
python tools/convert_dlib.py --out dlib_resnet.onnx
"""

import sys
from pathlib import Path

import click

from lrface.errors import LrfaceError
from lrface.files import file_digest
from lrface.models.dlib_resnet import convert_file, find_weights


@click.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="ONNX file to write.")
@click.option("--weights", type=click.Path(path_type=Path), help="The .dat file; default: from the installed package.")
def main(out: Path, weights: Path | None) -> None:
    """Convert dlib's face recognition ResNet to an ONNX embedder with its preprocessing declared."""
    try:
        report = convert_file(weights or find_weights(), out)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out}: sha256 {file_digest(out)}\n{report}")


if __name__ == "__main__":
    main()

"""Convert a MobileFaceNet in ncnn's format to an ONNX embedder, a teacher; see :mod:`lrface.models.ncnn`.

git clone --depth 1 https://github.com/liguiyuan/mobilefacenet-ncnn
python tools/convert_mobilefacenet.py mobilefacenet-ncnn/mobilefacenet_AS/app/src/main/assets/mobilefacenet.param \\
    --out mobilefacenet.onnx
"""

import sys
from pathlib import Path

import click

from lrface.errors import LrfaceError
from lrface.files import file_digest
from lrface.models.ncnn import convert_file


@click.command()
@click.argument("param", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="ONNX file to write.")
def main(param: Path, out: Path) -> None:
    """Convert PARAM and the .bin file beside it to an ONNX embedder with its preprocessing declared."""
    try:
        convert_file(param, out)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{out}: sha256 {file_digest(out)}")


if __name__ == "__main__":
    main()

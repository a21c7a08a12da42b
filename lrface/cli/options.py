"""Options that several commands share, said once."""

import re

import click

from lrface.errors import LrfaceError
from lrface.runtimes import RUNTIMES

DATA_ROOT = click.option(
    "--data", "data_root", envvar="LRFACE_DATA", default=".", show_default="LRFACE_DATA, else .",
    type=click.Path(), help="The data root: recipes name their data relative to it.",
)  # fmt: skip

MODEL = click.option(
    "--model",
    default=None,
    help="A shipped model's or family's name, a file (.safetensors, .onnx, .pt) or insightface:PACK; the shipped family if "
    "none.",
)
SHARP = click.option(
    "--sharp", multiple=True, type=click.Path(), metavar="FILE",
    help="The files of the teachers that taught the family, one option each, in its order: they embed sharp faces.",
)  # fmt: skip


def check_device(context: click.Context, option: click.Parameter, text: str) -> str:
    """A device that can be there: torch's own complaint about others is no help."""
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", text):
        raise LrfaceError(f"--device {text}: choose cpu, cuda, cuda:1, ... or mps")
    return text


DEVICE = click.option(
    "--device", default="cpu", show_default=True, callback=check_device, help="cpu, cuda, cuda:1, ... or mps."
)

RUNTIME = click.option(
    "--runtime", default="auto", show_default=True, type=click.Choice(RUNTIMES),
    help="What runs the network; auto: ONNX Runtime where the model has a graph, else torch.",
)  # fmt: skip
THREADS = click.option("--threads", type=click.IntRange(1), default=None, help="CPU threads of the network.")

FACE = click.option(
    "--face", default="largest-central", show_default=True,
    type=click.Choice(["largest-central", "largest", "central", "score"]), help="Which of several faces.",
)  # fmt: skip

ENCODER_DETECTOR = click.option(
    "--detector", default="auto", show_default=True,
    type=click.Choice(["auto", "insightface", "mtcnn", "dlib", "none"]),
    help="How faces are found; none: the images are aligned crops. auto: insightface if its pack has been downloaded "
    "before, else mtcnn, which comes with lrface; insightface by name downloads the pack (280 MB) at first use.",
)  # fmt: skip


def parse_eyes(context: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """``X1,Y1,X2,Y2`` as four numbers."""
    if text is None:
        return None
    try:
        eyes = tuple(float(part) for part in text.split(","))
    except ValueError:
        eyes = ()
    if len(eyes) != 4:
        raise LrfaceError(f"--eyes {text}: give four numbers, X1,Y1,X2,Y2, image-left eye first")
    return eyes


EYES = click.option(
    "--eyes", callback=parse_eyes, metavar="X1,Y1,X2,Y2", default=None,
    help="Eyes' positions in a set that was aligned by others: alone with --detector eyes, or where a detector finds "
    "no face.",
)  # fmt: skip

LOW_SIZE = click.option(
    "--low-size", default=16, show_default=True, type=click.IntRange(1, 112), help="Low-resolution side."
)
KERNEL = click.option(
    "--kernel", default="bilinear", show_default=True, type=click.Choice(["bilinear", "area", "bicubic", "nearest"]),
    help="Of the reduction to low resolution.",
)  # fmt: skip
ANTIALIAS = click.option(
    "--antialias/--sampled", default=True, show_default=True,
    help="Widen the kernel over all source pixels (Pillow, torchvision), or sample at centres (OpenCV's INTER_LINEAR).",
)  # fmt: skip

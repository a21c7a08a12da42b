"""Options that several commands share, said once."""

import re
from typing import Any

import click

from lrface.errors import LrfaceError
from lrface.files import require_path
from lrface.runtimes import RUNTIMES


class FilePath(click.Path):
    """A path. An empty one, as an unset shell variable leaves it, is refused: Python would take it for this folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as click gives it."""
        if param is not None:
            require_path(value, param.get_error_hint(ctx).strip("'"))
        return super().convert(value, param, ctx)


#: As :data:`lrface.faces.detect.FACE_RULES`, which a quick --help need not import.
FACE_RULES = ("largest-central", "largest", "central", "score")

DATA_ROOT = click.option(
    "--data", "data_root", envvar="LRFACE_DATA", default=".", show_default="LRFACE_DATA, else .",
    type=FilePath(), help="The data root: recipes name their data relative to it.",
)  # fmt: skip


def check_model(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """A model's name; an empty one is no name of the default model."""
    if text is not None:
        require_path(text, option.get_error_hint(context).strip("'"))
    return text


MODEL = click.option(
    "--model",
    default=None,
    callback=check_model,
    help="A shipped model's or family's name, a file (.safetensors, .onnx, .pt) or insightface:PACK; the shipped family if "
    "none.",
)
SHARP = click.option(
    "--sharp", multiple=True, type=FilePath(), metavar="dlib|FILE",
    help="The teacher of the family, which then embeds sharp faces: dlib, of the extra lrface[sharp], or a file; one option for "
    "each teacher, in the family's order.",
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
    type=click.Choice(FACE_RULES), help="Which of several faces.",
)  # fmt: skip

FACE_TO_ENROL = click.option(
    "--face", default=None, type=click.Choice(FACE_RULES),
    help="Which of several faces.  [default: largest-central; a photo of several faces of like size is not enrolled]",
)  # fmt: skip

TURN = click.option(
    "--turn/--no-turn", default=True, show_default=True,
    help="Try the three other turns of a photo in which no face is found upright.",
)  # fmt: skip

FACE_OR_ALL = click.option(
    "--face", default="largest-central", show_default=True,
    type=click.Choice(["largest-central", "largest", "central", "score", "all"]),
    help="Which of several faces; all: each of them, from left to right.",
)  # fmt: skip


def check_detector(context: click.Context, option: click.Parameter, text: str) -> str:
    """A detector's name, or the path of its file."""
    from lrface.faces.detect import DETECTORS, is_detector

    if text not in ("auto", "none") and not is_detector(text):
        raise LrfaceError(
            f"--detector {text}: choose auto, {', '.join(DETECTORS)}, none, or the file of an SCRFD *.onnx"
        )
    return text


#: Detectors that commands over whole folders choose from.
FINDING = ("auto", "insightface", "centerface", "mtcnn", "dlib")

ENCODER_DETECTOR = click.option(
    "--detector", default="auto", show_default=True, callback=check_detector, metavar="NAME",
    help="How faces are found: centerface, insightface, mtcnn, dlib, the path of an SCRFD detector *.onnx, or none: the "
    "images are aligned crops. auto: insightface if its pack has been downloaded before, else centerface, which comes "
    "with lrface; insightface by name downloads the pack (280 MB) at first use.",
)  # fmt: skip

MIN_FACE = click.option(
    "--min-face", type=click.FloatRange(4, 10_000), default=None, metavar="PIXELS",
    help="Width of the smallest face to look for.  [default: 10, more in images beyond 3 megapixels]",
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

RAY = click.option(
    "--ray", is_flag=False, flag_value="", default=None, metavar="[ADDRESS]",
    help="Share the work over a Ray cluster; without ADDRESS that of RAY_ADDRESS, else Ray is started on this machine. Put it "
    "last. All folders have to be shared by all machines. Needs the extra `ray`.",
)  # fmt: skip

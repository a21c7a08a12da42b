"""Options that several commands share."""

import re
from typing import Any

import click

from lrface.errors import LrfaceError
from lrface.files import require_path
from lrface.runtimes import RUNTIMES


class FilePath(click.Path):
    """A path that is not empty. An unset shell variable gives an empty path, which Python would take for this folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check the path, and convert it as click does.

        Raises:
            LrfaceError: the path is empty.
        """
        if param is not None:
            require_path(value, param.get_error_hint(ctx).strip("'"))
        return super().convert(value, param, ctx)


#: Copy of :data:`lrface.faces.detect.FACE_RULES`, so that --help need not import that module.
FACE_RULES = ("largest-central", "largest", "central", "score")

DATA_ROOT = click.option(
    "--data", "data_root", envvar="LRFACE_DATA", default=".", show_default="LRFACE_DATA, else .",
    type=FilePath(), help="The data root: recipes name their data relative to it.",
)  # fmt: skip


def check_model(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Check a model's name. An empty one is an error and does not mean the default model.

    Raises:
        LrfaceError: the name is empty.
    """
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
    help="Teacher of the family, to embed sharp faces: dlib (needs the extra lrface[sharp]) or a file; one option for each "
    "teacher, in the family's order.",
)  # fmt: skip


def check_device(context: click.Context, option: click.Parameter, text: str) -> str:
    """Check a device's name here, because torch's message about a wrong one does not help.

    Raises:
        LrfaceError: the name is not cpu, cuda, cuda:N or mps.
    """
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
    type=click.Choice(FACE_RULES), help="Which face of several.",
)  # fmt: skip

FACE_TO_ENROL = click.option(
    "--face", default=None, type=click.Choice(FACE_RULES),
    help="Which face of several.  [default: largest-central; a photo of several faces of similar size is not enrolled]",
)  # fmt: skip

TURN = click.option(
    "--turn/--no-turn", default=True, show_default=True,
    help="Rotate a photo by 90, 180 and 270 degrees if it has no upright face.",
)  # fmt: skip

FACE_OR_ALL = click.option(
    "--face", default="largest-central", show_default=True,
    type=click.Choice(["largest-central", "largest", "central", "score", "all"]),
    help="Which face of several; all: each face, from left to right.",
)  # fmt: skip


def check_detector(context: click.Context, option: click.Parameter, text: str) -> str:
    """Check a detector's name, or the path of its file.

    Raises:
        LrfaceError: there is no such detector.
    """
    from lrface.faces.detect import DETECTORS, is_detector

    if text not in ("auto", "none") and not is_detector(text):
        raise LrfaceError(
            f"--detector {text}: choose auto, {', '.join(DETECTORS)}, none, or the file of an SCRFD *.onnx"
        )
    return text


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
    """Parse ``X1,Y1,X2,Y2`` into four numbers.

    Raises:
        LrfaceError: the text is not four numbers.
    """
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
    help="Positions of the eyes in an aligned set: of all images with --detector eyes, else of images in which the detector "
    "finds no face.",
)  # fmt: skip

LOW_SIZE = click.option(
    "--low-size", default=16, show_default=True, type=click.IntRange(1, 112), help="Low-resolution side."
)
KERNEL = click.option(
    "--kernel", default="bilinear", show_default=True, type=click.Choice(["bilinear", "area", "bicubic", "nearest"]),
    help="Kernel of the reduction to low resolution.",
)  # fmt: skip
ANTIALIAS = click.option(
    "--antialias/--sampled", default=True, show_default=True,
    help="Widen the kernel over all source pixels (Pillow, torchvision), or sample at centres (OpenCV's INTER_LINEAR).",
)  # fmt: skip

RAY = click.option(
    "--ray", is_flag=False, flag_value="", default=None, metavar="[ADDRESS]",
    help="Run on a Ray cluster. Without ADDRESS: on that of RAY_ADDRESS, else Ray is started on this machine. Give it last. "
    "All machines must share all folders. Needs the extra `ray`.",
)  # fmt: skip

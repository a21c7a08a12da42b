"""Which detectors there are, and how one is made by name."""

from importlib import import_module
from importlib.util import find_spec

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Detector

#: Back ends by name, each a module here with a ``create(device, threads)``.
DETECTORS = ("insightface", "mtcnn", "dlib")


def automatic_detector() -> str:
    """The name that ``auto`` stands for on this machine.

    ``insightface`` where it is installed and its pack has been downloaded before, else ``mtcnn``, which comes with
    lrface: nothing is downloaded that was not asked for by name.
    """
    from lrface.faces.detect.insightface_backend import is_downloaded

    return "insightface" if find_spec("insightface") and is_downloaded() else "mtcnn"


def create_detector(name: str, device: str = "cpu", threads: int | None = None) -> Detector:
    """Make a detector.

    Args:
        name: one of ``DETECTORS``, or ``auto``, see :func:`automatic_detector`.
        device: ``cpu``, ``cuda`` or ``cuda:N``, for the back ends that can use it. ``auto`` stays on the CPU where ONNX
            Runtime was built without CUDA, as the one that pip installs is: torch may well have it.
        threads: CPU threads it may use; its own default if None.

    Raises:
        LrfaceError: unknown name, the back end is not installed, or its weights cannot be had.
    """
    if name == "auto":
        name, device = automatic_detector(), device if _has_device(device) else "cpu"
    if name not in DETECTORS:
        raise LrfaceError(f"unknown detector {name!r}: choose auto, {', '.join(DETECTORS)}")
    detector: Detector = import_module(f"lrface.faces.detect.{name}_backend").create(device, threads)
    return detector


def _has_device(device: str) -> bool:
    from lrface.runtimes.session import cuda_available

    return not device.startswith("cuda") or cuda_available()

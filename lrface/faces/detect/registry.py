"""The names of the detectors, and their creation by name."""

from importlib import import_module
from importlib.util import find_spec

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Detector

#: Names of the back ends. Each is a module here with a function ``create(device, threads)``.
DETECTORS = ("insightface", "centerface", "mtcnn", "dlib")

#: Back ends with an adjustable smallest face: ``create(device, threads, min_face)``.
SEARCHING = ("insightface", "centerface")


def automatic_detector() -> str:
    """The name of the detector that ``auto`` chooses on this machine.

    It is ``insightface`` if that is installed and its pack has been downloaded before, else ``centerface``, which comes
    with lrface. So ``auto`` never downloads anything.
    """
    from lrface.faces.detect.insightface_backend import is_downloaded

    return "insightface" if find_spec("insightface") and is_downloaded() else "centerface"


def is_detector(name: str) -> bool:
    """Whether a name is one of ``DETECTORS`` or the name of a detector file, ``*.onnx``."""
    return name in DETECTORS or name.lower().endswith(".onnx")


def create_detector(
    name: str, device: str = "cpu", threads: int | None = None, min_face: float | None = None
) -> Detector:
    """Make a detector.

    Args:
        name: one of ``DETECTORS``; ``auto``, see :func:`automatic_detector`; or the path of an SCRFD detector ``*.onnx``.
        device: ``cpu``, ``cuda`` or ``cuda:N``; back ends without CUDA ignore it. ``auto`` stays on the CPU if ONNX
            Runtime was built without CUDA. The build that pip installs has none, even if torch has CUDA.
        threads: number of CPU threads; the back end's default if None.
        min_face: width of the smallest face to look for, in pixels, for the back ends in ``SEARCHING`` and for files. By
            default it is the smallest size that is found reliably, and larger in very large images.

    Raises:
        LrfaceError: unknown name, the back end is not installed, its weights are not available, or ``min_face`` is given
            to a back end that cannot use it.
    """
    if name == "auto":
        name, device = automatic_detector(), device if _has_device(device) else "cpu"
    if not is_detector(name):
        raise LrfaceError(f"unknown detector {name!r}: choose auto, {', '.join(DETECTORS)}, or a file *.onnx")
    if name not in DETECTORS:
        from lrface.faces.detect.scrfd import open_scrfd

        return open_scrfd(name, device, threads, min_face)
    create = import_module(f"lrface.faces.detect.{name}_backend").create
    if name in SEARCHING:
        searching: Detector = create(device, threads, min_face)
        return searching
    if min_face is not None:
        raise LrfaceError(
            f"the detector {name} cannot be told a smallest face: leave --min-face out, or choose centerface"
        )
    detector: Detector = create(device, threads)
    return detector


def _has_device(device: str) -> bool:
    from lrface.runtimes.session import cuda_available

    return not device.startswith("cuda") or cuda_available()

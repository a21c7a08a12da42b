"""Rows over pairs, and rows about models alone: verification, cost."""

from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.suite.context import Context, NotApplicableError
from lrface.suite.task import Task

Result = tuple[dict[str, Any], dict[str, np.ndarray]]


def verification(context: Context, task: Task) -> Result:
    """Ten folds over pairs, with thresholds for each FAR, and the two numbers of the paper's Fig. 5."""
    from lrface.eval import similarity
    from lrface.eval.verification import evaluate, similarities

    pairs = context.load(task.set)
    degradation = Degradation(**task.options["degradation"]) if task.options["degradation"] else None
    mode = task.options["mode"]
    if mode == "hr-lr":
        _refuse_repetition(context, task)
    low = context.embed_pairs(task.model, task.set, None if mode == "hr-hr" else degradation)
    high = context.embed_pairs(task.model.hr or task.model, task.set, None) if mode == "hr-lr" else low
    if high.shape[1] != low.shape[1]:
        raise LrfaceError(
            f"the two models' embeddings cannot be compared: {high.shape[1]} and {low.shape[1]} dimensions"
        )
    same = np.asarray(pairs.same, bool)
    a, b = high[pairs.a], low[pairs.b]
    result = evaluate(a, b, same)
    exact = evaluate(a, b, same, thresholds="exact")
    scores = similarities(a, b)
    metrics = result.as_dict() | {
        "accuracy_exact": exact.accuracy,
        "std_exact": exact.std,
        "expectation_margin": similarity.expectation_margin(scores[same], scores[~same]),
        "histogram_intersection": similarity.histogram_intersection(scores[same], scores[~same]),
        "images": len(pairs.images),
        "notes": list(pairs.notes),
    }
    return metrics, {"similarities": scores.astype(np.float32), "same": same}


def _refuse_repetition(context: Context, task: Task) -> None:
    """Refuse HR-LR for a low-resolution model. It reduces both sides to the same size, so HR-LR would equal LR-LR."""
    own = None if task.model.family else context.single(task.model).preprocessing.degradation
    if own is not None and task.model.hr is None and own.size <= task.options["degradation"]["size"]:
        raise NotApplicableError(
            f"this model reduces every face to {own.size} px itself, so that HR-LR would repeat LR-LR: name the model "
            "of the high-resolution side, LABEL=MODEL,hr=TEACHER"
        )


def cost(context: Context, task: Task) -> Result:
    """Milliseconds per face, and megabytes."""
    from lrface.suite.peers import measure_cost

    return dict(measure_cost(task.model)), {}

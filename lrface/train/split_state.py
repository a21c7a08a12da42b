"""The state of a run with a split classifier, in the form of a run with one process.

So a checkpoint does not depend on the number of processes. A run can resume with another number, or with an unsplit
classifier.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lrface.losses.split_margin import SplitMargin
from lrface.train.objective import Objective


def whole_state(objective: Objective, optimizers: Sequence[Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The states of the objective and of its optimizers, with all centres and the optimizer's state of each.

    All processes must call it together.
    """
    state, states = objective.state_dict(), [optimizer.state_dict() for optimizer in optimizers]
    head = objective.head
    if isinstance(head, SplitMargin):
        state["head.weight"] = head.whole()
        number = _number(head, optimizers[0])
        kept = dict(states[0]["state"].get(number, {}))  # a copy, because the optimizer continues with its part
        for key, value in kept.items():
            if isinstance(value, Tensor) and value.shape == head.weight.shape:
                kept[key] = head.whole(value)
        if kept:
            states[0]["state"][number] = kept
    return state, states


def cut_state(objective: Objective, optimizers: Sequence[Any], content: dict[str, Any]) -> None:
    """Reduce a checkpoint's ``objective`` and ``optimizers`` to this process's part of the centres."""
    head = objective.head
    assert isinstance(head, SplitMargin)
    centres = content["objective"]["head.weight"]
    mine = slice(head.first, head.stop)
    content["objective"] = content["objective"] | {"head.weight": centres[mine]}
    kept = content["optimizers"][0]["state"].get(_number(head, optimizers[0]), {})
    for key, value in kept.items():
        if isinstance(value, Tensor) and value.shape == centres.shape:
            kept[key] = value[mine].clone()


def _number(head: SplitMargin, optimizer: Any) -> int:
    """The number of the centres among the optimizer's parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return next(number for number, parameter in enumerate(parameters) if parameter is head.weight)

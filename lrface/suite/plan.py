"""The rows of a run: models times sets times protocols."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from lrface.faces.degrade import Degradation
from lrface.suite import end_to_end
from lrface.suite.located import Absent, Located
from lrface.suite.native import native_tasks
from lrface.suite.options import Options
from lrface.suite.peers import Model
from lrface.suite.sets import PAIR_SETS
from lrface.suite.task import Task
from lrface.version import hardware


def plan(options: Options, sets: Iterable[Located | Absent]) -> list[Task]:
    """All tasks, set by set and model by model, so that neighbours share what is loaded."""
    machine = hardware()
    tasks = [Task("cost", model, None, {"hardware": machine}, {"hardware": machine}) for model in options.models]
    for found in sets:
        if isinstance(found, Absent):
            continue
        for model in options.models:
            tasks += _tasks(options, model, found)
    return tasks


def _tasks(options: Options, model: Model, found: Located) -> list[Task]:
    """The tasks of one model on one set."""
    if found.name == end_to_end.NAME:
        return end_to_end.end_to_end_tasks(options, model, found)
    return _pair_tasks(options, model, found) if found.name in PAIR_SETS else native_tasks(options, model, found)


def _pair_tasks(options: Options, model: Model, found: Located) -> list[Task]:
    """LFW has all modes and the sweep over resolutions; the other sets have low and full resolution."""
    main = Degradation(options.side, options.kernel, options.antialias)
    tasks = [_verify(options, model, found, "lr-lr", main), _verify(options, model, found, "hr-hr", None)]
    if found.name != "lfw":
        return tasks
    tasks.insert(1, _cross(options, model, found, main))
    for side in options.sides if options.swept is None or model.label in options.swept else ():
        operator = Degradation(side, options.kernel, options.antialias)
        if side != options.side:
            tasks += [_verify(options, model, found, "lr-lr", operator), _cross(options, model, found, operator)]
    return [*tasks, Task("tsne", model, found, _common(options, main), {"operator": main.name})]


def _verify(options: Options, model: Model, found: Located, mode: str, operator: Degradation | None) -> Task:
    facts = {
        "mode": mode,
        "operator": operator.name if operator else "none",
        "side": operator.size if operator else 112,
        "alignment": found.alignment,
    }
    return Task("verification", model, found, _common(options, operator) | {"mode": mode}, facts)


def _cross(options: Options, model: Model, found: Located, operator: Degradation) -> Task:
    task = _verify(options, model, found, "hr-lr", operator)
    if model.hr is None:
        return task
    facts = task.facts | {"hr_model": model.hr.label}
    return Task("verification", model, found, task.options | {"hr": model.hr.digest}, facts)


def _common(options: Options, operator: Degradation | None) -> dict[str, Any]:
    return {"degradation": asdict(operator) if operator else None, "flip": options.flip}

"""One run of a sweep in its own process: the ordinary training in its own folder, and a file about its outcome."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import locked, read_json, write_json

OUTCOME, OUTPUT = "outcome.json", "output.log"


def start(run: dict[str, Any]) -> multiprocessing.process.BaseProcess:
    """Start a training in a spawned process.

    Args:
        run: ``recipe`` (its content), ``folder``, ``key``, ``data_root``, ``device``, ``probes`` (names of sets), ``teachers``
            (the folder of trained teachers, which all runs share).
    """
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(run,), name=Path(run["folder"]).name)
    process.start()
    return process


def outcome(folder: Path, key: str) -> dict[str, Any] | None:
    """The outcome of the run with this key in a folder; None if it has not ended, or was interrupted.

    ``status`` is ``finished``, with ``history``, ``seconds``, ``code`` and ``hardware``, or ``failed``, with ``reason``.
    """
    if not (folder / OUTCOME).exists():
        return None
    try:
        content: dict[str, Any] = read_json(folder / OUTCOME)
    except LrfaceError:  # for example after a full disk
        return None
    return content if content.get("key") == key else None


def _work(run: dict[str, Any]) -> None:
    folder = Path(run["folder"])
    os.setpgrp()  # Ctrl-C must reach the parent only
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    with locked(folder / "lock"):  # an earlier process whose parent was killed may still be saving
        (folder / OUTCOME).unlink(missing_ok=True)
        with open(folder / OUTPUT, "a", buffering=1) as output:
            sys.stdout = sys.stderr = output
            ended = _train(run, folder)
        if ended is not None:
            write_json(folder / OUTCOME, {"key": run["key"], **ended})


def _train(run: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """Train, and return the outcome; None if the training was interrupted."""
    from lrface.version import code_version, hardware

    begun = time.monotonic()
    before = read_json(folder / "seconds.json") if (folder / "seconds.json").exists() else 0.0
    try:
        history = _history(run, folder)
    except LrfaceError as error:
        return {"status": "failed", "reason": str(error)}
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    seconds = before + time.monotonic() - begun
    write_json(folder / "seconds.json", seconds)
    if history is None:
        return None
    return {
        "status": "finished",
        "history": history,
        "seconds": seconds,
        "code": code_version(),
        "hardware": hardware(run["device"]),
    }


def _history(run: dict[str, Any], folder: Path) -> list[dict[str, float]] | None:
    """Run the training. Returns its validation results, for objects with the test results last; None if interrupted."""
    from lrface.objects.probe import linear_probe
    from lrface.objects.recipe import is_object_recipe, parse_object_recipe
    from lrface.objects.run import train_objects
    from lrface.train.loop import LAST
    from lrface.train.recipe import parse_recipe
    from lrface.train.run import make_fabric, train

    where = (folder, run["data_root"], run["device"])
    if not is_object_recipe(run["recipe"]):
        faces = train(parse_recipe(run["recipe"], "the sweep"), *where, resume=(folder / LAST).exists())
        return faces.history if faces.finished else None
    recipe = parse_object_recipe(run["recipe"], "the sweep")
    begun = any((folder / place / LAST).exists() for place in ("", "before"))
    objects = train_objects(recipe, *where, resume=begun, teachers=Path(run["teachers"]))
    if not objects.finished or objects.accuracy is None:
        return None
    root, device = Path(run["data_root"]), str(make_fabric(run["device"], recipe.precision).device)
    found = {name: linear_probe(objects.model, name, root / name, device).accuracy for name in run.get("probes", ())}
    return [*objects.history, {"epoch": recipe.optim.epochs, "test": objects.accuracy, **found}]


def _stop_with_parent() -> None:
    """End this run with a checkpoint if its parent is killed, because a killed parent cannot ask for it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

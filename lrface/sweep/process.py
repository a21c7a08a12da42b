"""One run of a sweep in a process of its own: the ordinary training, in its own folder, with a word on how it ended."""

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
    """Train in a spawned process.

    Args:
        run: ``recipe`` (its content), ``folder``, ``key``, ``data_root``, ``device``, ``probes`` (names of sets).
    """
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(run,), name=Path(run["folder"]).name)
    process.start()
    return process


def outcome(folder: Path, key: str) -> dict[str, Any] | None:
    """How the run of this key ended there; None if it did not, or was interrupted.

    ``status`` is ``finished``, with ``history``, ``seconds``, ``code`` and ``hardware``, or ``failed``, with ``reason``.
    """
    if not (folder / OUTCOME).exists():
        return None
    try:
        content: dict[str, Any] = read_json(folder / OUTCOME)
    except LrfaceError:  # as after a full disk
        return None
    return content if content.get("key") == key else None


def _work(run: dict[str, Any]) -> None:
    folder = Path(run["folder"])
    os.setpgrp()  # Ctrl-C is for the parent to answer
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    with locked(folder / "lock"):  # one whose parent was killed may still be saving
        (folder / OUTCOME).unlink(missing_ok=True)
        with open(folder / OUTPUT, "a", buffering=1) as output:
            sys.stdout = sys.stderr = output
            ended = _train(run, folder)
        if ended is not None:
            write_json(folder / OUTCOME, {"key": run["key"], **ended})


def _train(run: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """How it ended; None if it was interrupted."""
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
    """Validation results of faces or of objects, the latter with the test set's at the end; None if interrupted."""
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
    begun = any((folder / place / LAST).exists() for place in ("", "before", "teacher"))
    objects = train_objects(recipe, *where, resume=begun)
    if not objects.finished or objects.accuracy is None:
        return None
    root, device = Path(run["data_root"]), str(make_fabric(run["device"], recipe.precision).device)
    found = {name: linear_probe(objects.model, name, root / name, device).accuracy for name in run.get("probes", ())}
    return [*objects.history, {"epoch": recipe.optim.epochs, "test": objects.accuracy, **found}]


def _stop_with_parent() -> None:
    """A parent that is killed cannot tell: the run then ends as if it had been asked to, with its checkpoint saved."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

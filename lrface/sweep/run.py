"""Runs a sweep: several trainings at once, none twice, and after each of them the table anew."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import require_path, write_json
from lrface.reporting.ledger import exclusive
from lrface.sweep.plan import Run, plan_runs, point_name
from lrface.sweep.process import OUTCOME, OUTPUT, outcome, start
from lrface.sweep.report import write_report
from lrface.sweep.spec import SweepSpec
from lrface.train.recipe import Recipe

POLL = 1.0  # seconds


@dataclass
class _Working:
    run: Run
    process: BaseProcess
    device: str


def run_sweep(
    spec: SweepSpec,
    base: str | Path,
    out: str | Path,
    data_root: str | Path = ".",
    jobs: int = 1,
    devices: Sequence[str] = ("auto",),
    overrides: tuple[str, ...] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Train whatever is not trained yet, and write the table and the curve.

    Stopped at any moment, the same call goes on where it was: a finished run is not repeated, an unfinished one is
    resumed. A run that fails is a row of the table; it is tried again by the next call. Every run is a process of its
    own, so that a script that calls this needs the usual ``if __name__ == "__main__":``.

    Args:
        spec: the sweep.
        base: file of the base recipe.
        out: folder of ``results.json``, ``table.md``, ``table.csv``, ``curve.svg``, ``curve.png`` and ``runs/``.
        data_root: what the recipes' paths are relative to.
        jobs: runs at once.
        devices: they are dealt out to the runs; see :func:`lrface.train.run.train`.
        overrides: ``section.key=value`` for all runs.
        progress: show a bar, and a line for each run that ends.

    Returns:
        The content of ``results.json``.

    Raises:
        LrfaceError: a recipe is wrong, its data or a package are not there, or another sweep is at work in ``out``.
        KeyboardInterrupt: Ctrl-C, once the runs in hand have saved themselves.
    """
    missing = [name for name in ("lightning_fabric", "tensorboard", "matplotlib") if find_spec(name) is None]
    if missing:
        raise LrfaceError(f"a sweep needs {' and '.join(missing)}: pip install 'lrface[train,benchmark]'")
    out = Path(require_path(out))
    with exclusive(out):
        runs = plan_runs(spec, Path(require_path(base)), out, Path(require_path(data_root)), overrides)
        waiting = [run for run in runs if (outcome(run.folder, run.key) or {}).get("status") != "finished"]
        check_recipes(waiting, Path(data_root))
        for run in waiting:
            run.folder.mkdir(parents=True, exist_ok=True)
        results = write_report(spec, Path(base), out, runs)
        with _Bar(runs, progress) as bar, _threads(jobs):
            for run in _work(waiting, Path(data_root), jobs, list(devices), bar, spec.probes):
                ended = outcome(run.folder, run.key) or {}
                bar.message(_line(spec, run, ended))
                results = write_report(spec, Path(base), out, runs)
        return results


def check_recipes(runs: list[Run], root: Path) -> None:
    """Raise LrfaceError if the recipe of a run does not fit its data or its teachers, before the first one is trained."""
    from lrface.train.preflight import Preflight

    preflight = Preflight(root)
    seen: list[Any] = []
    for run in runs:
        recipe = run.recipe.model_copy(update={"seed": 0})
        if not isinstance(recipe, Recipe) or recipe in seen:
            continue
        seen.append(recipe)
        try:
            preflight.check(recipe)
        except LrfaceError as error:
            raise LrfaceError(f"{point_name(run.point)}: {error}") from error


def _work(
    waiting: list[Run], root: Path, jobs: int, devices: list[str], bar: "_Bar", probes: Sequence[str] = ()
) -> Iterator[Run]:
    """Start and watch; yields every run that ended."""
    queue, working = list(waiting), list[_Working]()
    try:
        while queue or working:
            while queue and len(working) < jobs:
                run = queue.pop(0)
                used = [each.device for each in working]
                device = min(devices, key=used.count)
                settings = {
                    "recipe": run.recipe.model_dump(mode="json"), "folder": str(run.folder), "key": run.key,
                    "data_root": str(root), "device": device, "probes": list(probes),
                }  # fmt: skip
                working.append(_Working(run, start(settings), device))
            wait([each.process.sentinel for each in working], timeout=POLL)
            bar.update()
            for each in [each for each in working if not each.process.is_alive()]:
                working.remove(each)
                _note_death(each)
                yield each.run
    finally:
        for each in working:
            each.process.terminate()  # ends after the step in hand, with a checkpoint
        for each in working:
            each.process.join()


def _note_death(ended: _Working) -> None:
    """A process that was killed has not said how it ended."""
    status = ended.process.exitcode
    if outcome(ended.run.folder, ended.run.key) is None:
        reason = f"the process ended with exit status {status}; see {ended.run.folder / OUTPUT}"
        write_json(ended.run.folder / OUTCOME, {"key": ended.run.key, "status": "failed", "reason": reason})


def _line(spec: SweepSpec, run: Run, ended: dict[str, Any]) -> str:
    name = f"{point_name(run.point)}, seed {run.seed}"
    if ended.get("status") == "finished":
        return f"{name}: {spec.figure} {spec.value(ended['history']):.4f}"
    return f"{name}: failed: {ended.get('reason')}"


@contextmanager
def _threads(jobs: int) -> Iterator[None]:
    """Runs at once share the cores, unless the user has said how."""
    name = "OMP_NUM_THREADS"
    if jobs == 1 or name in os.environ:
        yield
        return
    os.environ[name] = str(max(1, (os.cpu_count() or 1) // jobs))
    try:
        yield
    finally:
        del os.environ[name]


class _Bar:
    """Images of all runs together, as their logs tell."""

    def __init__(self, runs: list[Run], show: bool) -> None:
        from tqdm import tqdm

        self._runs, self._last = runs, 0.0
        total = sum(run.images for run in runs)
        self._bar = tqdm(total=total, initial=self._done(), unit="img", disable=not show, dynamic_ncols=True)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self) -> None:
        """Look how far the runs are."""
        if time.monotonic() - self._last >= POLL:
            self._last = time.monotonic()
            done = self._done()
            if done != self._bar.n:
                self._bar.update(done - self._bar.n)

    def message(self, text: str) -> None:
        """A line above the bar."""
        if not self._bar.disable:
            self._bar.write(text)

    def _done(self) -> int:
        return sum(run.images if outcome(run.folder, run.key) else _seen(run) for run in self._runs)


def _seen(run: Run) -> int:
    """Images that a run has seen, from the last line of its log."""
    try:
        with open(run.folder / "log.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().splitlines()
        return int(json.loads(lines[-1])["step"]) * run.recipe.optim.batch_size
    except (OSError, ValueError, IndexError, KeyError):
        return 0

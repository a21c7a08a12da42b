"""Runs a sweep: several trainings in parallel, none twice. The table is updated after each."""

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
from lrface.sweep.plan import Run, plan_runs, point_name, value_name
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
    only: tuple[str, ...] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Train all runs that are not finished yet, and write the table and the curve.

    The call can be stopped at any moment and repeated: finished runs are kept, unfinished ones are resumed. A failed run gets
    a row in the table, and the next call tries it again. Every run is its own process. Therefore a script that calls this
    function needs the usual ``if __name__ == "__main__":``.

    Args:
        spec: the sweep.
        base: file of the base recipe.
        out: folder of ``results.json``, ``table.md``, ``table.csv``, ``curve.svg``, ``curve.png``, ``runs/``, and
            ``teachers/`` if the recipes train their own.
        data_root: the recipes' paths are relative to it.
        jobs: number of runs at the same time.
        devices: the runs are distributed over them; see :func:`lrface.train.run.train`.
        overrides: ``section.key=value`` for all runs.
        only: ``section.key=value``: train only the runs whose point has these values. The table shows all runs.
        progress: show a progress bar, and a line for each run that ends.

    Returns:
        The content of ``results.json``.

    Raises:
        LrfaceError: a recipe is wrong, its data or a package are missing, no point is as ``only`` says, or another sweep
            uses ``out``.
        KeyboardInterrupt: Ctrl-C, after the current runs have saved a checkpoint.
    """
    missing = [name for name in ("lightning_fabric", "tensorboard", "matplotlib") if find_spec(name) is None]
    if missing:
        raise LrfaceError(f"a sweep needs {' and '.join(missing)}: pip install 'lrface[train,benchmark]'")
    out = Path(require_path(out))
    with exclusive(out):
        runs = plan_runs(spec, Path(require_path(base)), out, Path(require_path(data_root)), overrides)
        chosen = chosen_runs(runs, only)
        waiting = [run for run in chosen if (outcome(run.folder, run.key) or {}).get("status") != "finished"]
        check_recipes(waiting, Path(data_root))
        for run in waiting:
            run.folder.mkdir(parents=True, exist_ok=True)
        results = write_report(spec, Path(base), out, runs)
        with _Bar(chosen, progress) as bar, _threads(jobs):
            for run in _work(waiting, out, Path(data_root), jobs, list(devices), bar, spec.probes):
                ended = outcome(run.folder, run.key) or {}
                bar.message(_line(spec, run, ended))
                results = write_report(spec, Path(base), out, runs)
        return results


def chosen_runs(runs: list[Run], only: Sequence[str]) -> list[Run]:
    """The runs whose point has all values of ``only``, which are ``key=value`` with the values as in the table.

    Raises:
        LrfaceError: one is not of this form, or names a key or a value that no point has.
    """
    for text in only:
        key, sign, value = text.partition("=")
        known = sorted({value_name(run.point[key]) for run in runs if key in run.point})
        if not sign or value not in known:
            keys = ", ".join(sorted(runs[0].point)) if not known else f"{key}={f', {key}='.join(known)}"
            raise LrfaceError(f"--only {text}: give KEY=VALUE of the sweep's points; they have {keys}")
        runs = [run for run in runs if value_name(run.point[key]) == value]
    return runs


def check_recipes(runs: list[Run], root: Path) -> None:
    """Check all recipes against their data and teachers, before the first run starts.

    Raises:
        LrfaceError: a recipe does not fit them.
    """
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
    waiting: list[Run], out: Path, root: Path, jobs: int, devices: list[str], bar: "_Bar", probes: Sequence[str] = ()
) -> Iterator[Run]:
    """Start runs and wait for them. Yields every run that has ended."""
    queue, working = list(waiting), list[_Working]()
    try:
        while queue or working:
            while queue and len(working) < jobs:
                run = queue.pop(0)
                used = [each.device for each in working]
                device = min(devices, key=used.count)
                settings = {
                    "recipe": run.recipe.model_dump(mode="json"), "folder": str(run.folder), "key": run.key,
                    "data_root": str(root), "device": device, "probes": list(probes), "teachers": str(out / "teachers"),
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
            each.process.terminate()  # the run ends after its current step, with a checkpoint
        for each in working:
            each.process.join()


def _note_death(ended: _Working) -> None:
    """Write the outcome of a killed process, which could not write it itself."""
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
    """Distribute the cores over parallel runs, unless the user has set OMP_NUM_THREADS."""
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
    """A progress bar over the images of all runs, from their logs."""

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
        """Read the progress of the runs, and update the bar."""
        if time.monotonic() - self._last >= POLL:
            self._last = time.monotonic()
            done = self._done()
            if done != self._bar.n:
                self._bar.update(done - self._bar.n)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        if not self._bar.disable:
            self._bar.write(text)

    def _done(self) -> int:
        return sum(run.images if outcome(run.folder, run.key) else _seen(run) for run in self._runs)


def _seen(run: Run) -> int:
    """Number of images that a run has used so far, from the last line of its log."""
    try:
        with open(run.folder / "log.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().splitlines()
        return int(json.loads(lines[-1])["step"]) * run.recipe.optim.batch_size
    except (OSError, ValueError, IndexError, KeyError):
        return 0

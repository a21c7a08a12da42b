"""Running the suite: compute the rows that are not in the ledger yet, and write the report."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from importlib import metadata
from typing import Any

from lrface.errors import LrfaceError
from lrface.reporting.fingerprint import FileDigests, code_digest, digest
from lrface.reporting.ledger import Ledger, exclusive
from lrface.suite.ablations import read_sweeps
from lrface.suite.local_paths import without_local_paths
from lrface.suite.located import TITLES, Absent, Located
from lrface.suite.options import Options
from lrface.suite.plan import plan
from lrface.suite.sets import absent, locate, locate_lfw_photos
from lrface.suite.task import Task
from lrface.version import code_version, hardware

Log = Callable[[str], None]


def run(options: Options, log: Log = print) -> dict[str, Any]:
    """Measure every model on every set, and write ``results.json``, tables, figures and ``report.html`` to ``options.out``.

    A finished row is read from the ledger. A failed row is reported, and the next run tries it again.

    Args:
        options: of the run.
        log: called with a line for each row.

    Returns:
        The content of ``results.json``, with ``computed``: the number of rows that this run computed.

    Raises:
        LrfaceError: the results cannot be written, a sweep is missing, or another run is writing to the folder.
    """
    sweeps = read_sweeps(options.ablations)
    _check_models(options)
    with exclusive(options.out):
        (options.out / "cache").mkdir(exist_ok=True)
        (options.out / "cache" / ".gitignore").write_text("*\n")  # it may contain faces of the data
        ledger = Ledger(options.out / "ledger")
        sets, broken = _locate(options)
        _tell_absent(options, sets, log)
        tasks = plan(options, sets)
        rows, computed = _rows(options, tasks, ledger, log)
        rows = [*rows, *broken, *map(_not_there, (found for found in sets if isinstance(found, Absent)))]
        results = without_local_paths(
            {"rows": rows, "models": _models(options), "suite": _suite(options), "ablations": sweeps}, options
        )
        _report(options, results, tasks, ledger, log)
    return results | {"computed": computed}


def _check_models(options: Options) -> None:
    """Raise LrfaceError if a model cannot be compared with the one of its high-resolution side. Checked before reading any set.

    A model that cannot be opened fails in its own rows, and the others are measured.
    """
    from lrface.eval.lfw import check_comparable

    for model in options.models:
        if model.hr is None:
            continue
        try:
            high, low = model.hr.open(options.device), model.open(options.device)
        except LrfaceError:
            continue
        try:
            check_comparable(high, low)
        except LrfaceError as error:
            raise LrfaceError(f"{model.label}, hr={model.hr.label}: {error}") from error


def _locate(options: Options) -> tuple[list[Located | Absent], list[dict[str, Any]]]:
    """The requested sets, and a row for each set that exists but cannot be used."""
    digests = FileDigests(options.out / "cache" / "files.json")
    sets: list[Located | Absent] = []
    broken = []
    for name in options.only:
        try:
            sets += locate(name, options, digests)
        except LrfaceError as error:
            broken.append(_of_set(name, TITLES[name], "failed", absent(name, options, str(error)).why))
    if options.native and "lfw" in options.only:
        try:
            sets.append(locate_lfw_photos(options, digests))
        except LrfaceError as error:
            broken.append(_of_set("lfw_native", TITLES["lfw_native"], "failed", str(error)))
    return sets, broken


def _tell_absent(options: Options, sets: list[Located | Absent], log: Log) -> None:
    """Log the absent sets with the data root's path. The report says how to get them but does not contain the path."""
    titles = [found.title for found in sets if isinstance(found, Absent)]
    if titles:
        log(f"not in {options.data.resolve()}: {', '.join(titles)}; the report tells how to get them")


def _not_there(found: Absent) -> dict[str, Any]:
    return _of_set(found.name, found.title, "not run", found.why)


def _of_set(name: str, title: str, status: str, why: str) -> dict[str, Any]:
    """A row about a set that counts for all models."""
    facts = {"set": name, "set_title": title, "model": None, "protocol": None, "rehearsal": False}
    return facts | {"status": status, "why": why}


def key_of(task: Task) -> str:
    """Digest of everything on which a row depends."""
    data = task.found.fingerprint if task.found else None
    code = _code(task.protocol, bool(task.options.get("finetuned")))
    return digest([task.protocol, task.model.digest, data, task.options, code])


@cache
def _code(protocol: str, finetuned: bool) -> str:
    from lrface.suite.native_rows import FINETUNE_CODE
    from lrface.suite.protocols import PROTOCOLS

    return code_digest([*PROTOCOLS[protocol].code, *(FINETUNE_CODE if finetuned else ())])


def _rows(options: Options, tasks: list[Task], ledger: Ledger, log: Log) -> tuple[list[dict[str, Any]], int]:
    from lrface.suite.context import Context

    keys = [key_of(task) for task in tasks]
    kept = [ledger.row(key) for key in keys]
    missing = sum(row is None for row in kept)
    log(f"{len(tasks)} rows, {len(tasks) - missing} of them finished before")
    context = Context(options)
    clock = _Clock(missing)
    rows, failed = [], False
    for task, key, row in zip(tasks, keys, kept, strict=True):
        if row is None:
            row = ledger.row(key)  # equal to an earlier row of this run
        if row is None:
            row = _compute(context, task, key, ledger)
            failed |= row["status"] == "failed"
            log(clock.line(task, row))
        rows.append(_identity(task, key) | row)
    if not failed:
        context.forget()
    return rows, missing


def _compute(context: Any, task: Task, key: str, ledger: Ledger) -> dict[str, Any]:
    """Compute and store one row. An error becomes the row's status, so that the other rows are still computed."""
    from lrface.suite.context import NotApplicableError
    from lrface.suite.peers import describe
    from lrface.suite.protocols import PROTOCOLS

    row: dict[str, Any] = {
        "status": "done", "code": code_version(), "hardware": task.facts.get("hardware") or hardware(context.options.device),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }  # fmt: skip
    start = time.perf_counter()
    try:
        metrics, arrays = PROTOCOLS[task.protocol].run(context, task)
        if "alignment" in metrics:  # only known once the set has been read
            row["alignment"] = metrics.pop("alignment")
        row |= {"metrics": metrics, "origin": describe(context.embedder(task.model))}
    except NotApplicableError as reason:
        row, arrays = row | {"status": "not run", "why": str(reason)}, {}
    except Exception as error:  # whatever the error, the other rows are still computed
        why = str(error) if isinstance(error, LrfaceError) else f"{type(error).__name__}: {error}"
        return row | {"status": "failed", "why": why or type(error).__name__}
    row["seconds"] = round(time.perf_counter() - start, 3)
    ledger.write(key, row, arrays)
    return row


def _identity(task: Task, key: str) -> dict[str, Any]:
    """The facts that identify a row for readers. Labels and titles are not part of its fingerprint and may change."""
    found = task.found
    return {
        "key": key[:32],
        "protocol": task.protocol,
        "model": task.model.label,
        "set": found.name if found else None,
        "set_title": found.title if found else None,
        "data": found.fingerprint if found else None,
        "rehearsal": bool(found and found.rehearsal),
        **task.facts,
    }


class _Clock:
    """Reports the progress of a run and the remaining time."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._start = total, 0, time.perf_counter()

    def line(self, task: Task, row: dict[str, Any]) -> str:
        self._done += 1
        passed = time.perf_counter() - self._start
        left = passed / self._done * (self._total - self._done)
        outcome = _headline(row.get("metrics", {})) if row["status"] == "done" else f"{row['status']}: {row['why']}"
        pace = f"{60 * self._done / passed:.1f} rows/min, about {_span(left)} left"
        return f"[{self._done}/{self._total}] {task.title}: {outcome} ({pace})"


def _headline(metrics: dict[str, Any]) -> str:
    for name in ("accuracy", "top1", "rank1"):
        if metrics.get(name) is not None:
            return f"{name} {100 * metrics[name]:.2f} %"
    return f"{metrics['ms']:.1f} ms" if "ms" in metrics else "done"


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _models(options: Options) -> list[dict[str, Any]]:
    return [
        {"label": model.label, "file": model.spec.rpartition(os.sep)[2], "declared": dict(model.declared)}
        | {"digest": model.digest, "hr": model.hr.label if model.hr else None}
        for model in options.models
    ]


def _suite(options: Options) -> dict[str, Any]:
    versions = {}
    for package in ("numpy", "torch", "onnxruntime", "opencv-python", "pillow", "scikit-learn", "faiss-cpu"):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "side": options.side, "sides": list(options.sides), "native": list(options.native),
        "kernel": options.kernel, "antialias": options.antialias,
        "flip": options.flip, "seeds": options.seeds, "only": list(options.only), "faces": options.faces,
        "swept": None if options.swept is None else list(options.swept),
        "python": platform.python_version(), "packages": versions,
    }  # fmt: skip


def _report(options: Options, results: dict[str, Any], tasks: list[Task], ledger: Ledger, log: Log) -> None:
    """Write the report again if anything that it shows has changed, including the program."""
    from lrface.files import read_json, write_json

    code = code_digest(["lrface.suite"])
    published = (
        [[path.name, path.read_text()] for path in sorted(options.published.glob("*.csv"))] if options.published else []
    )
    state = digest([results, code, published])
    written = options.out / "results.json"
    if written.exists():
        with suppress(LrfaceError):
            if read_json(written).get("state") == state and (options.out / "report.html").exists():
                log(f"nothing has changed: {options.out / 'report.html'}")
                return
    from lrface.suite.report import write_report

    write_report(options, results, tasks, ledger, log)
    write_json(written, {"state": state} | results)

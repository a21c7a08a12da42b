"""The report of a sweep: a table with the mean and the spread over seeds, and a curve."""

import statistics
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lrface.files import atomic_write, write_json
from lrface.objects.recipe import ObjectRecipe
from lrface.reporting.style import Canvas, drawing, marker, save_figure, series
from lrface.reporting.tables import Column, Line, Table, to_csv, to_markdown
from lrface.sweep.objects import budget_of
from lrface.sweep.plan import Run, point_name, short_names, value_name
from lrface.sweep.process import outcome
from lrface.sweep.spec import ProbeSet, SweepSpec

#: Title, factor and digits of each figure in the table.
FIGURES = {
    "accuracy": ("accuracy %", 100, 2),
    "auc": ("AUC", 1, 4),
    "eer": ("EER %", 100, 2),
    "test": ("test accuracy %", 100, 2),
    **{name: (f"linear probe on {name} %", 100, 2) for name in get_args(ProbeSet)},
}
#: Ratio of largest to smallest value from which an axis is logarithmic.
LOG_SPAN = 8

Row = dict[str, Any]


def write_report(spec: SweepSpec, base: Path, out: Path, runs: list[Run]) -> dict[str, Any]:
    """Write ``results.json``, ``table.md``, ``table.csv``, and ``curve.svg`` and ``.png`` if two points are finished.

    Args:
        spec: the sweep.
        base: file of the base recipe.
        out: folder of the sweep's results.
        runs: all runs, finished or not.

    Returns:
        The content of ``results.json``: ``rows``, one per point, and ``runs``.

    Raises:
        LrfaceError: a file cannot be written.
    """
    found = [_run_row(spec, out, run) for run in runs]
    rows = [_point_row(point, [each for each in found if each["point"] == point]) for point in spec.expand()]
    results = {"sweep": spec.model_dump(), "base": base.name, "rows": rows, "runs": found}
    write_json(out / "results.json", results)
    table = make_table(spec, base, rows, found)
    for name, text in (("table.md", to_markdown([table])), ("table.csv", to_csv([table]))):
        with atomic_write(out / name, "w") as file:
            file.write(text)
    done = [row for row in rows if row["mean"] is not None]
    if len(done) > 1:
        with drawing() as canvas:
            save_figure(draw_curve(canvas, spec, done), out, "curve")
    return results


def _run_row(spec: SweepSpec, out: Path, run: Run) -> Row:
    ended = outcome(run.folder, run.key) or {"status": "not run"}
    value = spec.value(ended["history"]) if ended["status"] == "finished" else None
    facts = {"point": run.point, "seed": run.seed, "folder": str(run.folder.relative_to(out)), "value": value}
    if isinstance(run.recipe, ObjectRecipe):
        facts["budget"] = budget_of(run.recipe, run.images)
    known = ("status", "reason", "seconds", "code", "hardware", "history")
    return facts | {key: ended[key] for key in known if key in ended}


def _point_row(point: dict[str, Any], runs: list[Row]) -> Row:
    values = [run["value"] for run in runs if run["value"] is not None]
    seconds = [run["seconds"] for run in runs if "seconds" in run]
    return {
        "point": point,
        "values": {str(run["seed"]): run["value"] for run in runs},
        "mean": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
        "seconds": statistics.fmean(seconds) if seconds else None,
        "status": ", ".join(sorted({run["status"] for run in runs if run["status"] != "finished"})),
    }


def make_table(spec: SweepSpec, base: Path, rows: list[Row], runs: list[Row]) -> Table:
    """The table of a sweep, with one line per point."""
    title, scale, digits = FIGURES[spec.figure]
    better = "lower" if spec.figure == "eer" else "higher"
    names = short_names(list(rows[0]["point"]))
    columns = [
        *(Column(key, short) for key, short in names.items()),
        Column("figure", f"{title}, mean ± spread", scale, digits, better),  # type: ignore[arg-type]
        *(Column(f"seed {seed}", f"seed {seed}", scale, digits) for seed in spec.seeds if len(spec.seeds) > 1),
        Column("seconds", "s/run", 1, 0),
        Column("status", "not finished"),
    ]
    lines = []
    for row in rows:
        values = {key: value_name(value) for key, value in row["point"].items()}
        figure = (row["mean"], row["std"]) if row["mean"] is not None else None
        seeds = {f"seed {seed}": value for seed, value in row["values"].items()}
        rest = {"figure": figure, "seconds": row["seconds"], "status": row["status"]}
        lines.append(Line("", values | seeds | rest, "all"))
    return Table(spec.name, spec.name, columns, lines, _notes(spec, base, runs)).pruned()


def _notes(spec: SweepSpec, base: Path, runs: list[Row]) -> list[str]:
    changed = ", ".join(f"{key} {value_name(value)}" for key, value in spec.overrides.items())
    commits = sorted({str(run["code"]["commit"]) for run in runs if run.get("code")})
    notes = [
        *filter(None, [spec.description]),
        f"Every run: {base.name}" + (f" with {changed}" if changed else "") + ".",
        f"Figure: {_measured_on(spec)}; "
        + (f"spread: standard deviation over {len(spec.seeds)} seeds." if len(spec.seeds) > 1 else "one seed."),
        *(f"Budget: {budget}." for budget in sorted({run["budget"] for run in runs if run.get("budget")})),
        *([f"Code: {', '.join(commits)}."] if commits else []),
        *(f"Hardware: {machine}." for machine in sorted({run["hardware"] for run in runs if run.get("hardware")})),
    ]
    failed = [run for run in runs if run["status"] == "failed"]
    return notes + [f"Failed: {point_name(run['point'])}, seed {run['seed']}: {run['reason']}" for run in failed]


def _measured_on(spec: SweepSpec) -> str:
    if spec.figure == "test":
        return "after the last epoch, on the test pictures, by which nothing was chosen"
    if spec.figure in get_args(ProbeSet):
        return f"a linear classifier on the features after the last epoch, on the test pictures of {spec.figure}"
    return f"of the {spec.epoch} epoch, on the recipe's validation data, which are not reported on"


def draw_curve(canvas: Canvas, spec: SweepSpec, rows: list[Row]) -> Any:
    """Draw the figure over the first key, with one line per combination of the other keys. Bars show the spread over seeds."""
    title, scale, _ = FIGURES[spec.figure]
    names = short_names(list(rows[0]["point"]))
    first, *others = names
    values = list(dict.fromkeys(value_name(row["point"][first]) for row in rows))
    numbers = all(_is_number(row["point"][first]) for row in rows) and len(values) > 1
    figure, axis = canvas.subplots(figsize=(5.6, 3.8))
    lines: dict[str, list[Row]] = {}
    for row in rows:
        label = ", ".join(f"{names[key]} {value_name(row['point'][key])}" for key in others)
        lines.setdefault(label, []).append(row)
    for number, (label, members) in enumerate(lines.items()):
        if numbers:
            at = [row["point"][first] for row in members]
            members = [members[index] for index in np.argsort(at, kind="stable")]
            x = sorted(at)
        else:  # side by side, so that their bars do not cover each other
            shift = 0.12 * (number - (len(lines) - 1) / 2)
            x = [values.index(value_name(row["point"][first])) + shift for row in members]
        y, bars = ([scale * (row[key] or 0) for row in members] for key in ("mean", "std"))
        style = series(number) | ({} if numbers else {"linestyle": ""})
        axis.errorbar(x, y, yerr=bars, marker=marker(number), markersize=5, capsize=3, label=label or None, **style)
    axis.set(title=spec.name, xlabel=first, ylabel=title)
    if numbers:
        _number_axis(axis, sorted({row["point"][first] for row in rows}))
    else:
        axis.set_xticks(range(len(values)), values)
        axis.set_xlim(-0.5, len(values) - 0.5)
    if others:
        axis.legend()
    return figure


def _number_axis(axis: Any, values: list[float]) -> None:
    if values[0] > 0 and values[-1] / values[0] >= LOG_SPAN:
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(values, [f"{value:g}" for value in values], rotation=45 if len(values) > 7 else 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))

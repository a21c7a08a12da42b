"""Sweeps over distillation methods on objects: own results below the published ones, with the budget in every row."""

import csv
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.reporting.tables import Column, Line, Table
from lrface.suite.published import Published
from lrface.sweep.plan import point_name, value_name
from lrface.sweep.report import FIGURES, make_table
from lrface.sweep.spec import SweepSpec

Sweep = dict[str, Any]
#: The budget of the published rows; see their papers.
PUBLISHED_BUDGET = "as published"
#: Columns that the paper prints under another name: its numbers are those that CRD, ICLR 2020, has for this pair.
MISPRINTED = {"resnet32x4>resnet8x4": "resnet32x4>resnet32"}


def is_of_objects(sweep: Sweep) -> bool:
    """Whether a sweep's runs were on objects; these record their budget."""
    return any("budget" in run for run in sweep["runs"])


def object_table(sweep: Sweep, spec: SweepSpec, published: Path | None) -> Table:
    """A line for each point, below the published column that the sweep names.

    Raises:
        LrfaceError: the sweep names a published column that does not exist.
    """
    plain = make_table(spec, Path(sweep["base"]), sweep["rows"], sweep["runs"])
    title, scale, digits = FIGURES[spec.figure]
    lines = [line for pair in dict.fromkeys(map(_pair, spec.expand())) for line in _lines(sweep, spec, published, pair)]
    columns = (
        Column("method", "Method"), Column("budget", "Budget"), Column("figure", title, scale, digits, "higher"),
        Column("seeds", "Seeds", 1, 0), Column("status", "Not finished"),
    )  # fmt: skip
    notes = (
        [*plain.notes, "Published rows are compared with ours at the same budget alone."]
        if spec.published
        else plain.notes
    )
    return Table(spec.name, spec.name, columns, lines, notes).pruned()


def _lines(sweep: Sweep, spec: SweepSpec, published: Path | None, pair: str) -> list[Line]:
    """Published lines and ours, of one pair of networks or, if the points name none (""), of all points."""
    place = f"{spec.published} {pair}".strip() if spec.published else ""
    start, rivals = (f"{pair}: ", f" {pair}") if pair else ("", "")
    lines = [
        Line(
            f"{start}published",
            {"method": row.model, "budget": PUBLISHED_BUDGET, "figure": row.values["accuracy"]},
            f"published{rivals}",
        )
        for row in (published_column(published, place) if place else [])
    ]
    for row in sweep["rows"]:
        if _pair(row["point"]) != pair:
            continue
        budgets = {run["budget"] for run in sweep["runs"] if run["point"] == row["point"] and "budget" in run}
        values = {
            "method": _method(row["point"]),
            "budget": "; ".join(sorted(budgets)), "seeds": row["seeds"], "status": row["status"],
            "figure": (row["mean"], row["std"]) if row["mean"] is not None else None,
        }  # fmt: skip
        lines.append(Line(f"{start}this run", values, f"ours{rivals}"))
    return lines


def _pair(point: dict[str, Any]) -> str:
    """The networks of a point, ``teacher>student``; empty if it does not name both."""
    names = [point.get("teacher.network"), point.get("model.name")]
    return ">".join(map(str, names)) if all(names) else ""


def _method(point: dict[str, Any]) -> str:
    """The name of a point for a row, without the kind of teacher cache, and without the networks and their rate."""
    hidden = {"teacher.cache", *({"teacher.network", "model.name", "optim.lr"} if _pair(point) else ())}
    shown = {key: value for key, value in point.items() if key not in hidden}
    return value_name(shown["loss"]) if list(shown) == ["loss"] else point_name(shown)


def published_column(folder: Path | None, place: str) -> list[Published]:
    """Read one pair of networks, or one set, from a published table of objects.

    Args:
        folder: of the tables; the result is empty if it is None or has no such table.
        place: name of the table and of the column, separated by a space. ``cifar100_transfer`` has a row for each set.

    Returns:
        A row for each method with a figure, with ``accuracy`` as a fraction.

    Raises:
        LrfaceError: the table has no such column, or a cell that is not a number.
    """
    name, _, column = place.partition(" ")
    column = MISPRINTED.get(column, column)
    path = folder / f"{name}.csv" if folder else None
    if path is None or not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {str(row["method"]): row[column] for row in rows if "method" in row and column in row}
    for row in rows:
        if row.get("target") == column:
            found = {key: text for key, text in row.items() if key != "target"}
    if not found:
        raise LrfaceError(f"{path} has no column {column}, which the sweep names under published")
    try:
        return [Published(key, "", "", {"accuracy": float(text) / 100}) for key, text in found.items() if text]
    except ValueError as error:
        raise LrfaceError(f"{path}: column {column} is not as published tables are: {error}") from error

"""Common parts of the tables: columns, and descriptions of a row's data."""

from collections.abc import Iterable
from typing import Any

from lrface.reporting.tables import Column, Line
from lrface.suite.published import Published

Row = dict[str, Any]

MODEL = Column("model", "Model")
DATA = Column("data", "Data")
SOURCE = Column("data", "Data or publication")
INPUT = Column("input", "Input")
ALIGNMENT = Column("alignment", "Alignment")
ACCURACY = Column("accuracy", "Accuracy %", 100, 2, "higher")
EXACT = Column("accuracy_exact", "Exact thresholds %", 100, 2, "higher")
MS = Column("ms", "ms/face", 1, 1)
MEGABYTES = Column("megabytes", "MB", 1, 1)
RATES = tuple(Column(far, f"TAR@FAR {far}", 100, 2, "higher") for far in ("0.1", "0.01", "0.001", "0.0001"))
AUC, EER = Column("auc", "AUC", 1, 4, "higher"), Column("eer", "EER %", 100, 2, "lower")


def data_name(row: Row) -> str:
    """A row's data for tables: the name of the set, and whether it is a rehearsal."""
    return f"{row['set_title']}, rehearsal" if row["rehearsal"] else str(row["set_title"])


def input_name(row: Row) -> str:
    """The name of the reduction, or ``full``."""
    return "full" if row.get("operator") in (None, "none") else str(row["operator"])


def of(rows: Iterable[Row], protocol: str, *sets: str) -> list[Row]:
    """The rows of a protocol, and only of these sets if any are named."""
    return [row for row in rows if row["protocol"] == protocol and (not sets or row["set"] in sets)]


def main_rows(rows: Iterable[Row], side: int) -> list[Row]:
    """LFW's rows at full resolution and at the low resolution of the main tables, without the rest of the sweep."""
    return [row for row in of(rows, "verification", "lfw") if row["mode"] == "hr-hr" or row["side"] == side]


def swept(rows: Iterable[Row], mode: str) -> dict[str, list[Row]]:
    """For each model in the sweep over resolutions, by label: its LFW rows of ``mode``, sorted by side."""
    found: dict[str, list[Row]] = {}
    for row in sorted(of(rows, "verification", "lfw"), key=lambda row: row["side"]):
        if row["mode"] == mode:
            found.setdefault(row["model"], []).append(row)
    low = [row for row in of(rows, "verification", "lfw") if row["mode"] == "lr-lr"]
    order = dict.fromkeys(row["model"] for row in low)  # the order of the report, for any choice of sides
    many = [model for model in order if sum(row["model"] == model for row in low) > 1]
    return {model: found[model] for model in many if model in found}


def is_view_2(row: Row) -> bool:
    """Whether a row's figure is comparable with published figures of LFW (View 2, 6,000 pairs)."""
    return row["set_title"] == "LFW" and row["metrics"]["pairs"] == 6000 and not row["rehearsal"]


def cost_of(costs: dict[str, Any], row: Row) -> Row:
    """The cost of a row's model, as columns of a table."""
    cost = costs.get(row["model"], {})
    return {"ms": cost.get("ms"), "megabytes": cost.get("megabytes")}


def lines_of(published: Iterable[Published], group: str, rivals: str) -> list[Line]:
    """Published rows as lines of a table."""
    return [
        Line(group, {"model": row.model, "input": row.resolution, "data": row.publication, **row.values}, rivals)
        for row in published
    ]


def notes_of(rows: Iterable[Row]) -> list[str]:
    """The notes of rows, each once."""
    return list(dict.fromkeys(f"{data_name(row)}: {note}" for row in rows for note in row["metrics"].get("notes", ())))

"""Tables of verification: LFW beside the published figures, the sweep, the other sets, similarities, thresholds."""

from typing import Any

from lrface.reporting.tables import Column, Line, Table
from lrface.suite.published import Published
from lrface.suite.table_parts import (
    ACCURACY,
    ALIGNMENT,
    AUC,
    DATA,
    EER,
    EXACT,
    INPUT,
    MEGABYTES,
    MODEL,
    MS,
    RATES,
    SOURCE,
    Row,
    cost_of,
    data_name,
    input_name,
    is_view_2,
    lines_of,
    main_rows,
    notes_of,
    of,
    swept,
)  # fmt: skip

MODES = {
    "hr-hr": "this run, full resolution (HR-HR)",
    "lr-lr": "this run, low resolution (LR-LR)",
    "hr-lr": "this run, full against low resolution (HR-LR)",
}


SWEPT = {
    "lr-lr": "both images of a pair reduced (LR-LR)",
    "hr-lr": "the second image reduced, the first at full resolution (HR-LR)",
}


def lfw_table(rows: list[Row], side: int, costs: dict[str, Any], published: list[Published]) -> Table:
    """LFW at low and at full resolution, beside the published figures."""
    ours = main_rows(rows, side)
    lines = []
    for mode, group in MODES.items():
        lines += _published_beside(mode, side, published) if ours else []
        for row in (row for row in ours if row["mode"] == mode):
            rivals = mode if is_view_2(row) else f"{mode}, {data_name(row)}"
            lines.append(Line(group, _verified(row) | cost_of(costs, row), rivals))
    columns = (MODEL, SOURCE, INPUT, ACCURACY, EXACT, AUC, EER, *RATES, MS, MEGABYTES)
    notes = [
        "Accuracy: mean ± standard deviation over ten folds, thresholds from the grid of the protocol; exact: all are tried.",
        "A dash under a TAR: the set has too few pairs of different people to measure it.",
        "A network of low-resolution input reduces full faces itself. Milliseconds: see the table of costs.",
    ]
    if any(not is_view_2(row) for row in ours):
        notes.append("Rows whose data is not LFW itself are not compared with published ones.")
    notes += notes_of(ours)
    return Table("lfw", f"LFW verification at {side} px and at full resolution", columns, lines, notes)


def _published_beside(mode: str, side: int, published: list[Published]) -> list[Line]:
    """Published rows for a mode. None are published for HR-LR. Full resolution means all rows that are not 16x16."""
    if mode == "lr-lr":
        small = f"{side}x{side}"
        return lines_of((row for row in published if row.resolution == small), f"published, {small}", mode)
    full = (row for row in published if row.resolution != "16x16")
    return lines_of(full, "published, full resolution", mode) if mode == "hr-hr" else []


def sweep_table(rows: list[Row]) -> Table:
    """Accuracy of the swept models at each side, with both images of a pair reduced, or only one."""
    full = {row["model"]: row for row in of(rows, "verification", "lfw") if row["mode"] == "hr-hr"}
    lines, sides = [], set()
    for mode, group in SWEPT.items():
        for model, own in swept(rows, mode).items():
            accuracies = {str(row["side"]): row["metrics"]["accuracy"] for row in own}
            sides |= {row["side"] for row in own}
            if model in full:
                accuracies["full"] = full[model]["metrics"]["accuracy"]
            lines.append(Line(group, {"model": model, "data": data_name(own[0]), **accuracies}, mode))
    columns = [Column(str(side), f"{side} px", 100, 2, "higher") for side in sorted(sides)]
    columns += [Column("full", "Full", 100, 2, "higher")] if full else []
    return Table("sweep", "LFW accuracy % against resolution", (MODEL, DATA, *columns), lines)


def other_pairs_table(rows: list[Row]) -> Table:
    """The packs and XQLFW."""
    sets = ("cfp_fp", "agedb_30", "calfw", "cplfw", "xqlfw")
    ours = [row for name in sets for row in of(rows, "verification", name)]
    lines = [Line(data_name(row), _verified(row), f"{row['set']} {row['operator']}") for row in ours]
    columns = (MODEL, INPUT, ALIGNMENT, ACCURACY, EXACT, AUC, EER, *RATES)
    return Table("other_pairs", "Verification across pose, age and quality", columns, lines, notes_of(ours))


def similarity_table(rows: list[Row], side: int) -> Table:
    """The two numbers of the paper's Fig. 5."""
    ours = [row for row in main_rows(rows, side) if row["mode"] == "lr-lr"]
    lines = [
        Line("", {"model": row["model"], "data": data_name(row), "input": input_name(row)}
             | {key: row["metrics"][key] for key in ("expectation_margin", "histogram_intersection")}, row["set"])
        for row in ours
    ]  # fmt: skip
    columns = (
        MODEL, DATA, INPUT, Column("expectation_margin", "Expectation margin", 1, 4, "higher"),
        Column("histogram_intersection", "Histogram intersection", 1, 4, "lower"),
    )  # fmt: skip
    return Table("similarity", "Similarities of positive and negative pairs", columns, lines)


def thresholds_table(rows: list[Row], side: int) -> Table:
    """Cosine thresholds for each FAR."""
    ours = main_rows(rows, side)
    lines = []
    for row in ours:
        values: Row = {
            "model": row["model"],
            "data": data_name(row),
            "input": input_name(row),
            "mode": row["mode"].upper(),
        }
        for far, known in row["metrics"]["threshold_at_far"].items():
            values[far] = f"{known['cosine']:.4f} [{known['low']:.4f}, {known['high']:.4f}]"
        lines.append(Line("", values))
    columns = (MODEL, DATA, INPUT, Column("mode", "Mode"))
    fars = tuple(Column(far, f"FAR {far}") for far in ("0.1", "0.01", "0.001", "0.0001"))
    notes = [
        "Cosine threshold for each false accept rate, with a 95 % bootstrap interval over the pairs of different people."
    ]
    return Table("thresholds", "Thresholds", (*columns, *fars), lines, notes)


def _verified(row: Row) -> Row:
    """The values of a verification row."""
    metrics = row["metrics"]
    return {
        "model": row["model"], "data": data_name(row), "input": input_name(row), "alignment": row["alignment"],
        "accuracy": (metrics["accuracy"], metrics["std"]), "auc": metrics["auc"], "eer": metrics["eer"],
        "accuracy_exact": (metrics["accuracy_exact"], metrics["std_exact"]), **metrics["tar_at_far"],
    }  # fmt: skip

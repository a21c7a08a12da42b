"""Tables of native low-resolution faces: LFW end to end, UCCS, TinyFace, QMUL-SurvFace, SCface."""

from typing import Any

from lrface.reporting.tables import Column, Line, Table
from lrface.suite.published import Published
from lrface.suite.table_parts import (
    ACCURACY,
    ALIGNMENT,
    AUC,
    DATA,
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
    lines_of,
    notes_of,
    of,
)  # fmt: skip


def end_to_end_table(rows: list[Row]) -> Table:
    """LFW photos with small faces: accuracy, detection rate and landmark error."""
    lines, ours = [], of(rows, "end-to-end")
    protocol = {
        (row["model"], row["side"]): row["metrics"]["accuracy"]
        for row in of(rows, "verification", "lfw") if row["mode"] == "lr-lr"
    }  # fmt: skip
    for row in sorted(ours, key=lambda row: int(row["side"])):
        metrics = row["metrics"]
        values = {
            "model": row["model"], "data": data_name(row), "input": row["operator"], "alignment": row["alignment"],
            "found": metrics["found"], "error": metrics["landmark_error"], "auc": metrics["auc"],
            "accuracy": (metrics["accuracy"], metrics["std"]), "protocol": protocol.get((row["model"], row["side"])),
        }  # fmt: skip
        lines.append(Line(f"{row['side']} px", values, str(row["side"])))
    columns = (
        MODEL, DATA, INPUT, ALIGNMENT, Column("found", "Found %", 100, 1, "higher"),
        Column("error", "Landmark error", 1, 2, "lower"), ACCURACY, AUC, Column("protocol", "Protocol %", 100, 2, "higher"),
    )  # fmt: skip
    notes = [
        "Photos reduced until the ArcFace crop has that side; faces found, aligned, embedded and compared, each model by its own "
        "detector, which is shown the photo enlarged where it finds nothing. Where it still does not, the whole photo is taken.",
        "Landmark error: mean distance to MTCNN's in the full photo, in pixels of the 112 crop. Protocol: the same pairs aligned "
        "before they are reduced.",
    ]
    return Table("end_to_end", "LFW end to end, from photos with small faces", columns, lines, notes)


def uccs_table(rows: list[Row], costs: dict[str, Any], published: list[Published]) -> Table:
    """Top-1 and top-5 beside the published figures."""
    ours = of(rows, "identification")
    lines = lines_of(published, "published, 16x16", "uccs") if ours else []
    for row in ours:
        metrics = row["metrics"]
        values = {
            "model": row["model"], "data": data_name(row), "input": input_name(row), "alignment": row["alignment"],
            "accuracy": (metrics["top1"], metrics["top1_spread"]), "top5": (metrics["top5"], metrics["top5_spread"]),
            "seeds": metrics["seeds"], "split": metrics["split"], "subjects": metrics["subjects"], **cost_of(costs, row),
        }  # fmt: skip
        lines.append(Line("this run", values, "uccs, rehearsal" if row["rehearsal"] else "uccs"))
    columns = (
        MODEL, SOURCE, INPUT, ALIGNMENT, Column("accuracy", "Top-1 %", 100, 2, "higher"),
        Column("top5", "Top-5 %", 100, 2, "higher"), Column("seeds", "Seeds", 1, 0), Column("subjects", "Subjects", 1, 0),
        Column("split", "Split"), MS, MEGABYTES,
    )  # fmt: skip
    notes = [
        "Backbone frozen, a softmax layer over the subjects trained on it; mean ± spread over seeds.",
        *notes_of(ours),
    ]
    return Table("uccs", "UCCS identification", columns, lines, notes)


def tinyface_table(rows: list[Row], costs: dict[str, Any], published: list[Published]) -> Table:
    """CMC and mAP beside the published figures, with and without distractors."""
    ours = of(rows, "retrieval")
    lines = lines_of(published, "published", "tinyface with distractors") if ours else []
    for distractors in (True, False):
        kind = "with distractors" if distractors else "without distractors"
        for row in (row for row in ours if row["distractors"] == distractors):
            rivals = f"tinyface {kind}{', rehearsal' if row['rehearsal'] else ''}"
            facts = {"model": row["model"], "data": data_name(row), "alignment": row["alignment"]}
            facts["finetuned"] = row["finetuned"] or "no"
            lines.append(Line(f"this run, {kind}", facts | row["metrics"] | cost_of(costs, row), rivals))
    ranks = tuple(Column(f"rank{n}", f"Rank-{n}", 1, 4, "higher") for n in (1, 5, 10, 20, 50))
    columns = (
        MODEL, SOURCE, ALIGNMENT, Column("finetuned", "Finetuned"), *ranks, Column("map", "mAP", 1, 4, "higher"),
        Column("gallery", "Gallery", 1, 0), Column("probes", "Probes", 1, 0),
    )  # fmt: skip
    notes = [
        "1:N search, exact, ties against us; mAP by the trapezoid of the official code; fractions, as in the paper.",
        "How faces are aligned decides TinyFace scores: compare rows of the same alignment only.",
        *notes_of(ours),
    ]
    return Table("tinyface", "TinyFace retrieval", columns, lines, notes)


def survface_table(rows: list[Row]) -> Table:
    """Open-set search, and verification if the set has it."""
    ours, lines = of(rows, "open-set"), []
    for row in ours:
        facts = {"model": row["model"], "data": data_name(row), "alignment": row["alignment"]}
        found = {f"tpir@{fpir}": share for fpir, share in row["metrics"]["tpir"].items()}
        pairs = row["metrics"]["verification"]
        if pairs:
            found |= {"accuracy": (pairs["accuracy"], pairs["std"]), "auc": pairs["auc"], **pairs["tar_at_far"]}
        lines.append(Line("", facts | found, data_name(row)))
    fpirs = {"0.3": "30", "0.2": "20", "0.1": "10", "0.01": "1"}
    open_set = [Column(f"tpir@{fpir}", f"TPIR20 % at FPIR {text} %", 100, 2, "higher") for fpir, text in fpirs.items()]
    verified = (Column("accuracy", "Verification %", 100, 2, "higher"), AUC, *RATES[:2])
    return Table("survface", "QMUL-SurvFace", (MODEL, DATA, ALIGNMENT, *open_set, *verified), lines, notes_of(ours))


def scface_table(rows: list[Row]) -> Table:
    """Rank-1 rate at each distance."""
    ours, lines = of(rows, "distance"), []
    for row in ours:
        facts = {"model": row["model"], "data": data_name(row), "alignment": row["alignment"]}
        lines.append(Line("", facts | row["metrics"], data_name(row)))
    distances = [
        Column(f"rank1_{n}", f"Rank-1 % at {m} m", 100, 2, "higher") for n, m in ((1, "4.2"), (2, "2.6"), (3, "1.0"))
    ]
    return Table("scface", "SCface identification", (MODEL, DATA, ALIGNMENT, *distances), lines, notes_of(ours))

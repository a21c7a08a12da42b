"""Tables from rows: own results below the published ones, each set with the columns that are usual for it."""

from pathlib import Path
from typing import Any

from lrface.reporting.tables import Column, Line, Table
from lrface.suite import native_tables, verification_tables
from lrface.suite.published import read_published
from lrface.suite.table_parts import ALIGNMENT, DATA, INPUT, MEGABYTES, MODEL, MS, Row, data_name, input_name, of


def build_tables(rows: list[Row], side: int, published: Path | None) -> list[Table]:
    """All tables that are not empty."""
    done = [row for row in rows if row["status"] == "done"]
    costs = {row["model"]: row["metrics"] for row in done if row["protocol"] == "cost"}
    tables = [
        verification_tables.lfw_table(done, side, costs, read_published(published, "lfw_verification", percent=True)),
        verification_tables.sweep_table(done),
        verification_tables.other_pairs_table(done),
        verification_tables.similarity_table(done, side),
        verification_tables.thresholds_table(done, side),
        native_tables.end_to_end_table(done),
        native_tables.uccs_table(done, costs, read_published(published, "uccs_identification", percent=True)),
        native_tables.tinyface_table(done, costs, read_published(published, "tinyface_retrieval", percent=False)),
        native_tables.survface_table(done),
        native_tables.scface_table(done),
        _costs(done),
        _absent(rows),
        *_origins(done),
    ]
    return [table.pruned() for table in tables if table.lines]


def _costs(rows: list[Row]) -> Table:
    lines = [
        Line("", {"model": row["model"], "hardware": row["hardware"]} | row["metrics"]) for row in of(rows, "cost")
    ]
    for line, row in zip(lines, of(rows, "cost"), strict=True):
        line.values["ms"] = (row["metrics"]["ms"], row["metrics"]["ms_spread"])
        line.values["input"] = _input_of(row["origin"]["input"])
    columns = (
        MODEL, Column("input", "Network's input"), Column("dimensions", "Dimensions", 1, 0),
        MEGABYTES, MS, Column("hardware", "Hardware"),
    )  # fmt: skip
    notes = [
        "Milliseconds of processor time: one face at a time on one thread, preprocessing included; median ± half the "
        "distance of the quartiles."
    ]
    return Table("costs", "What the models cost", columns, lines, notes)


def _input_of(taken: dict[str, Any]) -> str:
    """The input of a model, or the members of a family."""
    if "members" in taken:
        return ", ".join(f"{name} from {detail:g} px" for name, detail in taken["members"].items())
    return f"{taken['input_size']} px, {taken['crop']}"


def _absent(rows: list[Row]) -> Table:
    """The table of rows that are not done, with one line for all inputs of a model that fail in the same way."""
    merged: dict[tuple[str, ...], list[str]] = {}
    for row in (row for row in rows if row["status"] != "done"):
        data = data_name(row) if row["set"] else row["protocol"]
        inputs = merged.setdefault((data, row["model"] or "all", row["status"], row["why"]), [])
        inputs += [f"{row['mode'].upper()} {input_name(row)}"] if row.get("mode") else []
    lines = [
        Line("", {"data": data, "model": model, "input": ", ".join(inputs), "status": status, "why": why})
        for (data, model, status, why), inputs in merged.items()
    ]
    columns = (DATA, MODEL, INPUT, Column("status", "Status"), Column("why", "Why, and what to do"))
    return Table("not_run", "Rows that were not run or failed", columns, lines)


def _losses(loss: Any) -> str | None:
    """The losses that a recipe uses."""
    return " + ".join(name for name, on in loss.items() if on) if isinstance(loss, dict) else loss


def _origins(rows: list[Row]) -> list[Table]:
    """Two tables of origins: one line per model, and one line per row."""
    by_model = {row["model"]: row["origin"] for row in rows}
    models = []
    for model, origin in by_model.items():
        trained, data = origin["trained_by"] or {}, origin["trained_on"] or {}
        models.append(Line("", {
            "model": model, "recipe": origin["recipe"], "loss": _losses(origin["loss"]), "epochs": origin["epochs"],
            "seed": origin["seed"], "trained": trained.get("commit"), "weights": origin["fingerprint"][:12],
            "images": data.get("images"), "contents": (data.get("fingerprint") or "")[:12],
        }))  # fmt: skip
    measured = []
    for row in rows:
        what = " ".join(filter(None, [row["protocol"], (row.get("mode") or "").upper(), row.get("finetuned")]))
        what += ", no distractors" if row.get("distractors") is False else ""
        measured.append(Line("", {
            "model": row["model"], "row": what, "operator": row.get("operator"), "alignment": row.get("alignment"),
            "data": data_name(row) if row["set"] else None, "contents": (row["data"] or "")[:12],
            "commit": row["code"]["commit"], "seconds": row["seconds"],
        }))  # fmt: skip
    first = (
        MODEL, Column("recipe", "Recipe"), Column("loss", "Losses"), Column("epochs", "Epochs", 1, 0),
        Column("seed", "Seed"), Column("images", "Images", 1, 0), Column("contents", "Training data"),
        Column("trained", "Trained by"), Column("weights", "Weights"),
    )  # fmt: skip
    second = (
        MODEL, Column("row", "Row"), DATA, Column("contents", "Data fingerprint"), Column("operator", "Resize operator"),
        ALIGNMENT, Column("commit", "Measured by"), Column("seconds", "Seconds", 1, 1),
    )  # fmt: skip
    note = (
        "A dash: the model's file does not say. Trained by, measured by: commits; -dirty: with changes not committed."
    )
    return [
        Table("models", "Where the models come from", first, models, [note]),
        Table("origins", "Where every row comes from", second, measured),
    ]

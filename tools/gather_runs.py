"""Gather what a series of training runs has found: a table of their validation, and the best model of each kind, in half precision.

    python tools/gather_runs.py runs --out results

Runs are folders called KIND-SEED. Of a run that is not finished the table says how far it is, and no model is taken.
"""

import re
import sys
from pathlib import Path
from typing import Any

import click

from lrface.errors import LrfaceError
from lrface.files import write_json
from lrface.models.weights import load_model, save_model
from lrface.train.log import read_log


def read_run(folder: Path) -> dict[str, Any]:
    """Kind, seed, and the best and last validation of a run. Raises LrfaceError if its log cannot be read."""
    name = re.fullmatch(r"(.+)-(\d+)", folder.name)
    assert name is not None
    lines = [line for line in read_log(folder) if line["kind"] == "validation"]
    facts: dict[str, Any] = {"kind": name[1], "seed": int(name[2]), "run": folder.name}
    facts["finished"] = (folder / "model.safetensors").is_file()
    if lines:
        best = max(lines, key=lambda line: line["accuracy"])
        facts |= {"epochs": lines[-1]["epoch"], "best_epoch": best["epoch"]}
        facts |= {
            "best": best["accuracy"],
            "best_auc": best["auc"],
            "last": lines[-1]["accuracy"],
            "last_auc": lines[-1]["auc"],
        }
    return facts


def gather(runs: Path, out: Path) -> list[dict[str, Any]]:
    """Write ``validation.json``, each run's log and recipe, and the models. Returns the table."""
    folders = sorted(
        path for path in runs.glob("*") if re.fullmatch(r".+-\d+", path.name) and (path / "log.jsonl").is_file()
    )
    table = [read_run(folder) for folder in folders]
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "validation.json", table)
    for folder in folders:
        for name, suffix in (("log.jsonl", "jsonl"), ("recipe.yaml", "yaml")):
            (out / f"{folder.name}.{suffix}").write_bytes((folder / name).read_bytes())
    for kind in {row["kind"] for row in table}:
        done = [row for row in table if row["kind"] == kind and row["finished"] and "best" in row]
        if done:
            best = max(done, key=lambda row: row["best"])
            model, card = load_model(runs / best["run"] / "model.safetensors")
            save_model(out / f"{best['run']}.safetensors", model, card, half=True)
    return table


@click.command()
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(runs: Path, out: Path) -> None:
    """Gather the runs in RUNS."""
    try:
        table = gather(runs, out)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    for row in table:
        reached = "nothing yet"
        if "best" in row:
            reached = f"{100 * row['best']:.2f} %, AUC {row['best_auc']:.4f} at epoch {row['best_epoch']}"
        click.echo(f"{row['run']:<40} {reached}{'' if row['finished'] else ', not finished'}")


if __name__ == "__main__":
    main()

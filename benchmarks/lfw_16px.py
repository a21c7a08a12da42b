"""One table: every model on the same pairs and crops, at full resolution and at 16 px, beside the published figures.

Rows are kept as they are computed; a second run computes only what is new.
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any

import click
import pandas as pd

from lrface.data.pair_set import PairSet, from_store
from lrface.data.store import Store
from lrface.embedder import Embedder, open_embedder
from lrface.errors import LrfaceError
from lrface.eval.lfw import verify_pairs
from lrface.faces.degrade import Degradation
from lrface.files import atomic_write, read_json, write_json
from lrface.version import code_version

PUBLISHED = Path(__file__).parent / "published" / "lfw_verification.csv"


def parse_model(text: str) -> tuple[str, str, bool]:
    """``LABEL=MODEL`` is measured at low resolution; ``LABEL=MODEL@hr`` at full resolution."""
    label, equals, spec = text.partition("=")
    if not equals:
        raise LrfaceError(f"{text}: write a model as LABEL=FILE, or LABEL=FILE@hr for full resolution")
    return label, spec.removesuffix("@hr"), spec.endswith("@hr")


def measure(embedder: Embedder, pairs: PairSet, full: bool, low: Degradation, common: dict[str, Any]) -> dict[str, Any]:
    """One row."""
    row = verify_pairs(embedder, pairs, None if full else low, "hr-hr" if full else "lr-lr", progress=True)
    card = embedder.card
    recipe = card.get("recipe", {})
    origin = {
        "recipe": recipe.get("name"),
        "loss": recipe.get("loss"),
        "model": recipe.get("model"),
        "epochs": recipe.get("optim", {}).get("epochs"),
        "seed": recipe.get("seed"),
        "trained_by": card.get("code"),
        "trained_on": card.get("data"),
    }
    return row.as_dict() | {"fingerprint": embedder.fingerprint} | origin | common


def as_markdown(rows: dict[str, dict[str, Any]]) -> str:
    """The table that people read."""
    lines = [
        "| model | input | accuracy % | AUC | EER % | TAR@FAR 1e-1 | 1e-2 | 1e-3 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label, row in rows.items():
        rates = [row["tar_at_far"].get(far) for far in ("0.1", "0.01", "0.001")]
        shown = " | ".join("-" if rate is None else f"{100 * rate:.2f}" for rate in rates)
        operator = "112px" if row["operator"] == "none" else row["operator"]
        lines.append(
            f"| {label} | {operator} | {100 * row['accuracy']:.2f} ± {100 * row['std']:.2f} | {row['auc']:.4f} | "
            f"{100 * row['eer']:.2f} | {shown} |"
        )
    published = pd.read_csv(PUBLISHED)
    small = published[published["resolution"] == "16x16"]
    lines += [
        "",
        "Published, trained on CASIA-WebFace or more, at 16x16 (benchmarks/published/lfw_verification.csv):",
        "",
    ]
    lines += ["| model | accuracy % | publication |", "|---|---|---|"]
    lines += [
        f"| {name} | {value:.2f} | {where} |"
        for name, value, where in small[["model", "accuracy", "publication"]].values
    ]
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="LABEL=MODEL[@hr]...")
@click.option("--store", required=True, type=click.Path(), help="Store made of LFW by `lrface prepare`.")
@click.option("--pairs", required=True, multiple=True, type=click.Path(), help="pairs.txt")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Results without suffix; .json and .md are written."
)
def main(models: tuple[str, ...], store: str, pairs: tuple[str, ...], out: Path) -> None:
    """Measure MODELS on LFW pairs and write one table."""
    try:
        run(models, store, pairs, out)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


def run(models: tuple[str, ...], store: str, pairs: tuple[str, ...], out: Path) -> None:
    """Measure what is not in the results yet."""
    opened, low = Store(store), Degradation()
    common = {
        "data": opened.fingerprint,
        "evaluated_by": code_version(),
        "hardware": platform.processor() or platform.machine(),
    }
    done = read_json(out.with_suffix(".json")) if out.with_suffix(".json").exists() else {}
    rows: dict[str, dict[str, Any]] = {}
    chosen: PairSet | None = None
    for label, spec, full in map(parse_model, models):
        embedder = open_embedder(spec)
        known = done.get(label, {})
        key = {"fingerprint": embedder.fingerprint, "data": opened.fingerprint, "mode": "hr-hr" if full else "lr-lr"}
        if all(known.get(name) == value for name, value in key.items()):
            rows[label] = known
            continue
        chosen = chosen or from_store(store, pairs)
        rows[label] = json.loads(json.dumps(measure(embedder, chosen, full, low, common)))
        write_json(out.with_suffix(".json"), done | rows)
        click.echo(f"{label}: {100 * rows[label]['accuracy']:.2f} %")
    write_json(out.with_suffix(".json"), rows)
    with atomic_write(out.with_suffix(".md"), "w") as file:
        file.write(as_markdown(rows))
    click.echo(as_markdown(rows))


if __name__ == "__main__":
    main()

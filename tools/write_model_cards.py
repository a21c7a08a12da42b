"""Write docs/models.md, the cards of the shipped models, from the model files and the measured results.

    benchmarks/run_all.sh --only lfw --models lrface-r18-16px ... --out results/lfw   # reproduces the figures
    python tools/write_model_cards.py results/lfw/results.json

Nothing is typed by hand: facts and thresholds come from each model file, figures from the benchmark's results.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lrface.faces.calibration import Calibration
from lrface.models import shipped
from lrface.models.embedder import open_embedder

OUT = Path(__file__).parents[1] / "docs" / "models.md"
SIDES = (4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
FAMILY_SIDES = (8.0, 12.0, 16.0, 20.0, 24.0, 36.0, 64.0)
FACTS = {
    "licence": "Licence", "data_licence": "Data", "teacher": "Teachers", "overlap_check": "Overlap with LFW",
    "intended_use": "Intended use", "limits": "Known limits",
}  # fmt: skip


def figures(rows: list[dict[str, Any]], model: str) -> list[str]:
    """LFW View 2 by resolution as a Markdown table; empty if nothing was measured."""
    mine = [
        row for row in rows
        if (row["model"], row["protocol"], row.get("set"), row["status"]) == (model, "verification", "lfw", "done")
    ]  # fmt: skip
    if not mine:
        return []
    lines = [
        "| LFW View 2 | accuracy % | AUC | EER % | TAR % at FAR 1e-1, 1e-2, 1e-3 | code |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(mine, key=lambda row: (row["mode"], row.get("side") or 10_000)):
        found = row["metrics"]
        rates = ", ".join(f"{100 * found['tar_at_far'][far]:.1f}" for far in ("0.1", "0.01", "0.001"))
        what = row["operator"] if row["mode"] == "lr-lr" else "full resolution"
        if row["mode"] == "hr-lr":
            what += f" against {row['operator']}"
        lines.append(
            f"| {what} | {100 * found['accuracy']:.2f} ± {100 * found['std']:.2f} | {found['auc']:.4f} "
            f"| {100 * found['eer']:.2f} | {rates} | {row['code']['commit']} |"
        )
    return [*lines, "", f"Faces aligned by {mine[0]['alignment']}; flip sum; ten folds; each figure computed once.", ""]


def thresholds(
    calibration: Calibration, sides: tuple[float, ...] = SIDES, other: float | None = None, facts: bool = True
) -> list[str]:
    """Cosine thresholds as a Markdown table.

    Args:
        calibration: of the model or family.
        sides: resolutions in pixels, one per column.
        other: resolution of the second face; None for the same as the first.
        facts: add the people on whom the thresholds were fitted.
    """
    rates = [far for far in sorted(calibration.different, reverse=True) if far in (0.1, 0.01, 0.001, 0.0001)]
    lines = [
        "| false accept rate | " + " | ".join(f"{side:g} px" for side in sides) + " |",
        "|---" * (len(sides) + 1) + "|",
    ]
    for far in rates:
        cells = " | ".join(f"{float(calibration.threshold(far, side, other or side)):.3f}" for side in sides)
        lines.append(f"| {far:g} | {cells} |")
    sources = "; ".join(f"{each['name']}: {each['people']} people" for each in calibration.facts["sources"])
    pair = (
        f"a face of {other:g} pixels of detail and one of so many" if other else "two faces of so many pixels of detail"
    )
    return [*lines, "", f"Cosine thresholds for {pair}" + (f", fitted on {sources}." if facts else "."), ""]


def card(model: str, rows: list[dict[str, Any]]) -> list[str]:
    """The section of one model."""
    facts = open_embedder(model, threads=1).card
    recipe = facts["recipe"]
    degradation = facts["preprocessing"]["degradation"]
    whitening = facts.get("whitening")
    lines = [f"## {model}", ""]
    lines += [f"- {title}: {facts[key]}" for key, title in FACTS.items() if key in facts]
    lines += [
        f"- Recipe: `recipes/{recipe['name']}.yaml`, seed {recipe['seed']}, code {facts['code']['commit']}, step {facts['step']}; "
        f"trained on {facts['data']['images']:,} images of {facts['data']['identities']:,} identities",
        f"- Input: {degradation['size']} px, {degradation['kernel']}, {'antialiased' if degradation['antialias'] else 'sampled'}",
    ]
    if whitening:
        lines.append(f"- Whitened within {whitening['images']:,} training images, shrinkage {whitening['shrinkage']:g}")
    if metric := facts.get("metric"):
        lines.append(
            f"- Metric: the student's own with weight {metric['weight']:g}, the rest from its linear prediction of the embedding "
            f"of {metric['teacher']}, fitted on {metric['images']:,} sharp training images"
        )
    lines += ["", *figures(rows, model)]
    calibration = Calibration.from_card(facts)
    return lines + (thresholds(calibration) if calibration else [])


def short_name(top: Mapping[str, Any]) -> str:
    """The name of a top member: that of its map, FAMILY.NAME.map.safetensors."""
    return str(top["map"]).split(".")[1]


def family_parts(record: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The family alone and with each of its top members: the name in tables, and the card."""
    name = record["name"]
    tops = [(f"{name} + {short_name(top)}", top["card"]) for top in record.get("sharp", [])]
    return [(name, record["card"]), *tops]


def family_card(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The section of one family, alone and with each of its top members."""
    path = shipped.find_family(name)
    assert path is not None
    record = json.loads(path.read_text())
    lines = [f"## {name}, the family", ""]
    lines += [
        f"- Faces with {each['detail']:g} and more pixels of detail: {each['model']}" for each in record["members"]
    ]
    for top in record.get("sharp", []):
        lines.append(
            f"- {name} + {short_name(top)} (`--sharp`): faces with {top['detail']:g} and more pixels of detail are embedded by the "
            f"last of these models together with {', '.join(top['teachers'])}; see "
            "[one space for small and large faces](low-resolution.md#sharp-faces-one-space-for-small-and-large-ones)"
        )
    lines.append("")
    for label, facts in family_parts(record):
        lines += [f"### {label}", ""]
        lines += figures(rows, label)
        if calibration := Calibration.from_card(facts):
            lines += thresholds(calibration, FAMILY_SIDES, facts=False)
            lines += thresholds(calibration, FAMILY_SIDES, other=FAMILY_SIDES[-1])
    return lines


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(results: tuple[Path, ...], out: Path) -> None:
    """Write the cards with the figures from RESULTS, which are files of `lrface benchmark`."""
    rows = [row for file in results for row in json.loads(file.read_text())["rows"]]
    lines = [
        "# The models that lrface carries",
        "",
        "Written by `tools/write_model_cards.py` from the model files and from `lrface benchmark`'s results. For research: see",
        "each licence. `tools/train_shipped.sh` trains and ships them anew.",
        "",
    ]
    for name in shipped.families():
        lines += family_card(name, rows)
    for model in shipped.listing()["models"]:
        lines += card(model, rows)
    out.write_text("\n".join(lines).rstrip() + "\n")
    click.echo(f"{out}: {len(lines)} lines")


if __name__ == "__main__":
    main()

"""``lrface doctor``."""

import json
from typing import Any

import click

from lrface.cli.options import DATA_ROOT


@click.command("doctor")
@DATA_ROOT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(data_root: str, as_json: bool) -> None:
    """Show installed packages, devices, and the data and models that are found. Downloads nothing."""
    from lrface.cli.doctor_checks import examine

    facts = examine(data_root)
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def _text(facts: dict[str, Any]) -> str:
    commit = f" ({facts['version']['commit']})" if facts["version"]["commit"] else ""
    lines = [f"lrface {facts['version']['version']}{commit}, Python {facts['python']}, {facts['platform']}"]
    sections = {
        "packages": _packages(facts["packages"]),
        "devices": _devices(facts["devices"]),
        "detectors": [
            *((name, "works offline" if fact["usable"] else fact["note"]) for name, fact in facts["detectors"].items()),
            ("auto", f"is {facts['auto_detector']} here"),
        ],
        "models": _models(facts["models"]),
        f"data under {facts['data']['root']}": _data(facts["data"]),
    }
    for title, rows in sections.items():
        width = max(len(name) for name, _ in rows)
        lines += ["", title, *(f"  {name:<{width}}  {text}" for name, text in rows)]
    return "\n".join([*lines, *(f"\nwarning: {text}" for text in facts["warnings"])])


def _packages(versions: dict[str, str | None]) -> list[tuple[str, str]]:
    rows = [(name, version) for name, version in versions.items() if version]
    return [*rows, ("not installed", ", ".join(name for name, version in versions.items() if not version) or "-")]


def _devices(devices: dict[str, Any]) -> list[tuple[str, str]]:
    memory = f", {devices['memory_gib']} GiB of memory" if devices["memory_gib"] else ""
    rows = [("cpu", f"{devices['cores']} cores{memory}")]
    rows += [
        (f"cuda:{number}", f"{gpu['name']}, {gpu['memory_gib']} GiB") for number, gpu in enumerate(devices["cuda"])
    ]
    rows += [] if devices["cuda"] else [("cuda", "none")]
    rows += [("mps", "yes")] if devices["mps"] else []
    return [*rows, ("ONNX Runtime", ", ".join(devices["onnxruntime"]) or "cannot be used")]


def _models(models: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("shipped", ", ".join(models["shipped"]) or "none: name one with --model")]
    rows += [
        (f"insightface:{pack}", ", ".join(files) or "empty") for pack, files in models["insightface_packs"].items()
    ]
    rows += (
        [] if models["insightface_packs"] else [("insightface packs", "none on the disk; the first use downloads one")]
    )
    return [*rows, ("data root", ", ".join(models["under_data_root"]) or "none")]


def _data(data: dict[str, Any]) -> list[tuple[str, str]]:
    if not data["exists"]:
        return [("missing", "no such folder: name one with --data or LRFACE_DATA")]
    rows = [("stores", ", ".join(data["stores"]) or "none")]
    for name, fact in data["sets"].items():
        lacking = f"lacks {', '.join(fact['missing'])}; " if fact["state"] == "incomplete" else ""
        text = fact["found"][0] if fact["state"] == "found" else f"{fact['state']}: {lacking}`lrface data where {name}`"
        rows.append((name, text))
    return rows

"""Model cards: every figure comes from a file."""

import json
import sys

import pytest
import write_model_cards as tool

from lrface.models import shipped


def row(model, mode, operator, side, accuracy):
    metrics = {
        "accuracy": accuracy,
        "std": 0.01,
        "auc": 0.9,
        "eer": 0.2,
        "tar_at_far": {"0.1": 0.5, "0.01": 0.3, "0.001": 0.125},
    }
    return {
        "model": model, "protocol": "verification", "set": "lfw", "status": "done", "mode": mode, "operator": operator,
        "side": side, "alignment": "eyes", "code": {"commit": "abc"}, "metrics": metrics,
    }  # fmt: skip


def test_cards(tmp_path, monkeypatch, capsys):
    name = "lrface-small-16px"
    rows = [
        row(name, "lr-lr", "16px-bilinear-antialias", 16, 0.8125), row(name, "lr-lr", "8px-bilinear-antialias", 8, 0.7),
        row(name, "hr-lr", "8px-bilinear-antialias", 8, 0.65), row("other", "lr-lr", "8px-bilinear-antialias", 8, 0.99),
        row("lrface + dlib", "hr-lr", "12px-bilinear-antialias", 12, 0.93),
        {**row(name, "lr-lr", "12px-bilinear-antialias", 12, 0.98), "status": "not run"},
    ]  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(sys, "argv", ["tool", str(tmp_path / "results.json"), "--out", str(tmp_path / "models.md")])
    with pytest.raises(SystemExit) as stop:
        tool.main()
    assert not stop.value.code, capsys.readouterr().err
    text = (tmp_path / "models.md").read_text()
    families = [f"{name}, the family" for name in shipped.families()]
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == families + list(
        shipped.listing()["models"]
    )
    family = text.split("## lrface, the family\n")[1].split("\n## ")[0]
    assert (
        "| full resolution against 12px-bilinear-antialias | 93.00 ± 1.00 |"
        in family.split("### lrface + dlib\n")[1].split("### lrface + mobilefacenet")[0]
    )
    assert family.count("a face of 64 pixels of detail and one of so many") == 3
    section = text.split(f"## {name}\n")[1].split("\n## ")[0]
    found = [line.split(" | ")[:2] for line in section.splitlines() if "px-bilinear" in line]
    assert found == [
        ["| full resolution against 8px-bilinear-antialias", "65.00 ± 1.00"],
        ["| 8px-bilinear-antialias", "70.00 ± 1.00"],
        ["| 16px-bilinear-antialias", "81.25 ± 1.00"],
    ]
    assert "50.0, 30.0, 12.5" in section
    for word in ("Licence", "Known limits", "shipped_small_16px", "| 0.001 |"):
        assert word in section
    assert "99.00" not in text

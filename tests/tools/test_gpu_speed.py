"""The speed of a packed training beside its network's; runs here on the CPU with a tiny pack."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_store import content, data_root, recipe

from lrface.train.pack import PackSettings, make_pack

__all__ = ["content", "data_root", "recipe"]

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "gpu_speed.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("gpu_speed", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def packed(data_root, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs") / "tiny"
    changes = {"loss": {"classification": None, "cosine": {"weight": 5.0}}, "augment": {"rotate": 5}}
    make_pack(recipe(**changes), folder, data_root, PackSettings("int8"), progress=False)
    return folder


def measure(tool, *args):
    options = ["--device", "cpu", "--way", "false", "--steps", "2", "--turns", "1", *map(str, args)]
    return CliRunner().invoke(tool.main, options, catch_exceptions=False)


def test_rates_and_what_they_mean(tool, packed, tmp_path):
    done = measure(tool, packed, "--batch", 8, "--batch", 12, "--out", tmp_path / "speed.json")
    assert done.exit_code == 0
    assert "fastest: compile=false" in done.output
    rows = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert [(row["batch"], row["crrcd"]) for row in rows] == [(8, True), (8, False), (12, True), (12, False)]
    for row in rows:
        assert row["share"] == pytest.approx(row["loop"] / row["network"])
        assert row["minutes"] == pytest.approx(35 * 490_623 / row["loop"] / 60)


def test_what_a_machine_cannot_do_is_a_row(tool, packed, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(tool, "measure", refuse)
    done = measure(tool, packed, "--choose", "--out", tmp_path / "speed.json")
    assert done.exit_code == 0
    assert "failed: RuntimeError: no compiler" in done.output
    assert "fastest" not in done.output

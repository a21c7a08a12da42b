"""``lrface benchmark``: models and sets as they are named, mistakes in one line."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrface.suite import run
from lrface.suite.options import SIDES, Options


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What the command asked for; nothing is run."""
    seen: list[Options] = []
    monkeypatch.setattr(run, "run", lambda options, say: seen.append(options) or {"rows": [], "computed": 0})
    return seen


def test_models_may_follow_one_option(
    lrface: Callable[..., Any], model: Path, tmp_path: Path, asked: list[Options]
) -> None:
    outcome = lrface(
        "benchmark", "--models", f"one={model}", f"two={model},hr=one", "--data", tmp_path, "--only", "lfw,uccs",
        "--sides", "32,8,32", "--no-faces", "--seeds", 2, "--out", tmp_path / "out", "--single", "--no-finetune",
    )  # fmt: skip

    assert outcome.status == 0, outcome
    (options,) = asked
    assert [one.label for one in options.models] == ["one", "two"]
    assert (options.only, options.sides, options.seeds) == (("lfw", "uccs"), (8, 32), 2)
    assert (options.faces, options.flip, options.finetune) == (False, False, ())
    assert options.published is not None
    assert (options.published / "lfw_verification.csv").exists()


def test_all_sets_and_sides_by_default(lrface: Callable[..., Any], model: Path, asked: list[Options]) -> None:
    lrface("benchmark", model)

    assert asked[0].models[0].label == "tiny"
    assert asked[0].sides == SIDES
    assert len(asked[0].only) == 10
    assert asked[0].faces


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.safetensors"], "no model at gone.safetensors"),
        (["{model}", "--only", "lfw,imagenet"], "imagenet"),
        (["{model}", "--finetune", "half"], "half"),
        (["{model}", "--sides", "8,999"], "999"),
        (["{model}", "--data", "gone"], "--data gone: no such folder"),
        (["{model}", "--sweep", "nobody"], "--sweep nobody"),
    ],
)
def test_mistakes_are_one_line(
    lrface: Callable[..., Any], model: Path, asked: list[Options], arguments: list[str], words: str
) -> None:
    outcome = lrface("benchmark", *(argument.format(model=model) for argument in arguments))

    assert outcome.refused(words)
    assert not asked


def test_without_any_set_the_report_tells_what_to_get(lrface: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    outcome = lrface("benchmark", f"tiny={model}", "--data", tmp_path, "--out", tmp_path / "out", "--no-faces")

    assert outcome.status == 0, outcome
    assert "1 rows done, 10 not run, 0 failed" in outcome.out
    text = (tmp_path / "out" / "tables.md").read_text()
    assert text.count("| not run |") == 10


def test_the_script_is_a_thin_call() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "run_all.sh"

    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert '"$lrface" benchmark --published "$here/published" --native 8,10,12,16,20,24,32 "$@"' in script.read_text()

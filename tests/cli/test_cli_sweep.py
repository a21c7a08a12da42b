"""``lrface sweep``: what it says to wrong input, and how it ends. What it does is tested with the library."""

import pytest
import yaml

from lrface.sweep import run as run_module

RECIPE = {
    "name": "small",
    "data": {"store": "faces", "holdout_identities": 2},
    "loss": {"classification": {}},
    "optim": {"epochs": 1},
}


@pytest.fixture
def sweep(tmp_path):
    """Two sweeps of a recipe whose data are not there."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(RECIPE))
    paths = []
    for name in ("rates", "margins"):
        key = {"rates": "optim.lr", "margins": "loss.classification.margin"}[name]
        content = {"name": name, "recipe": "small.yaml", "axes": {key: [0.1, 0.2]}, "seeds": [1, 2]}
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(content))
    return paths


@pytest.fixture
def run(monkeypatch):
    """Calls of the library, which are answered by two runs of which one failed in the sweep of margins."""
    calls = []

    def run_sweep(spec, base, out, data_root, jobs, devices, overrides, only):
        calls.append((spec, base, out, data_root, jobs, devices, overrides, only))
        return {"runs": [{"status": "finished"}, {"status": "failed" if spec.name == "margins" else "finished"}]}

    monkeypatch.setattr(run_module, "run_sweep", run_sweep)
    return calls


def test_several_sweeps_one_after_another(lrface, sweep, run, tmp_path):
    outcome = lrface(
        "sweep",
        *sweep,
        "--out",
        tmp_path / "o",
        "--data",
        "d",
        "--jobs",
        3,
        "--set",
        "optim.epochs=2",
        "--only",
        "optim.lr=0.1",
    )
    assert [(call[0].name, call[2]) for call in run] == [
        ("rates", tmp_path / "o" / "rates"),
        ("margins", tmp_path / "o" / "margins"),
    ]
    assert {call[1] for call in run} == {tmp_path / "small.yaml"}
    assert run[0][3:] == ("d", 3, ("auto",), ("optim.epochs=2",), ("optim.lr=0.1",))
    assert "rates: 2 of 2 runs finished, 0 failed" in outcome.out
    assert "margins: 1 of 2 runs finished, 1 failed" in outcome.out
    assert outcome.refused("1 runs failed", "tries them again")


def test_another_recipe_and_other_seeds(lrface, sweep, run, tmp_path):
    other = tmp_path / "other.yaml"
    outcome = lrface(
        "sweep", sweep[0], "--recipe", other, "--seeds", "7, 8", "--device", "cuda:0", "--device", "cuda:1"
    )
    assert outcome.status == 0
    spec, base, out, _, _, devices, _, _ = run[0]
    assert (spec.seeds, base, out.name, devices) == ([7, 8], other, "rates-other", ("cuda:0", "cuda:1"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.yaml"], ["no such sweep", "none.yaml"]),
        (["--seeds", "5,b"], ["--seeds 5,b", "5,6,7"]),
        (["--seeds", "5,5"], ["--seeds", "two seeds are the same"]),
        (["--recipe", "none.yaml"], ["no such recipe", "none.yaml"]),
        (["--set", "optim.epoch=3"], ["sweep rates", "did you mean 'epochs'"]),
        (["--set", "optim.epochs"], ["--set optim.epochs", "section.key=value"]),
        ([], ["no store at", "lrface prepare"]),
    ],
)
def test_wrong_input(lrface, sweep, tmp_path, arguments, words):
    outcome = lrface("sweep", sweep[0], *arguments, "--out", tmp_path / "out", "--data", tmp_path / "nowhere")
    assert outcome.refused(*words)
    assert not list(tmp_path.glob("out/*/runs"))

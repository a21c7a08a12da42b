"""What a series of runs has found, gathered."""

import json
import sys

import gather_runs as tool
import pytest
import torch

from lrface.models import create
from lrface.models.preprocessing import Preprocessing
from lrface.models.weights import load_model, save_model


def made_run(folder, accuracies, finished=True, seed=0):
    folder.mkdir(parents=True)
    lines = [{"kind": "train", "step": 1, "loss": 2.0}]
    lines += [
        {"kind": "validation", "step": 4 * number, "epoch": number, "accuracy": accuracy, "auc": accuracy + 0.01}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "recipe.yaml").write_text("name: tiny\n")
    if finished:
        torch.manual_seed(seed)
        card = {"preprocessing": Preprocessing(16).as_dict()}
        save_model(folder / "model.safetensors", create("resnet18", width=2, embedding_dim=4), card)


def test_the_best_finished_run_of_each_kind_is_taken(tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs"
    made_run(runs / "r18-crrcd-5", [0.7, 0.8, 0.75], seed=5)
    made_run(runs / "r18-crrcd-6", [0.9], finished=False)
    made_run(runs / "r18-crrcd-7", [0.6, 0.85], seed=7)
    made_run(runs / "r18-plain-5", [0.5], seed=8)
    made_run(runs / "small-plain-5", [], finished=False)
    monkeypatch.setattr(sys, "argv", ["gather_runs.py", str(runs), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "80.00 %, AUC 0.8100 at epoch 2" in said
    assert said.count("not finished") == 2
    table = {row["run"]: row for row in json.loads((tmp_path / "out" / "validation.json").read_text())}
    assert (
        table["r18-crrcd-5"] | {"kind": "r18-crrcd", "seed": 5, "best": 0.8, "last": 0.75, "epochs": 3}
        == table["r18-crrcd-5"]
    )
    assert not table["r18-crrcd-6"]["finished"]
    assert "best" not in table["small-plain-5"]
    kept = {path.name for path in (tmp_path / "out").glob("*.safetensors")}
    assert kept == {"r18-crrcd-7.safetensors", "r18-plain-5.safetensors"}
    ours, _ = load_model(tmp_path / "out" / "r18-crrcd-7.safetensors")
    theirs, _ = load_model(runs / "r18-crrcd-7" / "model.safetensors")
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-3, atol=1e-6)
    assert (tmp_path / "out" / "small-plain-5.jsonl").is_file()


def test_a_damaged_log_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs" / "a-5").mkdir(parents=True)
    (tmp_path / "runs" / "a-5" / "log.jsonl").write_text("{")
    monkeypatch.setattr(sys, "argv", ["gather_runs.py", str(tmp_path / "runs"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: cannot read the log")
    assert not (tmp_path / "out").exists()

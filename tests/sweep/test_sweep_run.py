"""Sweeps from end to end: no run twice, failures as rows, kills survived."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lrface.errors import LrfaceError
from lrface.files import read_json, write_json
from lrface.sweep import report as report_module
from lrface.sweep import run as run_module
from lrface.sweep.process import OUTCOME
from lrface.sweep.run import run_sweep
from lrface.sweep.spec import load_sweep, recipe_of
from lrface.train.log import read_log
from lrface.train.run import train


class Done:
    """Stands in for a process that has ended."""

    exitcode = -9

    def __init__(self):
        self.sentinel, writer = os.pipe()
        os.close(writer)  # what is read from has come to its end: the waiting is over

    def is_alive(self):
        return False


@pytest.fixture
def started(monkeypatch):
    """Runs end at once and well, with the learning rate for an AUC; but 0.3 fails, and 0.4 dies without a word."""
    calls = []

    def start(settings):
        calls.append(settings)
        rate = settings["recipe"]["optim"]["lr"]
        ended = {"status": "finished", "history": [{"epoch": 1, "auc": rate}], "seconds": 1.0, "code": {"commit": "c"}}
        if rate == 0.3:
            ended = {"status": "failed", "reason": "the loss is not finite"}
        if rate != 0.4:
            write_json(f"{settings['folder']}/{OUTCOME}", {"key": settings["key"], **ended})
        return Done()

    monkeypatch.setattr(run_module, "start", start)
    monkeypatch.setattr(report_module, "save_figure", lambda *arguments: "")
    return calls


def sweep(path, root, **options):
    return run_sweep(load_sweep(path), path.parent / "tiny.yaml", path.parent / "out", root, progress=False, **options)


def test_a_finished_run_is_not_repeated(write_sweep, sweep_data, started):
    path = write_sweep(seeds=[5, 6])
    results = sweep(path, sweep_data)
    assert len(started) == 4
    assert [row["mean"] for row in results["rows"]] == [0.02, 0.05]
    assert sweep(path, sweep_data) == results
    assert len(started) == 4
    sweep(write_sweep(seeds=[5, 6, 7]), sweep_data)
    assert [each["recipe"]["seed"] for each in started[4:]] == [7, 7]
    sweep(path, sweep_data, overrides=("optim.epochs=3",))
    assert [each["recipe"]["optim"]["epochs"] for each in started[6:]] == [3] * 6, "these are other runs"


def test_a_run_that_fails_is_a_row_and_is_tried_again(write_sweep, sweep_data, started):
    path = write_sweep(axes={"optim.lr": [0.3, 0.1, 0.4]})
    results = sweep(path, sweep_data)
    assert [row["status"] for row in results["rows"]] == ["failed", "", "failed"]
    assert [row["mean"] for row in results["rows"]] == [None, 0.1, None]
    reasons = [run.get("reason", "") for run in results["runs"]]
    assert reasons[0] == "the loss is not finite"
    assert "exit status -9" in reasons[2]
    sweep(path, sweep_data)
    assert [each["recipe"]["optim"]["lr"] for each in started[3:]] == [0.3, 0.4]


def test_devices_are_dealt_out(write_sweep, sweep_data, started, monkeypatch):
    busy = []

    class Busy(Done):
        """Ends once a second one is there."""

        def is_alive(self):
            return len(busy) < 2

    def start(settings):
        write_json(f"{settings['folder']}/{OUTCOME}", {"key": settings["key"], "status": "failed", "reason": ""})
        busy.append(settings["device"])
        return Busy()

    monkeypatch.setattr(run_module, "start", start)
    sweep(write_sweep(), sweep_data, jobs=2, devices=["cuda:0", "cuda:1"])
    assert busy == ["cuda:0", "cuda:1"]


def test_a_wrong_point_is_found_before_anything_is_run(write_sweep, sweep_data, started):
    with pytest.raises(LrfaceError, match="did you mean 'negatives'"):
        sweep(write_sweep(axes=None, points=[{"optim.lr": 1}]), sweep_data, overrides=("loss.crrcd.negative=3",))
    assert not started


def test_each_run_is_the_ordinary_training(write_sweep, sweep_data, tmp_path):
    path = write_sweep(axes={"optim.lr": [0.02, 1e30]})
    results = sweep(path, sweep_data, jobs=2)
    good, bad = results["runs"]
    assert (bad["status"], good["status"]) == ("failed", "finished")
    assert "the loss is not finite" in bad["reason"]
    spec = load_sweep(path)
    recipe = recipe_of(tmp_path / "tiny.yaml", spec, spec.expand()[0], 5)
    expected = train(recipe, tmp_path / "alone", sweep_data, "cpu")
    assert good["history"] == expected.history
    assert good["value"] == expected.history[-1]["auc"]
    folder = tmp_path / "out" / good["folder"]
    assert (folder / "model.safetensors").exists()
    assert read_log(folder) == read_log(tmp_path / "alone")
    assert "validation accuracy" in (folder / "output.log").read_text()


def test_every_recipe_is_compared_with_its_data_before_the_first_is_trained(write_sweep, sweep_data, started):
    with pytest.raises(LrfaceError, match="batch_size 1000: 20 training images do not fill one batch of 1000"):
        sweep(write_sweep(axes={"optim.batch_size": [8, 1000]}), sweep_data)
    assert not started


def wait_for(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_stopped_goes_on(write_sweep, sweep_data, tmp_path, number):
    """Its run saves itself, whatever became of the sweep; the next call resumes it."""
    path = write_sweep(axes={"optim.lr": [0.02]}, overrides={"optim.epochs": 200, "validation.every": 200})
    command = [sys.executable, "-m", "lrface", "sweep", str(path), "--out", str(tmp_path), "--data", str(sweep_data)]
    process = subprocess.Popen([*command, "--device", "cpu"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(logs := list(tmp_path.glob("rates/runs/*/log.jsonl"))) == 1 and logs[0].stat().st_size > 0)
    process.send_signal(number)
    process.communicate(timeout=300)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    (folder,) = tmp_path.glob("rates/runs/*")
    wait_for((folder / "last.ckpt").exists)
    assert not (folder / OUTCOME).exists()
    before = (folder / "log.jsonl").read_text()
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, timeout=600, check=True)
    assert "1 runs finished, 0 failed" in done.stdout
    steps = [json.loads(line)["step"] for line in before.splitlines()]
    assert (folder / "log.jsonl").read_text().startswith("".join(before.splitlines(keepends=True)[: len(steps) - 1]))
    spec = load_sweep(path)
    expected = train(
        recipe_of(tmp_path / "tiny.yaml", spec, spec.expand()[0], 5), tmp_path / "alone", sweep_data, "cpu"
    )
    assert read_json(folder / OUTCOME)["history"] == expected.history

"""Object runs from end to end: every method, that stopping changes nothing, and mistakes."""

import json
import signal

import pytest
import torch
import yaml

from lrface.errors import LrfaceError
from lrface.losses.registry import methods
from lrface.objects.files import load_network
from lrface.objects.probe import linear_probe
from lrface.objects.run import train_objects
from lrface.train import loop
from lrface.train.log import read_log

SMALL = {"crd": {"dim": 8, "negatives": 20}, "crcd": {"dim": 8, "negatives": 20}, "wcord": {"dim": 8, "negatives": 20}}


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def taught(recipe, teacher, loss, **changes):
    return recipe(teacher={"file": teacher}, loss=loss, **changes)


@pytest.mark.parametrize("name", methods())
def test_every_method_trains_for_20_steps(name, recipe, teacher, tmp_path):
    given = taught(recipe, teacher, {"methods": {name: SMALL.get(name, {})}}, optim={"epochs": 4})
    result = train_objects(given, tmp_path, device="cpu")
    assert result.finished
    log = read_log(tmp_path)
    steps = [line for line in log if line["kind"] == "train"]
    assert len(steps) == 20
    assert set(steps[0]) == {"kind", "step", "epoch", "loss", "classification", name}
    weight = methods()[name].weight
    assert steps[3]["loss"] == pytest.approx(steps[3]["classification"] + weight * steps[3][name], rel=1e-4)
    if (tmp_path / "before").exists():
        before = [line for line in read_log(tmp_path / "before") if line["kind"] == "train"]
        assert len(before) == 5
        assert before[-1]["loss"] == pytest.approx(before[-1][f"{name}_before"])
    assert name in ("ab", "ft", "sskd") or not (tmp_path / "before").exists()


def test_what_a_run_leaves(recipe, teacher, tmp_path):
    loss = {"kd": {}, "crrcd": {"negatives": 16}, "cosine": {}, "methods": {"at": {"weight": 5, "p": 2}}}
    result = train_objects(taught(recipe, teacher, loss), tmp_path, device="cpu")
    facts = json.loads((tmp_path / "result.json").read_text())
    assert facts["accuracy"] == result.accuracy
    assert facts["view"] == {
        "side": 16,
        "low": 8,
        "kernel": "bilinear",
        "antialias": True,
        "name": "8px-bilinear-antialias",
    }
    assert facts["data"]["pictures"] == 100
    assert [entry["epoch"] for entry in result.history] == [1, 2]
    line = next(line for line in read_log(tmp_path) if line["kind"] == "train")
    parts = line["classification"] + 0.5 * line["kd"] + 2 * (line["crrcd_positive"] + line["crrcd_negative"])
    assert line["loss"] == pytest.approx(parts + line["cosine"] + 5 * line["at"], rel=1e-5)
    network, card = load_network(result.model)
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 20)
    assert card == facts


def interrupt_at(monkeypatch, folder, *steps):
    """Ctrl-C after steps of the loop that writes to ``folder``."""
    step = loop.Loop._step

    def stepping(self, batch, log):
        step(self, batch, log)
        if self.out == folder and self.progress.step in steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_step", stepping)


@pytest.mark.parametrize(
    "loss", [{"methods": {"crd": SMALL["crd"]}}, {"methods": {"ft": {}}, "crrcd": {"negatives": 16}}]
)
def test_resumed_runs_equal_uninterrupted_ones(loss, recipe, teacher, tmp_path, monkeypatch):
    given = taught(recipe, teacher, loss)
    whole = train_objects(given, tmp_path / "whole", device="cpu")
    out = tmp_path / "parts"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, out / "before" if "ft" in loss["methods"] else out, 2)
        assert not train_objects(given, out, device="cpu").finished
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, out, 7)
        assert not train_objects(given, out, device="cpu", resume=True).finished
    result = train_objects(given, out, device="cpu", resume=True)
    assert result.finished
    assert (out / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()
    ours, theirs = (load_network(path)[0].state_dict() for path in (whole.model, result.model))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_teacher_is_trained_first_on_full_size_and_once(recipe, tmp_path):
    given = recipe(teacher={"network": "resnet14", "epochs": 1}, loss={"kd": {}})
    assert train_objects(given, tmp_path, device="cpu").finished
    facts = json.loads((tmp_path / "teacher" / "result.json").read_text())
    assert (facts["network"], facts["view"]["low"]) == ("resnet14", None)
    assert len([line for line in read_log(tmp_path / "teacher") if line["kind"] == "train"]) == 5
    written = (tmp_path / "teacher" / "model.safetensors").stat().st_mtime_ns
    (tmp_path / "last.ckpt").unlink()
    assert train_objects(given, tmp_path, device="cpu").finished
    assert (tmp_path / "teacher" / "model.safetensors").stat().st_mtime_ns == written


def test_the_stage_before_of_ab_trains_the_trunk_and_leaves_the_classifier(recipe, teacher, tmp_path):
    given = taught(recipe, teacher, {"methods": {"ab": {}}})
    train_objects(given, tmp_path, device="cpu")
    after = torch.load(tmp_path / "before" / "last.ckpt", weights_only=True)["objective"]
    torch.manual_seed(given.seed)
    from lrface.objects.networks import create_network

    fresh = create_network("resnet8", 20).state_dict()
    assert torch.equal(after["student.fc.weight"], fresh["fc.weight"])
    assert not torch.equal(after["student.conv.weight"], fresh["conv.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"methods": {"fitnt": {}}}}, "unknown distillation method 'fitnt': did you mean 'fitnet'"),
        ({"loss": {"methods": {"fitnet": {"stage": 9}}}}, "fitnet: the student has no stage 9"),
        ({"loss": {"methods": {"at": {"weight": -1}}}}, r"loss\.methods\.at\.weight is -1"),
        ({"optim": {"batch_size": 500}}, "do not fill one batch of 500"),
        ({"data": {"low": 64}}, r"data\.low is 64 and the pictures have 16 pixels"),
        ({"data": {"holdout": 6}}, "6 pictures of each class are asked for"),
        ({"model": {"name": "resnet21"}}, "unknown object network 'resnet21'"),
        ({"teacher": {"file": "none.safetensors"}}, "no such object network"),
    ],
)
def test_a_mistake_is_one_clear_line(changes, message, recipe, teacher, tmp_path):
    given = recipe(**({"teacher": {"file": teacher}, "loss": {"kd": {}}} | changes))
    with pytest.raises(LrfaceError, match=message) as caught:
        train_objects(given, tmp_path / "out", device="cpu")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "last.ckpt").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"kd": {}}}, "need a teacher: add the section `teacher`"),
        ({"teacher": {}}, r"give either teacher\.file or teacher\.network"),
        ({"data": {"sett": "shapes"}}, "did you mean 'set'"),
        ({"model": {"kw": {"width": 3}}}, r"model\.kw is for face networks"),
    ],
)
def test_a_wrong_recipe(changes, message, recipe):
    with pytest.raises(LrfaceError, match=message):
        recipe(**changes)


def test_class_counts_must_agree(recipe, tmp_path):
    from lrface.objects.files import save_network
    from lrface.objects.networks import create_network

    path = tmp_path / "teacher.safetensors"
    save_network(path, create_network("resnet8", 7), {"network": "resnet8", "classes": ["c"] * 7, "view": {"side": 16}})
    with pytest.raises(LrfaceError, match="the teacher has 7 classes and the training set 20"):
        train_objects(taught(recipe, str(path), {"kd": {}}), tmp_path / "out", device="cpu")


def test_a_run_is_not_overwritten_and_nothing_is_resumed_from_nothing(recipe, tmp_path):
    with pytest.raises(LrfaceError, match="nothing to resume"):
        train_objects(recipe(), tmp_path, device="cpu", resume=True)
    train_objects(recipe(optim={"epochs": 1}), tmp_path, device="cpu")
    with pytest.raises(LrfaceError, match="holds a run already"):
        train_objects(recipe(optim={"epochs": 1}), tmp_path, device="cpu")


def test_command_line(content, tmp_path):
    from click.testing import CliRunner

    from lrface.cli.main import cli

    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content()))
    arguments = ["train", str(path), "--set", "optim.epochs=1", "--out", str(tmp_path / "run"), "--device", "cpu"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "test accuracy: " in result.output
    result = CliRunner().invoke(cli, ["probe", str(tmp_path / "run" / "model.safetensors"), "--set", "shapes"])
    assert "strength" in result.output


def test_linear_probe_chooses_on_training_pictures(recipe, tmp_path):
    result = train_objects(recipe(optim={"epochs": 1}), tmp_path, device="cpu")
    found = linear_probe(result.model, "shapes", steps=200)
    assert 0 <= found.accuracy <= 1
    assert found.strength in (0.01, 0.1, 1.0, 10.0)
    assert found.held_out > 0.06  # chance is 0.05; an untrained network's features tell more than nothing


def test_a_part_of_the_classes(recipe, tmp_path):
    result = train_objects(recipe(data={"classes": 8}, optim={"epochs": 1}), tmp_path, device="cpu")
    network, card = load_network(result.model)
    assert network.fc.out_features == len(card["classes"]) == 8
    assert card["data"]["pictures"] == 8 * 5


def test_a_compiled_student_keeps_its_names(recipe, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda call, dynamic: compiled.append(call) or call)
    result = train_objects(recipe(compile=True, optim={"epochs": 1}), tmp_path, device="cpu")
    assert len(compiled) == 1
    assert load_network(result.model)[0](torch.zeros(1, 3, 8, 8)).shape == (1, 20)


def test_the_stage_before_of_ft_has_a_lower_rate(recipe, teacher, tmp_path):
    for rate, lr in (({}, 0.01), ({"lr": 0.03}, 0.03)):
        given = taught(recipe, teacher, {"methods": {"ft": {}}}, before={"epochs": 1, **rate})
        out = tmp_path / str(lr)
        assert train_objects(given, out, device="cpu").finished
        stage = torch.load(out / "before" / "last.ckpt", weights_only=False)
        assert stage["recipe"]["optim"]["lr"] == lr

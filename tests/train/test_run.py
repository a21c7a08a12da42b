"""Runs from end to end: what they leave, and that stopping them changes nothing."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import torch
import yaml

from lrface import losses
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.models.embedder import open_embedder
from lrface.train import loop
from lrface.train.head import load_head
from lrface.train.log import read_log
from lrface.train.recipe import parse_recipe
from lrface.train.run import make_fabric, train
from lrface.train.split import split_store

STEPS = 4  # of an epoch: 35 images in batches of 8
#: Everything that carries state from step to step.
FULL = {
    "loss": {"kd": {}, "cosine": {}},
    "augment": {"rotate": 5, "noise": 0.02, "sides": [12, 20], "probability": 0.7, "erase": 0.3},
    "optim": {"average": 0.8, "clip_norm": 5.0, "warmup_epochs": 0.5, "schedule": "cosine"},
    "model": {"kw": {"dropout": 0.3}},
}
RECIPES = {"plain": {}, "full": FULL}


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


@pytest.fixture(scope="module")
def uninterrupted(data_root, recipe, tmp_path_factory):
    """Folders of whole runs, one for each of ``RECIPES``."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 1)
        for name, changes in RECIPES.items():
            folders[name] = tmp_path_factory.mktemp("runs") / name
            assert train(recipe(**changes), folders[name], data_root, "cpu").finished
    return folders


def after_step(monkeypatch, action):
    """Call ``action(loop)`` after every step."""
    step = loop.Loop._step

    def stepping(self, batch, log):
        step(self, batch, log)
        action(self)

    monkeypatch.setattr(loop.Loop, "_step", stepping)


def interrupt_at(monkeypatch, *steps):
    after_step(monkeypatch, lambda self: self.progress.step in steps and signal.raise_signal(signal.SIGINT))


def lines(folder):
    return (folder / "log.jsonl").read_text()


def stored(path):
    """Every tensor to the last bit, and the card but for the version of the code, which may be edited meanwhile."""
    with safetensors.safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata().get("lrface", "{}"))
        return {key: file.get_tensor(key).numpy().tobytes() for key in file.keys()}, card | {"code": None}  # noqa: SIM118


def assert_equal_runs(one, other):
    assert lines(one) == lines(other)
    for name in ("model.safetensors", "last.safetensors", "head.safetensors"):
        assert stored(one / name) == stored(other / name), name


def test_what_a_run_leaves(uninterrupted, data_root, recipe):
    out, store = uninterrupted["plain"], Store(data_root / "faces")
    assert parse_recipe(yaml.safe_load((out / "recipe.yaml").read_text()), "saved") == recipe()
    log = read_log(out)
    steps = [line for line in log if line["kind"] == "train"]
    assert [line["step"] for line in steps] == list(range(1, 2 * STEPS + 1))
    assert [line["epoch"] for line in steps] == [1] * STEPS + [2] * STEPS
    assert set(steps[0]) == {"kind", "step", "epoch", "loss", "classification", "crrcd_positive", "crrcd_negative"}
    weighted = steps[3]["classification"] + 2 * (steps[3]["crrcd_positive"] + steps[3]["crrcd_negative"])
    assert steps[3]["loss"] == pytest.approx(weighted, rel=1e-5)
    assert [line["epoch"] for line in log if line["kind"] == "validation"] == [1, 2]
    for name in ("last.ckpt", "best.ckpt"):
        assert (out / name).exists()

    embedder = open_embedder(out / "model.safetensors")
    assert embedder.preprocessing.degradation == store.degradation
    assert embedder.embed([store.crop(0)]).shape == (1, 8)
    card = embedder.card
    split = split_store(store, recipe().data)
    assert card["data"] == {"fingerprint": store.fingerprint, "images": 35, "identities": 7}
    assert set(card["thresholds"]) == {"0.1"}
    assert parse_recipe(card["recipe"], "card") == recipe()
    assert json.loads(json.dumps(card)) == card
    assert load_head(out / "model.safetensors", store, split).shape == (7, 8)


def test_the_model_is_that_of_the_best_epoch_with_its_head(data_root, recipe, tmp_path, monkeypatch):
    """A validation that likes the first epoch best: model and head are then not the last ones."""
    from lrface.eval.verification import VerificationResult

    scores = iter([0.9, 0.2])
    monkeypatch.setattr(
        loop, "validate", lambda *_: VerificationResult(next(scores), 0.0, 0.5, 0.5, {}, (), 10)
    )  # fmt: skip
    kept = {}
    after_step(monkeypatch, lambda self: kept.update({self.progress.step: self.objective.head.weight.detach().clone()}))
    result = train(recipe(), tmp_path / "run", data_root, "cpu")
    assert [entry["accuracy"] for entry in result.history] == [0.9, 0.2]
    assert open_embedder(result.model).card["step"] == STEPS
    assert open_embedder(tmp_path / "run" / "last.safetensors").card["step"] == 2 * STEPS
    store = Store(data_root / "faces")
    head = load_head(result.model, store, split_store(store, recipe().data))
    torch.testing.assert_close(head, torch.nn.functional.normalize(kept[STEPS]))


def test_the_same_seed_gives_the_same_run_and_another_another(data_root, recipe, tmp_path, uninterrupted):
    train(recipe(), tmp_path / "again", data_root, "cpu")
    assert_equal_runs(tmp_path / "again", uninterrupted["plain"])
    train(recipe(seed=6, optim={"epochs": 1}), tmp_path / "other", data_root, "cpu")
    assert read_log(tmp_path / "other")[0]["loss"] != read_log(uninterrupted["plain"])[0]["loss"]


@pytest.mark.parametrize("name", RECIPES)
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    data_root, recipe, tmp_path, uninterrupted, monkeypatch, name
):
    """In the middle of an epoch, after its last step, and once more."""
    interrupt_at(monkeypatch, 2, STEPS, STEPS + 1)
    changed, out = recipe(**RECIPES[name]), tmp_path / "run"
    for resume, step in ((False, 2), (True, STEPS), (True, STEPS + 1)):
        assert not train(changed, out, data_root, "cpu", resume).finished
        assert torch.load(out / "last.ckpt", weights_only=True)["progress"]["step"] == step
        assert not (out / "model.safetensors").exists()
    result = train(changed, out, data_root, "cpu", resume=True)
    assert result.finished
    assert [entry["epoch"] for entry in result.history] == [1, 2]
    assert_equal_runs(out, uninterrupted[name])


def test_an_interrupt_after_the_very_last_step_comes_too_late(data_root, recipe, tmp_path, uninterrupted, monkeypatch):
    interrupt_at(monkeypatch, 2 * STEPS)
    assert train(recipe(), tmp_path / "run", data_root, "cpu").finished
    assert_equal_runs(tmp_path / "run", uninterrupted["plain"])


KILLER = """
import os, signal, sys
from pathlib import Path
import torch
from lrface.train.recipe import load_recipe
from lrface.train import loop
from lrface.train.run import train

recipe, data, out = sys.argv[1:]
loop.SAVE_EVERY, loop.LOG_EVERY = -1.0, 1
step, save = loop.Loop._step, torch.save
die_after, die_writing = None, None

def stepping(self, batch, log):
    step(self, batch, log)
    if self.progress.step == die_after:
        os.kill(os.getpid(), signal.SIGKILL)

def saving(content, file):
    if content["progress"]["step"] == die_writing:
        file.write(b"half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(content, file)

loop.Loop._step, torch.save = stepping, saving
for die_after, die_writing in ((2, None), (None, 4), (6, None), (8, None), (None, None)):
    child = os.fork()
    if not child:
        train(load_recipe(recipe), out, data, "cpu", Path(out, "last.ckpt").exists())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    last = die_after is None and die_writing is None
    assert os.waitstatus_to_exitcode(status) == (0 if last else -signal.SIGKILL), (die_after, die_writing, status)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_been(data_root, write_recipe, tmp_path, uninterrupted):
    """After a step, in the middle of writing an epoch's checkpoint, again after a step, and after the last step."""
    recipe = write_recipe(tmp_path / "recipe.yaml", **FULL)
    run = [sys.executable, "-c", KILLER, str(recipe), str(data_root), str(tmp_path / "run")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_equal_runs(tmp_path / "run", uninterrupted["full"])


def finite(path):
    content = torch.load(path, weights_only=True)
    return all(value.isfinite().all() for key, value in content["objective"].items() if not key.endswith("log_z"))


def test_nan_stops_the_run_and_a_calmer_one_goes_on(data_root, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    monkeypatch.setattr(loop, "LOG_EVERY", 20)
    forward, out = losses.CosineRegression.forward, tmp_path / "run"
    calls = iter(range(1, 100))

    def failing(self, student, teacher):
        return forward(self, student, teacher) * (float("nan") if next(calls) == 3 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(losses.CosineRegression, "forward", failing)
        with pytest.raises(LrfaceError, match=r"not finite since step 3 \(loss, cosine\); the last good .*last\.ckpt"):
            train(recipe(loss={"cosine": {}}), out, data_root, "cpu")
    assert torch.load(out / "last.ckpt", weights_only=True)["progress"]["step"] == 2
    assert finite(out / "last.ckpt")
    rates = []
    after_step(monkeypatch, lambda self: rates.append(self.optimizers[0].param_groups[0]["lr"]))
    calmer = recipe(loss={"cosine": {}}, optim={"lr": 0.001, "clip_norm": 1.0})
    assert train(calmer, out, data_root, "cpu", resume=True).finished
    assert rates == pytest.approx([0.001] * 6)


def test_nan_before_the_first_checkpoint(data_root, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(losses.CosineRegression, "forward", lambda *_: torch.tensor(float("inf"), requires_grad=True))
    with pytest.raises(LrfaceError, match=r"since step 1 \(loss, cosine\); there is no checkpoint yet"):
        train(recipe(loss={"cosine": {}}), tmp_path / "run", data_root, "cpu")
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_weights_that_are_not_finite_are_never_saved(data_root, recipe, tmp_path, monkeypatch):
    """An infinite gradient with a finite loss: the step's terms say nothing of it."""
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)

    def spoil(self):
        if self.progress.step == 3:
            next(self.objective.student.parameters()).data[0] = float("inf")

    after_step(monkeypatch, spoil)
    with pytest.raises(LrfaceError, match=r"the weights are not finite after step 3; the last good"):
        train(recipe(), tmp_path / "run", data_root, "cpu")
    assert finite(tmp_path / "run" / "last.ckpt")


def test_a_run_is_not_overwritten(data_root, recipe, uninterrupted):
    with pytest.raises(LrfaceError, match="holds a run already: --resume"):
        train(recipe(), uninterrupted["plain"], data_root, "cpu")


def test_nothing_to_resume(data_root, recipe, tmp_path):
    with pytest.raises(LrfaceError, match="nothing to resume"):
        train(recipe(), tmp_path / "run", data_root, "cpu", resume=True)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": {"crrcd": {"temperature": 0.2}}}, r"another recipe \(loss\.crrcd\.temperature differ\)"),
        ({"model": {"kw": {"width": 6}}}, r"another recipe \(model\.kw\.width differ\)"),
    ],
)
def test_another_recipe_is_not_resumed(data_root, recipe, uninterrupted, changes, named):
    before = {path.name: path.read_bytes() for path in uninterrupted["plain"].iterdir() if path.is_file()}
    with pytest.raises(LrfaceError, match=named):
        train(recipe(**changes), uninterrupted["plain"], data_root, "cpu", resume=True)
    assert before == {path.name: path.read_bytes() for path in uninterrupted["plain"].iterdir() if path.is_file()}


def test_another_architecture_is_not_resumed(data_root, recipe, uninterrupted, tmp_path):
    content = torch.load(uninterrupted["plain"] / "last.ckpt", weights_only=True)
    content["recipe"]["model"]["kw"]["width"] = 6
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(LrfaceError, match=r"last\.ckpt is of another architecture than the recipe's"):
        train(recipe(model={"kw": {"width": 6}}), tmp_path, data_root, "cpu", resume=True)


def test_other_faces_are_not_resumed_on(data_root, recipe, tmp_path, monkeypatch):
    alone = recipe(teacher=None, loss={"crrcd": None}, optim={"epochs": 1})
    train(alone, tmp_path / "run", data_root, "cpu")
    opened = Store.__init__

    def other(self, path, low_size=None):
        opened(self, path, low_size)
        self.fingerprint = "other"

    monkeypatch.setattr(Store, "__init__", other)
    with pytest.raises(LrfaceError, match="was trained on other faces"):
        train(alone, tmp_path / "run", data_root, "cpu", resume=True)


def test_a_finished_run_can_be_made_longer(data_root, recipe, tmp_path):
    out = tmp_path / "run"
    train(recipe(optim={"epochs": 1}), out, data_root, "cpu")
    first = lines(out)
    assert train(recipe(optim={"epochs": 2}), out, data_root, "cpu", resume=True).finished
    assert lines(out).startswith(first)
    assert [line["step"] for line in read_log(out) if line["kind"] == "train"] == list(range(1, 2 * STEPS + 1))


def test_the_teacher_online_gives_the_same_losses(data_root, recipe, tmp_path, uninterrupted):
    online = recipe(teacher={"cached": False}, optim={"epochs": 1})
    train(online, tmp_path / "run", data_root, "cpu")
    for one, other in zip(read_log(tmp_path / "run")[:STEPS], read_log(uninterrupted["plain"]), strict=False):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_kd_takes_the_teachers_own_head_or_its_class_means(data_root, recipe, tmp_path, monkeypatch):
    """A teacher trained here has a head over these identities; the one that was not gets class means."""
    seen = []
    after_step(monkeypatch, lambda self: seen.append(getattr(self.objective, "teacher_classifier", None)))
    only_kd = {"loss": {"classification": None, "crrcd": None, "kd": {}}, "optim": {"epochs": 1}}
    store = Store(data_root / "faces")
    split = split_store(store, recipe().data)

    teacher = recipe(
        name="teacher", data={"resolution": "high", "workers": 0}, teacher=None, loss={"crrcd": None},
        model={"name": "iresnet18", "kw": {"width": 2, "input_size": 32}}, optim={"epochs": 1},
    )  # fmt: skip
    (tmp_path / "faces").symlink_to(data_root / "faces")
    model = train(teacher, tmp_path / "own", tmp_path, "cpu").model
    seen.clear()
    train(recipe(**only_kd, teacher={"model": "own/model.safetensors"}), tmp_path / "one", tmp_path, "cpu")
    assert torch.equal(seen[0], load_head(model, store, split))

    seen.clear()
    train(recipe(**only_kd), tmp_path / "two", data_root, "cpu")
    embedder = open_embedder(data_root / "teacher" / "model.safetensors")
    crops = [store.crop(int(image)) for image in split.train]
    both = np.stack([embedder.embed(crops), embedder.embed(crops, flip=True)]).astype(np.float64)
    both /= np.linalg.norm(both, axis=2, keepdims=True)
    means = np.stack([both[:, split.labels == label].sum((0, 1)) for label in range(split.classes)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(seen[0].numpy(), means, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim": {"batch_size": 64}}, "35 training images do not fill one batch of 64"),
        ({"model": {"kw": {"input_size": 24}}}, r"the model takes 24 px and the store .* holds 16 px"),
        ({"data": {"store": "nowhere"}}, "no store at"),
        ({"teacher": {"model": "nowhere.onnx"}}, "no model at"),
        ({"precision": "bf16-mixed"}, "is for CUDA"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(data_root, recipe, tmp_path, changes, message):
    with pytest.raises(LrfaceError, match=message):
        train(recipe(**changes), tmp_path / "run", data_root, "cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:zero", "tpu"])
def test_unknown_devices(device):
    with pytest.raises(LrfaceError, match=f"unknown device '{device}'"):
        make_fabric(device, "auto")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_devices_that_are_not_there(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(LrfaceError, match=f"--device {device}: this torch finds no"):
        make_fabric(device, "auto")

"""Any distillation method that needs embeddings or logits alone trains a face student; the others say what they lack."""

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.losses.registry import methods
from lrface.losses.terms import able
from lrface.train import loop
from lrface.train.log import read_log
from lrface.train.run import train

PARTS = ("logits", "embedding")
ABLE = [name for name, kind in methods().items() if able(kind, PARTS)]
SMALL = {"crd": {"dim": 8, "negatives": 12}, "crcd": {"dim": 8, "negatives": 12}, "wcord": {"dim": 8, "negatives": 12}}


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def taught(recipe, name, **options):
    given = SMALL.get(name, {}) | options
    return recipe(loss={"classification": None, "crrcd": None, "methods": {name: given}}, optim={"epochs": 1})


def test_which_methods_serve():
    assert {"cc", "crcd", "crd", "dkd", "pkt", "rkd", "wcord"} <= set(ABLE)
    assert not {"ab", "at", "fitnet", "ft", "sp", "sskd", "vid"} & set(ABLE)


@pytest.mark.parametrize("name", ABLE)
def test_a_face_student_learns_from_it(name, recipe, data_root, tmp_path):
    assert train(taught(recipe, name, weight=0.5), tmp_path, data_root, "cpu").finished
    steps = [line for line in read_log(tmp_path) if line["kind"] == "train"]
    assert set(steps[0]) == {"kind", "step", "epoch", "loss", name}
    for line in steps:
        assert line["loss"] == pytest.approx(0.5 * line[name], rel=1e-5)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(("name", "lacking"), [("fitnet", "feature maps by stage"), ("sskd", "turned pictures")])
def test_a_method_that_embeddings_cannot_serve(name, lacking, recipe, data_root, tmp_path):
    with pytest.raises(LrfaceError, match=f"loss.methods.{name} needs {lacking}.* take one of cc, crcd") as caught:
        train(taught(recipe, name), tmp_path / "run", data_root, "cpu")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_banks_resume(recipe, data_root, tmp_path, monkeypatch):
    import signal

    given = taught(recipe, "crd")
    train(given, tmp_path / "whole", data_root, "cpu")
    step = loop.Loop._step

    def stepping(self, batch, log):
        step(self, batch, log)
        if self.progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", stepping)
        assert not train(given, tmp_path / "parts", data_root, "cpu").finished
    assert train(given, tmp_path / "parts", data_root, "cpu", resume=True).finished
    whole, parts = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=True)["objective"] for name in ("whole", "parts")
    )
    assert "methods.crd.banks.student" in whole
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_recipe_without_methods_is_written_as_before(recipe):
    assert "methods" not in recipe().model_dump()["loss"]
    assert "methods" not in recipe().model_dump(mode="json")["loss"]
    assert taught(recipe, "pkt").model_dump()["loss"]["methods"] == {"pkt": {}}

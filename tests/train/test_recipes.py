"""The paper's recipes, as written, on a small ``.rec``: the teacher first, then the student that looks for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrface.data import recordio
from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.faces.images import encode_image
from lrface.models.embedder import open_embedder
from lrface.train.log import read_log
from lrface.train.recipe import load_recipe
from lrface.train.run import train

RECIPES = Path(__file__).parents[2] / "recipes"
TEACHER, STUDENT = "casia_r50_teacher_112px", "casia_r18_16px"
# Sizes alone are changed, so that two cores do it in seconds: fewer steps, narrower networks, a shallower teacher.
SMALL = ("optim.epochs=1", "optim.batch_size=8", "data.holdout_identities=3", "model.kw.width=4")
SET = {TEACHER: (*SMALL, "model.name=iresnet18", "data.workers=1"), STUDENT: SMALL}


@pytest.fixture(scope="module")
def casia(tmp_path_factory):
    """A data root with the store that the recipes name, prepared from a ``.rec`` of 8 identities with 5 images."""
    root = tmp_path_factory.mktemp("casia")
    labels = np.repeat(np.arange(8), 5)
    rng = np.random.default_rng(0)
    people = rng.integers(40, 216, (8, 7, 7, 3))
    (root / "rec").mkdir()
    with recordio.RecordWriter(root / "rec" / "train.rec") as writer:
        for key, label in enumerate(labels, start=1):
            small = np.clip(people[label] + rng.integers(-30, 31, (7, 7, 3)), 0, 255).astype(np.uint8)
            image = np.kron(small, np.ones((16, 16, 1), np.uint8))
            writer.write(key, recordio.pack(float(label), encode_image(image), key))
        for key, payload in recordio.identity_records(labels):
            writer.write(key, payload)
    recordio.write_property(root / "rec" / "property", 8, 112)
    prepare(root / "rec", root / "casia_webface", Settings(detector="none"), progress=False)
    return root


def check(root):
    teacher = open_embedder(root / TEACHER / "model.safetensors")
    assert teacher.preprocessing.input_size == 112
    assert [line["epoch"] for line in read_log(root / TEACHER) if line["kind"] == "validation"] == [1]
    student = open_embedder(root / STUDENT / "model.safetensors")
    assert student.preprocessing.input_size == 16
    first = read_log(root / STUDENT)[0]
    assert {"classification", "kd", "crrcd_positive", "crrcd_negative"} <= set(first)
    assert np.isfinite([value for key, value in first.items() if key not in ("kind", "step", "epoch")]).all()
    assert student.embed(np.zeros((1, 112, 112, 3), np.uint8)).shape == (1, 512)
    return first


def test_the_recipes_say_what_the_paper_says():
    recipe = load_recipe(RECIPES / f"{STUDENT}.yaml")
    assert recipe.optim.batch_size == 96
    assert recipe.optim.lr == 0.05
    assert recipe.optim.milestones == (21, 28, 32)
    assert recipe.optim.gamma == 0.1
    assert recipe.seed == 5
    assert (recipe.loss.kd.weight, recipe.loss.kd.temperature) == (0.5, 4)
    crrcd = recipe.loss.crrcd
    assert (crrcd.weight, crrcd.temperature, crrcd.negatives, crrcd.projected_dim) == (2, 0.1, 512, 128)
    assert (crrcd.queue, crrcd.sampling) == (True, "supervised")
    assert recipe.teacher.model == f"{TEACHER}/model.safetensors"
    assert load_recipe(RECIPES / f"{TEACHER}.yaml").data == recipe.data.model_copy(
        update={"resolution": "high", "workers": 8}
    )


@pytest.mark.slow
def test_on_one_process(casia, tmp_path):
    shutil.copytree(casia / "casia_webface", tmp_path / "casia_webface")
    for name in (TEACHER, STUDENT):
        assert train(load_recipe(RECIPES / f"{name}.yaml", SET[name]), tmp_path / name, tmp_path, "cpu").finished
    check(tmp_path)


@pytest.mark.slow
def test_on_two_processes(casia, tmp_path):
    shutil.copytree(casia / "casia_webface", tmp_path / "casia_webface")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lrface"]
    for name in (TEACHER, STUDENT):
        sets = [word for pair in SET[name] for word in ("--set", pair)]
        command = ["train", str(RECIPES / f"{name}.yaml"), "--out", str(tmp_path / name), "--device", "cpu", *sets]
        environment = os.environ | {"LRFACE_DATA": str(tmp_path)}
        done = subprocess.run(launch + command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
    check(tmp_path)

"""Checkpoints are whole, and of the same run."""

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.train import checkpoint
from lrface.train.checkpoint import load_checkpoint, restore, save_checkpoint

RECIPE = {"name": "a", "seed": 5, "optim": {"epochs": 2, "lr": 0.1, "momentum": 0.9}, "teacher": None}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "last.ckpt"
    save_checkpoint(file, {"recipe": RECIPE, "store": "faces", "weights": torch.arange(3.0)})
    return file


def changed(**optim):
    return RECIPE | {"optim": RECIPE["optim"] | optim}


def test_it_comes_back(path):
    assert load_checkpoint(path, RECIPE, "faces")["weights"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "recipe", [changed(epochs=9), changed(lr=0.01), changed(clip_norm=1.0), RECIPE | {"name": "b"}]
)
def test_a_run_may_be_made_longer_or_calmer(path, recipe):
    assert load_checkpoint(path, recipe, "faces")


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (changed(momentum=0.5), r"\(optim.momentum differ\)"),
        (RECIPE | {"seed": 6, "teacher": {"model": "x"}}, r"\(seed, teacher differ\)"),
    ],
)
def test_it_is_not_for_another_recipe(path, recipe, named):
    with pytest.raises(LrfaceError, match=f"another recipe {named}"):
        load_checkpoint(path, recipe, "faces")


def test_it_is_not_for_other_faces(path):
    with pytest.raises(LrfaceError, match="other faces"):
        load_checkpoint(path, RECIPE, "others")


def test_none(tmp_path):
    with pytest.raises(LrfaceError, match="nothing to resume"):
        load_checkpoint(tmp_path / "last.ckpt", RECIPE, "faces")


def test_a_damaged_one(path):
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LrfaceError, match="not a checkpoint that can be read"):
        load_checkpoint(path, RECIPE, "faces")


def test_a_hostile_one_runs_no_code(path, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"format": checkpoint.FORMAT, "recipe": Hostile()}, path)
    with pytest.raises(LrfaceError, match="not a checkpoint that can be read"):
        load_checkpoint(path, RECIPE, "faces")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [[1, 2], {"format": 99}])
def test_a_file_of_another_kind(path, content):
    torch.save(content, path)
    with pytest.raises(LrfaceError, match="not a checkpoint of this version"):
        load_checkpoint(path, RECIPE, "faces")


def test_a_failed_write_leaves_the_last_one(path, monkeypatch):
    before = path.read_bytes()

    def fail(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(LrfaceError, match="No space left"):
        save_checkpoint(path, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_another_architecture(path):
    with pytest.raises(LrfaceError, match=r"another architecture than the recipe's: size mismatch for weight"):
        restore(torch.nn.Linear(3, 2), {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, path)

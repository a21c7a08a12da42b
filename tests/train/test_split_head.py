"""A classifier that is split over two processes trains as an unsplit one of one process does; each stands for a machine."""

import socket
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from lrface.errors import LrfaceError
from lrface.train import loop
from lrface.train.log import read_log
from lrface.train.run import train

CHANGES = {"teacher": None, "loss": {"crrcd": None}}
SPLIT = {"teacher": None, "loss": {"crrcd": None, "classification": {"split": True}}}

WORKER = """
import signal, sys
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from lrface.losses.split_margin import SplitMargin
from lrface.train.recipe import load_recipe
from lrface.train import loop
from lrface.train.run import train

recipe, data, out, stop = sys.argv[1:]
loop.LOG_EVERY = 1
_BatchNorm.train = lambda self, mode=True: torch.nn.Module.train(self, False)
step = loop.Loop._step

def stepping(self, batch, log):
    step(self, batch, log)
    assert isinstance(self.objective.head, SplitMargin) and len(self.objective.head.weight) < 7
    if self.progress.step == int(stop) and self.fabric.global_rank == 0:
        signal.raise_signal(signal.SIGINT)

loop.Loop._step = stepping
resume = stop == "0"
assert train(load_recipe(recipe), out, data, "cpu", resume).finished == resume
"""


def two_machines(tmp_path, *arguments):
    """The command of the docs, once for each machine: two addresses of loopback."""
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    work = [str(tmp_path / "worker.py"), *map(str, arguments)]
    meet = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    started = [
        subprocess.Popen([*launch, "--node-rank", str(rank), "--local-addr", f"127.0.0.{rank + 1}", *meet, *work])
        for rank in range(2)
    ]
    assert [each.wait(240) for each in started] == [0, 0]


@pytest.mark.slow
def test_two_machines_train_as_one_process_does(data_root, write_recipe, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(_BatchNorm, "train", lambda self, mode=True: torch.nn.Module.train(self, False))
    whole, out = tmp_path / "whole", tmp_path / "run"
    train(recipe(**CHANGES), whole, data_root, "cpu")
    file = write_recipe(tmp_path / "recipe.yaml", **SPLIT)
    two_machines(tmp_path, file, data_root, out, 2)  # interrupted after two steps ...
    two_machines(tmp_path, file, data_root, out, 0)  # ... and taken up again
    for one, other in zip(read_log(out), read_log(whole), strict=True):
        assert one["step"] == other["step"]
        for term in {"loss", "classification", "accuracy"} & other.keys():
            assert one[term] == pytest.approx(other[term], rel=1e-3), (one, other)
    heads = [safetensors.torch.load_file(folder / "head.safetensors")["weight"] for folder in (out, whole)]
    assert heads[0].shape == (7, 8)
    torch.testing.assert_close(*heads, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "changes", [{"optim": {"clip_norm": 1.0}}, {"loss": {"kd": {}, "classification": {"split": True}}}]
)
def test_what_needs_all_centres_is_refused(recipe, changes):
    with pytest.raises(LrfaceError, match=r"loss\.classification\.split goes without"):
        recipe(**({"loss": {"classification": {"split": True}}} | changes))


def test_an_unsplit_recipe_says_nothing_of_it(recipe):
    assert "split" not in recipe().model_dump(mode="json")["loss"]["classification"]
    assert recipe(**SPLIT).model_dump(mode="json")["loss"]["classification"]["split"] is True

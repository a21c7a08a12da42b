"""Two processes do what one does.

Two things are each process's own: the statistics of batch norm and the relations of CRRCD, which pair samples of one
process with each other and with the queue. So the test holds batch norm to its running statistics and gives CRRCD the
weight 0; the losses, the weights and the queue are then those of one process, up to rounding.
"""

import signal
import subprocess
import sys

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from lrface.errors import LrfaceError
from lrface.train import loop
from lrface.train.log import read_log
from lrface.train.run import train

CHANGES = {"loss": {"crrcd": {"weight": 0.0}, "kd": {}, "cosine": {}}, "optim": {"average": 0.5}}

WORKER = """
import os, signal, sys
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from lrface.train.recipe import load_recipe
from lrface.train import loop
from lrface.train.run import train

recipe, data, out, stop = sys.argv[1:]
loop.LOG_EVERY = 1
_BatchNorm.train = lambda self, mode=True: torch.nn.Module.train(self, False)
step = loop.Loop._step

def stepping(self, batch, log):
    step(self, batch, log)
    rank = self.fabric.global_rank
    if self.progress.step == int(stop):
        torch.save(self.objective.crrcd.queue.state_dict(), f"{out}/queue-{rank}.pt")
        torch.save([p.detach() for p in self.objective.parameters()], f"{out}/weights-{rank}.pt")
        if rank == 0:
            signal.raise_signal(signal.SIGINT)

loop.Loop._step = stepping
assert not train(load_recipe(recipe), out, data, "cpu", resume=True).finished
"""


@pytest.mark.slow
def test_a_run_goes_from_one_process_to_two_and_back(data_root, write_recipe, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(_BatchNorm, "train", lambda self, mode=True: torch.nn.Module.train(self, False))
    step, stop, queues = loop.Loop._step, [], {}

    def stepping(self, batch, log):
        step(self, batch, log)
        queues[self.progress.step] = {
            key: each.clone() for key, each in self.objective.crrcd.queue.state_dict().items()
        }
        if self.progress.step in stop:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_step", stepping)
    whole, out = tmp_path / "whole", tmp_path / "run"
    train(recipe(**CHANGES), whole, data_root, "cpu")
    expected = queues[6]

    stop[:] = [2]
    assert not train(recipe(**CHANGES), out, data_root, "cpu").finished
    (tmp_path / "worker.py").write_text(WORKER)
    file = write_recipe(tmp_path / "recipe.yaml", **CHANGES)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    work = [str(tmp_path / "worker.py"), str(file), str(data_root), str(out), "6"]
    done = subprocess.run(launch + work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ranks = [torch.load(out / f"queue-{rank}.pt") for rank in range(2)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in expected)
    for key, value in expected.items():
        torch.testing.assert_close(ranks[0][key], value, rtol=1e-3, atol=1e-4, msg=key)
    weights = [torch.load(out / f"weights-{rank}.pt") for rank in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))

    assert train(recipe(**CHANGES), out, data_root, "cpu", resume=True).finished
    compared = 0
    for one, other in zip(read_log(out), read_log(whole), strict=True):
        assert one["step"] == other["step"]
        for term in ("loss", "classification", "kd", "cosine", "accuracy", "auc"):
            if term in other:
                assert one[term] == pytest.approx(other[term], rel=1e-3), (one, other)
                compared += 1
    assert compared == 8 * 4 + 2 * 2


@pytest.mark.parametrize("size", [9, 2])
def test_a_batch_that_two_processes_cannot_share(data_root, recipe, tmp_path, monkeypatch, size):
    from lightning_fabric import Fabric

    monkeypatch.setattr(Fabric, "world_size", 2)
    with pytest.raises(LrfaceError, match=f"optim.batch_size {size} cannot be shared by 2 processes"):
        train(recipe(optim={"batch_size": size}), tmp_path / "run", data_root, "cpu")

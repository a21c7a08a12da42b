"""The command of two machines in docs/training.md, in two network namespaces joined by a cable: each has addresses of its own."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file

from lrface.train.log import read_log

ADDRESSES = ("10.171.0.1", "10.171.0.2")

#: Both machines have the name of this one, which stands for an address of loopback in many places. So the card is named.
CARD = os.environ | {"GLOO_SOCKET_IFNAME": "eth0"}


@pytest.fixture
def machines():
    """Names of two network namespaces that reach each other, and nothing else."""
    names = [f"lrface-{os.getpid()}-{number}" for number in range(2)]
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs root and the command ip, to make network namespaces")
    try:
        for name in names:
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        cable = ["link", "add", "eth0", "netns", names[0], "type", "veth", "peer", "name", "eth0", "netns", names[1]]
        subprocess.run(["ip", *cable], check=True)
        for name, address in zip(names, ADDRESSES, strict=True):
            for words in (f"address add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
                subprocess.run(["ip", "-n", name, *words.split()], check=True)
        yield names
    finally:
        for name in names:
            left = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
            for process in left.split():  # only after a failure
                os.kill(int(process), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.slow
def test_two_machines_train_what_two_processes_of_one_do(machines, data_root, write_recipe, tmp_path):
    file = write_recipe(tmp_path / "recipe.yaml")

    def train(out, prefix, *launch):
        command = [*prefix, sys.executable, "-m", "torch.distributed.run", *launch, "-m", "lrface", "train", file]
        command += ["--out", tmp_path / out, "--data", data_root, "--device", "cpu"]
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=400, env=CARD, check=False
        )

    def one_of_two(rank):
        prefix = ("ip", "netns", "exec", machines[rank])
        node = ("--nnodes", 2, "--node-rank", rank, "--nproc-per-node", 1)
        return train("two", prefix, *node, "--master-addr", ADDRESSES[0], "--master-port", 29500)

    with ThreadPoolExecutor(2) as users:
        done = list(users.map(one_of_two, range(2)))
    assert [each.returncode for each in done] == [0, 0], [each.stderr[-4000:] for each in done]
    alone = train("one", ("ip", "netns", "exec", machines[0]), "--standalone", "--nproc-per-node", 2)
    assert alone.returncode == 0, alone.stderr
    logs = [read_log(tmp_path / run) for run in ("one", "two")]
    for one, two in zip(*logs, strict=True):
        said = {"step", "loss", "accuracy", "auc"} & one.keys()
        assert {key: one[key] for key in said} == {key: two[key] for key in said}
    weights = [load_file(tmp_path / run / "model.safetensors") for run in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])

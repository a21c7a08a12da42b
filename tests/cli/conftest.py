"""A model to run the commands with, and the way they are run."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def refused(self, *words: str) -> bool:
        """Whether it ended as a user's mistake does: exit status 2 and one line that says ``words``."""
        lines = self.err.strip().splitlines()
        assert self.status == 2, self
        assert len(lines) == 1, self
        assert lines[0].startswith("error: "), self
        assert all(word in lines[0] for word in words), (words, self.err)
        return True


@pytest.fixture
def lrface(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``lrface(*arguments)``: the real entry point, in this process, with the exit status that a shell would see."""
    from lrface.cli.main import main

    monkeypatch.delenv("LRFACE_DATA", raising=False)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["lrface", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return Outcome(stop.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``start(*arguments)``: Python in a process of its own."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small student with random weights and thresholds. Not to be changed."""
    import torch

    from lrface.faces.degrade import Degradation
    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    preprocessing = Preprocessing(16, degradation=Degradation(16)).as_dict()
    thresholds = {"0.01": 0.999, "0.001": 0.9995}
    network = create("resnet18", width=8, embedding_dim=32)
    save_model(path, network, {"preprocessing": preprocessing, "thresholds": thresholds})
    return path

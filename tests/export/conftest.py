"""One small student with lively norms, and its graph: exporting takes seconds, so it is done once."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from lrface.faces.degrade import Degradation
from lrface.models import create, save_model
from lrface.models.preprocessing import Preprocessing

pytest.importorskip("onnxscript", reason="the extra export is not installed")

DIM = 32
PREPROCESSING = Preprocessing(16, degradation=Degradation(16))
CARD = {"preprocessing": PREPROCESSING.as_dict(), "thresholds": {"0.01": 0.31}, "name": "tiny"}


def enliven(module: torch.nn.Module) -> torch.nn.Module:
    """Norms whose folding would show if it were wrong."""
    generator = torch.Generator().manual_seed(3)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            layer.bias.data.normal_(generator=generator)
            layer.weight.data.uniform_(0.5, 1.5, generator=generator)
        if isinstance(layer, torch.nn.PReLU):
            layer.weight.data.uniform_(-0.3, 0.6, generator=generator)
    return module.eval()


@dataclass
class Student:
    """``path`` with its graph beside it; ``proto()`` is a copy of the graph with norms folded."""

    path: Path
    module: torch.nn.Module
    proto: Callable[[], Any]
    preprocessing: Preprocessing = PREPROCESSING
    dim: int = DIM


@pytest.fixture(name="enliven", scope="session")
def enliven_fixture() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """For tests that make networks of their own."""
    return enliven


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    """Not to be changed."""
    from lrface.export.graph import trace
    from lrface.export.linked import write_graph
    from lrface.models import load_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("student") / "tiny.safetensors"
    save_model(path, enliven(create("resnet18", width=8, embedding_dim=DIM)), CARD, half=True)
    write_graph(path)
    module, _ = load_model(path)
    proto = trace(module, 16)
    return Student(path, module, lambda: copy.deepcopy(proto))


@pytest.fixture
def quick_trace(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    """``export`` takes the graph that there is."""
    monkeypatch.setattr("lrface.export.run.trace", lambda module, size: student.proto())

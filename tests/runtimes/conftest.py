"""A small model in every form that a runtime opens."""

import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("onnxscript", reason="the extra export is not installed")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``model.safetensors`` with its graph, and alone as ``alone.safetensors``. Not to be changed."""
    from lrface.export.linked import write_graph
    from lrface.faces.degrade import Degradation
    from lrface.models import create, save_model
    from lrface.models.preprocessing import Preprocessing

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("runtimes") / "model.safetensors"
    card = {"preprocessing": Preprocessing(16, degradation=Degradation(16)).as_dict(), "thresholds": {"0.01": 0.3}}
    save_model(path, create("resnet18", width=8, embedding_dim=16).eval(), card, half=True)
    write_graph(path)
    shutil.copy(path, path.with_name("alone.safetensors"))
    return path

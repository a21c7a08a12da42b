"""A data root with a tiny LFW of drawn faces, rehearsal sets, and two tiny models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PEOPLE, EACH = 12, 5


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``person_03/person_03_0001.jpg``, five of each of twelve drawn people and one of four more. Not to be changed."""
    from lrface.data.synthetic import face
    from lrface.faces.images import encode_image

    root = tmp_path_factory.mktemp("drawn")
    for person in range(PEOPLE + 4):
        name = f"person_{person:02d}"
        (root / name).mkdir()
        for number in range(1, EACH + 1 if person < PEOPLE else 2):
            (root / name / f"{name}_{number:04d}.jpg").write_bytes(encode_image(face(person, number, seed=2)))
    return root


@pytest.fixture(scope="session")
def data(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root: a store of LFW's kind with a list of 24 + 24 pairs, and rehearsals of the four native sets."""
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare
    from lrface.data.rehearse import rehearse

    root = tmp_path_factory.mktemp("data")
    prepare(drawn, root / "lfw_mtcnn", Settings(detector="none"), progress=False)
    (root / "lfw").mkdir()
    names = [f"person_{person:02d}" for person in range(PEOPLE)]
    same = [f"{name}\t{a}\t{b}" for name in names for a, b in ((1, 2), (3, 4))]
    different = [
        f"{name}\t{number}\t{names[(at + number) % PEOPLE]}\t5" for at, name in enumerate(names) for number in (1, 2)
    ]
    (root / "lfw" / "pairs.txt").write_text("\n".join(["24", *same, *different]) + "\n")
    rehearse(drawn, root, settings=Settings(detector="none"), progress=False)
    return root


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two small students with random weights. Not to be changed."""
    import torch

    from lrface.faces.degrade import Degradation
    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    folder = tmp_path_factory.mktemp("models")
    preprocessing = Preprocessing(16, degradation=Degradation(16)).as_dict()
    for number in range(2):
        torch.manual_seed(number)
        network = create("resnet18", width=8, embedding_dim=32)
        save_model(folder / f"m{number}.safetensors", network, {"preprocessing": preprocessing})
    return folder / "m0.safetensors", folder / "m1.safetensors"


@pytest.fixture
def options(data: Path, models: tuple[Path, Path], tmp_path: Path) -> Callable[..., Any]:
    """``options(**changes)``: a run on LFW alone, at two sides, of the first model."""
    from lrface.suite.options import Options
    from lrface.suite.peers import Model

    def make(**changes: Any) -> Options:
        usual: dict[str, Any] = {
            "models": (Model("one", str(models[0])),), "data": data, "out": tmp_path / "out", "only": ("lfw",),
            "sides": (8, 16), "seeds": 1, "finetune": (),
        }  # fmt: skip
        return Options(**(usual | changes))

    return make


@pytest.fixture
def quiet() -> Callable[[str], None]:
    """Says nothing."""
    return lambda text: None


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    """Similarities and flags of 400 pairs."""
    rng = np.random.default_rng(0)
    same = rng.random(400) < 0.5
    return np.clip(rng.normal(0.3 * same, 0.2), -1, 1), same


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the report out, where rows alone are of interest."""
    from lrface.suite import report

    monkeypatch.setattr(report, "write_report", lambda *arguments: None)

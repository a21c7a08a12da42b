"""A small store with a small teacher in a data root, and recipes over it that train in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lrface.train.recipe import Recipe, parse_recipe

IDENTITIES, IMAGES = 10, 5
DIM = 8


def draw_people(identities: int, images: int, side: int = 112) -> np.ndarray:
    """uint8 ``[identities, images, side, side, 3]``: a coarse pattern for each person, and some noise on it."""
    from lrface.faces.degrade import resize

    rng = np.random.default_rng(3)
    people = rng.integers(40, 216, (identities, 1, 7, 7, 3))
    coarse = np.clip(people + rng.integers(-40, 41, (identities, images, 7, 7, 3)), 0, 255).astype(np.uint8)
    drawn = [resize(each, side) for each in coarse.reshape(-1, 7, 7, 3)]
    return np.stack(drawn).reshape(identities, images, side, side, 3)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``faces``, a store of 10 identities with 5 images, and ``teacher/model.safetensors``. Not to be changed."""
    import torch

    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare
    from lrface.faces.images import encode_image
    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    root = tmp_path_factory.mktemp("root")
    for person, images in enumerate(draw_people(IDENTITIES, IMAGES)):
        folder = root / "source" / f"{person:02d}"
        folder.mkdir(parents=True)
        for number, image in enumerate(images):
            (folder / f"{number}.png").write_bytes(encode_image(image, "png"))
    prepare(root / "source", root / "faces", Settings(detector="none"), progress=False)
    torch.manual_seed(0)
    teacher = create("iresnet18", input_size=32, width=2, embedding_dim=DIM)
    save_model(root / "teacher" / "model.safetensors", teacher, {"preprocessing": Preprocessing(32).as_dict()})
    return root


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return base | {
        key: _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }


@pytest.fixture(scope="session")
def content() -> Callable[..., dict[str, Any]]:
    """The content of a small recipe; keywords replace keys, within sections too."""

    def make(**changes: Any) -> dict[str, Any]:
        base: dict[str, Any] = {
            "name": "tiny",
            "data": {"store": "faces", "holdout_identities": 3},
            "model": {"name": "resnet18", "kw": {"width": 4, "embedding_dim": DIM}},
            "teacher": {"model": "teacher/model.safetensors"},
            "loss": {"classification": {"scale": 16, "margin": 0.2}, "crrcd": {"negatives": 24, "projected_dim": 8}},
            "optim": {"epochs": 2, "batch_size": 8, "lr": 0.02},
            "validation": {"pairs_per_kind": 20},
        }
        return _merge(base, changes)

    return make


@pytest.fixture(scope="session")
def recipe(content: Callable[..., dict[str, Any]]) -> Callable[..., Recipe]:
    """A small recipe; keywords as for ``content``."""
    return lambda **changes: parse_recipe(content(**changes), "the test")


@pytest.fixture(scope="session")
def write_recipe(content: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Write a small recipe to a file; keywords as for ``content``."""

    def write(path: Path, **changes: Any) -> Path:
        path.write_text(yaml.safe_dump(content(**changes)))
        return path

    return write

"""A small store, a recipe over it that trains in a second, and sweeps of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

RECIPE = {
    "name": "tiny",
    "data": {"store": "faces", "holdout_identities": 3},
    "model": {"kw": {"width": 2, "embedding_dim": 8}},
    "loss": {"classification": {"scale": 16, "margin": 0.2}},
    "optim": {"epochs": 2, "batch_size": 8, "lr": 0.02},
    "validation": {"pairs_per_kind": 20},
}


@pytest.fixture(scope="session")
def sweep_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with ``faces``, a store of 8 identities with 4 images. Not to be changed."""
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare
    from lrface.faces.images import encode_image

    root = tmp_path_factory.mktemp("sweep_data")
    rng = np.random.default_rng(2)
    for person in range(8):
        (root / "source" / f"{person}").mkdir(parents=True)
        face = rng.integers(40, 216, (7, 7, 3))
        for number in range(4):
            coarse = np.clip(face + rng.integers(-40, 41, face.shape), 0, 255).astype(np.uint8)
            image = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
            (root / "source" / f"{person}" / f"{number}.png").write_bytes(encode_image(image, "png"))
    prepare(root / "source", root / "faces", Settings(detector="none"), progress=False)
    return root


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Write ``tiny.yaml``, and beside it a sweep of its learning rate; keywords replace the sweep's keys."""

    def write(**changes: Any) -> Path:
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
        content = {"name": "rates", "recipe": "tiny.yaml", "axes": {"optim.lr": [0.02, 0.05]}, "seeds": [5]} | changes
        path = tmp_path / "rates.yaml"
        path.write_text(
            yaml.safe_dump({key: value for key, value in content.items() if value is not None}, sort_keys=False)
        )
        return path

    return write

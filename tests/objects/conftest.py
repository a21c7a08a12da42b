"""Small object recipes that train in a second or two."""

from collections.abc import Callable
from typing import Any

import pytest

from lrface.objects.recipe import ObjectRecipe, parse_object_recipe


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return base | {
        key: _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }


@pytest.fixture(scope="session")
def content() -> Callable[..., dict[str, Any]]:
    """The content of a recipe of five steps an epoch; keywords replace keys, within sections too."""

    def make(**changes: Any) -> dict[str, Any]:
        base: dict[str, Any] = {
            "task": "objects",
            "name": "tiny",
            "data": {"set": "shapes", "per_class": 6, "low": 8, "side": 16, "holdout": 1},
            "model": {"name": "resnet8"},
            "optim": {"epochs": 2, "batch_size": 20, "lr": 0.02},
            "before": {"epochs": 1},
        }
        return _merge(base, changes)

    return make


@pytest.fixture(scope="session")
def recipe(content: Callable[..., dict[str, Any]]) -> Callable[..., ObjectRecipe]:
    """The recipe itself; keywords as for ``content``."""
    return lambda **changes: parse_object_recipe(content(**changes), "the test")


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of an untrained teacher for the 20 shapes."""
    import torch

    from lrface.objects.files import save_network
    from lrface.objects.networks import create_network

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "model.safetensors"
    save_network(
        path, create_network("resnet8", 20), {"network": "resnet8", "classes": ["c"] * 20, "view": {"side": 16}}
    )
    return str(path)

"""Backbones by name, their cost, and their weights on disk.

Every model takes float32 ``[B, 3, H, W]`` RGB scaled as ``(v / 255 - 0.5) / 0.5``, with ``H == W == model.input_size``,
and gives float32 ``[B, model.embedding_dim]``, not normalised.

>>> from lrface.models import create
>>> student = create("resnet18")                    # 16 px in, 512-d out
>>> teacher = create("iresnet50", dropout=0.4)      # 112 px in, 512-d out
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrface.models.cost import Cost, describe
    from lrface.models.registry import ModelSpec, create, names, spec_of
    from lrface.models.weights import load_arcface_torch, load_model, save_model

#: Modules of the names that need torch. They are imported on first use, so that an ONNX model opens without torch.
_LAZY = {
    "cost": ("Cost", "describe"),
    "registry": ("ModelSpec", "create", "names", "spec_of"),
    "weights": ("load_arcface_torch", "load_model", "save_model"),
}

__all__ = [
    "Cost",
    "ModelSpec",
    "create",
    "describe",
    "load_arcface_torch",
    "load_model",
    "names",
    "save_model",
    "spec_of",
]


def __getattr__(name: str) -> Any:
    for module, held in _LAZY.items():
        if name in held:
            return getattr(import_module(f"lrface.models.{module}"), name)
    raise AttributeError(f"module 'lrface.models' has no attribute {name!r}")

"""Backbones by name, what they cost, and their weights on disk.

Every model takes float32 ``[B, 3, H, W]`` RGB scaled as ``(v / 255 - 0.5) / 0.5``, with ``H == W == model.input_size``,
and gives float32 ``[B, model.embedding_dim]``, not normalised.

>>> from lrface.models import create
>>> student = create("resnet18")                    # 16 px in, 512-d out
>>> teacher = create("iresnet50", dropout=0.4)      # 112 px in, 512-d out
"""

from lrface.models.cost import Cost, describe
from lrface.models.registry import ModelSpec, create, names, spec_of
from lrface.models.weights import load_arcface_torch, load_model, save_model

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

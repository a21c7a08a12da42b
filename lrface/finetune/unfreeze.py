"""Settings for finetuning a network, and which part of it is trained. This module imports no training code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from lrface.errors import LrfaceError
from lrface.files import require_path
from lrface.models import shipped
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.registry import ModelSpec

Part = Literal["none", "last", "all"]

#: Side in pixels of the crops from which random views are made.
SOURCE_SIZE = 64
#: A network with a larger input gets only flips, because the random views are for low resolution.
LOW_SIDE = 64
#: Smallest number of steps for small sets, and the limits of the epochs for them.
LEAST_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 300, 10, 100


@dataclass(frozen=True)
class BackboneSettings:
    """How a backbone is finetuned.

    Attributes:
        unfreeze: ``none`` (only the embedding layer, after the four stages), ``last`` (also the fourth stage) or ``all``.
        epochs: None for as many as ``LEAST_STEPS`` steps need, from 10 to 100.
        batch_size: images per step; fewer if there are fewer.
        lr: learning rate of SGD, after half an epoch of warm-up; then it falls along half a cosine.
        scale, margin: of the cosine softmax (CosFace) over the people.
        distil: weight of the distillation; 0 for none.
        seed: of the order and the views.
        precision: see :class:`lrface.train.recipe.Recipe`.
    """

    unfreeze: Part = "last"
    epochs: int | None = None
    batch_size: int = 64
    lr: float = 0.003
    scale: float = 32.0
    margin: float = 0.1
    distil: float = 10.0
    seed: int = 5
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed"] = "auto"

    def epochs_for(self, images: int) -> int:
        """Number of epochs for this many training images."""
        steps = max(images // min(self.batch_size, images), 1)
        return self.epochs or min(max(FEWEST_EPOCHS, -(-LEAST_STEPS // steps)), MOST_EPOCHS)


def open_backbone(spec: str | Path | None = None, device: str = "cpu") -> Embedder:
    """Open a model for finetuning: with torch if it is an lrface or arcface_torch model, else as a backbone that stays frozen.

    Raises:
        LrfaceError: see :func:`lrface.models.embedder.open_embedder`.
    """
    path = shipped.find(shipped.default() if spec is None else str(spec)) or Path(require_path(str(spec)))
    trainable = path.suffix in (".safetensors", ".pt", ".pth")
    return open_embedder(spec, device, runtime="torch" if trainable else "auto")


def module_of(embedder: Embedder) -> nn.Module:
    """The torch module of a backbone.

    Raises:
        LrfaceError: it has none, like an ONNX file.
    """
    module = getattr(embedder.network, "module", None)
    if not isinstance(module, nn.Module) or not isinstance(getattr(module, "spec", None), ModelSpec):
        raise LrfaceError(
            "only models of lrface and of arcface_torch can be finetuned in their weights: "
            "this one can be a frozen backbone, --unfreeze none --as classifier"
        )
    return module


def freeze(module: nn.Module, part: Part) -> None:
    """Stop the gradients of all layers before the part that is trained; see :class:`BackboneSettings`."""
    names = [name for name, _ in module.named_children()]
    stage = names.index("layer4")
    first = {"none": stage + 1, "last": stage, "all": 0}[part]
    for name in names[:first]:
        getattr(module, name).requires_grad_(False)

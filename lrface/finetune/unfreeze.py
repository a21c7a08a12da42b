"""What of a network is finetuned, and how; light to import, as a frozen one needs no more."""

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

#: Side of the crops that random views are made from.
SOURCE_SIZE = 64
#: A network of larger input gets flips alone: the views are made for low resolution.
LOW_SIDE = 64
#: Steps that small sets get at least, and the epochs that they may take.
LEAST_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 300, 10, 100


@dataclass(frozen=True)
class BackboneSettings:
    """How a backbone is finetuned.

    Attributes:
        unfreeze: ``none`` (the embedding layer alone, after the four stages), ``last`` (the fourth stage too) or ``all``.
        epochs: None for as many as ``LEAST_STEPS`` steps take, from 10 to 100.
        batch_size: images a step; fewer where there are fewer.
        lr: of SGD, after half an epoch of warm-up; half a cosine from there.
        scale, margin: of the cosine softmax (CosFace) over the people.
        distil: weight of the distillation that is kept; 0 for none.
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
        """Epochs over this many training images."""
        steps = max(images // min(self.batch_size, images), 1)
        return self.epochs or min(max(FEWEST_EPOCHS, -(-LEAST_STEPS // steps)), MOST_EPOCHS)


def open_backbone(spec: str | Path | None = None, device: str = "cpu") -> Embedder:
    """Open a model to be finetuned: in torch if it is one of ours or arcface_torch's, else as it is, to stay frozen.

    Raises:
        LrfaceError: see :func:`lrface.models.embedder.open_embedder`.
    """
    path = shipped.find(shipped.default() if spec is None else str(spec)) or Path(require_path(str(spec)))
    trainable = path.suffix in (".safetensors", ".pt", ".pth")
    return open_embedder(spec, device, runtime="torch" if trainable else "auto")


def module_of(embedder: Embedder) -> nn.Module:
    """The torch module of a backbone.

    Raises:
        LrfaceError: it has none, as an ONNX file.
    """
    module = getattr(embedder.network, "module", None)
    if not isinstance(module, nn.Module) or not isinstance(getattr(module, "spec", None), ModelSpec):
        raise LrfaceError(
            "only models of lrface and of arcface_torch can be finetuned in their weights: "
            "this one can be a frozen backbone, --unfreeze none --as classifier"
        )
    return module


def freeze(module: nn.Module, part: Part) -> None:
    """Stop the gradient of all that comes before the part to be trained; see :class:`BackboneSettings`."""
    names = [name for name, _ in module.named_children()]
    stage = names.index("layer4")
    first = {"none": stage + 1, "last": stage, "all": 0}[part]
    for name in names[:first]:
        getattr(module, name).requires_grad_(False)

"""A softmax layer over people, trained on the embeddings of a backbone that stays as it is.

Not :class:`lrface.train.loop.Loop`: there are no images, no teacher and no processes here, the embeddings are in memory and
the whole training takes seconds, so that checkpoints and validation between epochs have nothing to do.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lrface.errors import LrfaceError
from lrface.losses import CosFace
from lrface.train.targets import normalised


@dataclass(frozen=True)
class LayerSettings:
    """How the layer is trained: Adam, its learning rate falling to zero along half a cosine.

    Attributes:
        epochs: passes over the embeddings; 0 leaves the directions of the class means.
        lr: at the beginning.
        batch_size: embeddings a step.
        scale: what cosines are multiplied by before the softmax.
    """

    epochs: int = 30
    lr: float = 3e-3
    batch_size: int = 128
    scale: float = 16.0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1 or not self.lr > 0 or not self.scale > 0:
            raise LrfaceError(f"a softmax layer cannot be trained with {self}")


def fit_layer(
    embeddings: np.ndarray, labels: np.ndarray, classes: int, settings: LayerSettings, seed: int, device: str = "cpu"
) -> np.ndarray:
    """Train the layer: logits are ``scale`` x the cosine to one direction a person, without bias.

    Cosines make it indifferent to the length of a backbone's embeddings, and to how many images a person has; they are what
    a stranger is told by, too. It begins at the class means (Qi et al., "Low-Shot Learning with Imprinted Weights", CVPR
    2018), which serve a person with a single image as they are. The seed decides the order of the images.

    Args:
        embeddings: float32 ``[n, dim]``.
        labels: int64 ``[n]``, 0 to ``classes - 1``; each occurs.
        classes: people.
        settings, seed: see above.
        device: where it is trained.

    Returns:
        float32 ``[classes, dim]``, rows of unit length.

    Raises:
        LrfaceError: a person has no image, or an embedding is not finite.
    """
    if not np.isfinite(embeddings).all():
        raise LrfaceError("an embedding is not finite (NaN or infinity): the model cannot be used on these images")
    counts = np.bincount(labels, minlength=classes)
    if len(counts) != classes or not counts.all():
        raise LrfaceError(f"{int((counts == 0).sum())} of {classes} people have no image to learn from")
    x = F.normalize(torch.from_numpy(np.ascontiguousarray(embeddings, np.float32)).to(device))
    y = torch.from_numpy(np.asarray(labels, np.int64)).to(device)
    layer = CosFace(classes, x.shape[1], settings.scale, margin=0.0).to(device)
    with torch.no_grad():
        layer.weight.copy_(F.normalize(torch.zeros_like(layer.weight).index_add_(0, y, x)))
    _train(layer, x, y, settings, torch.Generator().manual_seed(seed))
    return F.normalize(layer.weight.detach()).cpu().numpy()


def _train(
    layer: CosFace, x: torch.Tensor, y: torch.Tensor, settings: LayerSettings, generator: torch.Generator
) -> None:
    optimizer = torch.optim.Adam(layer.parameters(), lr=settings.lr)
    steps = settings.epochs * -(-len(y) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(settings.epochs):
        for index in torch.randperm(len(y), generator=generator).to(y.device).split(settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            layer(x[index], y[index]).backward()
            optimizer.step()
            schedule.step()


def cosines(embeddings: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Similarities float32 ``[n, classes]`` of embeddings ``[n, dim]`` to a layer's directions ``[classes, dim]``."""
    result: np.ndarray = normalised(embeddings) @ weight.T
    return result

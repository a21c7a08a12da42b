"""A softmax layer over people, trained on the embeddings of a frozen backbone.

It does not use :class:`lrface.train.loop.Loop`. There are no images, no teacher and no processes, the embeddings are in memory,
and the whole training takes seconds. Checkpoints and validation between epochs are not needed.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lrface.errors import LrfaceError
from lrface.losses import CosFace
from lrface.models.teacher_map import normalised


@dataclass(frozen=True)
class LayerSettings:
    """How the layer is trained: with Adam and a learning rate that falls to zero along half a cosine.

    Attributes:
        epochs: passes over the embeddings; 0 keeps the directions of the class means.
        lr: learning rate at the beginning.
        batch_size: embeddings per step.
        scale: factor on the cosines before the softmax.

    Raises:
        LrfaceError: a value out of range.
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
    """Train the layer. Logits are ``scale`` x the cosine to one direction per person, without bias.

    With cosines, neither the length of a backbone's embeddings nor the number of a person's images matters. Cosines also
    serve to recognise strangers. Training starts at the class means (Qi et al., "Low-Shot Learning with Imprinted Weights",
    CVPR 2018), which are used unchanged for a person with one image. The seed determines the order of the images.

    Args:
        embeddings: float32 ``[n, dim]``.
        labels: int64 ``[n]``, 0 to ``classes - 1``; each occurs.
        classes: number of people.
        settings, seed: see above.
        device: for the training.

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

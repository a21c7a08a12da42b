"""Accuracy and features of object networks."""

import numpy as np
import torch

from lrface.objects.data import Pictures
from lrface.objects.networks import ObjectNetwork
from lrface.objects.view import View, planes
from lrface.train.batches import normalise

BATCH = 500


@torch.no_grad()
def run_network(network: ObjectNetwork, pictures: Pictures, view: View, device: torch.device) -> tuple[np.ndarray, ...]:
    """Run a network in evaluation mode; its own mode is restored afterwards.

    Returns:
        Logits float32 ``[N, classes]`` and embeddings float32 ``[N, dim]``.
    """
    was, found = network.training, []
    network.eval()
    for start in range(0, len(pictures), BATCH):
        pixels = planes(pictures.images[start : start + BATCH], device)
        outputs = network.outputs(normalise(view(pixels)))
        assert outputs.logits is not None
        assert outputs.embedding is not None
        found.append((outputs.logits.float().cpu().numpy(), outputs.embedding.float().cpu().numpy()))
    network.train(was)
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))


def accuracy(network: ObjectNetwork, pictures: Pictures, view: View, device: torch.device) -> float:
    """Share of the pictures whose class has the largest logit, 0 to 1."""
    logits, _ = run_network(network, pictures, view, device)
    return float((logits.argmax(1) == pictures.labels).mean())

"""Within-class whitening of a trained student. It is folded into the last layer, so that it costs nothing afterwards.

The embedding of a student trained by regression varies most where images of one person differ, in light and pose. Whitening
by the covariance within the training identities reduces the weight of these directions in the cosine (within-class covariance
normalisation: Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for SVM-based speaker recognition", 2006). It
is linear and goes into the weights of the fully connected layer. The size, speed and files of the network do not change.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from lrface.errors import LrfaceError

#: Maximum number of training images for the covariance: those of the first identities.
SAMPLE = 100_000


def chosen_images(labels: np.ndarray, most: int = SAMPLE) -> np.ndarray:
    """Positions of the images to embed, int64: all images of the first identities with two or more, up to ``most``."""
    counts = np.bincount(labels[labels >= 0])
    counts[counts < 2] = 0
    return np.flatnonzero((labels >= 0) & (counts[labels] > 0) & (np.cumsum(counts)[labels] <= most))


def whitening(embeddings: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    """The inverse square root of the covariance within the identities.

    Args:
        embeddings: float ``[n, dim]``, rows of unit length.
        labels: int64 ``[n]``; identities with one image are left out.
        shrinkage: multiple of the mean variance that is added to all variances, because the small ones are not known
            accurately in so many dimensions.

    Returns:
        float64 ``[dim, dim]``, symmetric, with the trace ``dim``.

    Raises:
        LrfaceError: no identity has two different images.
    """
    identities, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    several = counts[labels] > 1
    sums = np.zeros((len(identities), embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    within = (embeddings - sums[labels] / counts[labels, None])[several]
    covariance = within.T @ within / max(len(within) - int((counts > 1).sum()), 1)
    mean = float(np.trace(covariance)) / len(covariance)
    if not mean > 0:
        raise LrfaceError("whiten: no training identity has two different images, so nothing varies within them")
    variances, directions = np.linalg.eigh(covariance + shrinkage * mean * np.eye(len(covariance)))
    root: np.ndarray = (directions / np.sqrt(variances)) @ directions.T
    root *= len(root) / float(np.trace(root))
    return root


def check_network(network: nn.Module) -> tuple[nn.Linear, nn.BatchNorm1d]:
    """The two layers that take the whitening. Raises LrfaceError if the network ends differently."""
    linear, norm = getattr(network, "fc", None), getattr(network, "features", None)
    if not isinstance(linear, nn.Linear) or not isinstance(norm, nn.BatchNorm1d):
        raise LrfaceError(f"whiten: {type(network).__name__} does not end in a linear layer and a BatchNorm1d")
    return linear, norm


@torch.no_grad()
def fold(network: nn.Module, matrix: np.ndarray) -> None:
    """Change the network so that it gives ``matrix @ f(x)`` instead of ``f(x)``, in evaluation mode, before normalisation.

    Args:
        network: one that ends with ``features(fc(x))``, a linear layer and a BatchNorm1d, as all of :mod:`lrface.models`
            do; changed in place.
        matrix: float ``[dim, dim]``.

    Raises:
        LrfaceError: the network ends differently.
    """
    linear, norm = check_network(network)
    turn = torch.as_tensor(matrix, dtype=torch.float64)
    scale = _double(norm.weight) / (_double(norm.running_var) + norm.eps).sqrt()
    bias = 0 if linear.bias is None else _double(linear.bias)
    shift = _double(norm.bias) + scale * (bias - _double(norm.running_mean))
    linear.weight.copy_(turn @ (scale[:, None] * _double(linear.weight)))
    if linear.bias is not None:
        linear.bias.zero_()
    norm.bias.copy_(turn @ shift)
    norm.running_mean.zero_()  # type: ignore[union-attr]  # absent only without running statistics
    norm.running_var.fill_(1)  # type: ignore[union-attr]
    norm.weight.fill_(math.sqrt(1 + norm.eps))


def _double(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise LrfaceError("whiten: the network's BatchNorm1d keeps no running statistics")
    return tensor.double().cpu()

"""Adapting a model to the look of one camera, from unlabelled faces: the statistics of batch normalisation are taken again.

A camera that is darker, softer or noisier than the training images shifts the inputs of every layer. Batch normalisation
assumes the mean and the variance of the training images. Here a part of both is replaced by those of the camera's own faces.
No weight is trained and no name is needed.

Sources: Li et al., "Adaptive Batch Normalization for practical domain adaptation", 2018; for small faces, FaceBN in "Low-Resolution
Face Recognition via Adaptable Instance-Relation Distillation" (AIRD), 2024.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lrface.errors import LrfaceError
from lrface.files import require_path
from lrface.finetune.unfreeze import module_of
from lrface.models import save_model
from lrface.models.embedder import Embedder
from lrface.version import code_version

#: The default share of the camera's own statistics (``benchmarks/face_bn.py``): with 1, accuracy falls again.
SHARE = 0.3

#: Statistics of fewer faces are those of their people rather than of the camera.
LEAST_FACES = 100

_BATCH = 128

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Adaptation:
    """How a model was adapted; recorded in its card as ``adapted``.

    Attributes:
        model: fingerprint of the model before.
        faces: number of faces of the camera.
        share: of the camera's own statistics.
        by: version of the code.
        recalibrated: whether the card's thresholds were fitted again. Unlabelled faces do not tell what they ought to be.
    """

    model: str
    faces: int
    share: float
    by: dict[str, str | None]
    recalibrated: bool = False


def adapt(embedder: Embedder, crops: Sequence[np.ndarray], out: str | Path, share: float = SHARE) -> Adaptation:
    """Write a model whose batch-norm statistics are partly those of the given faces.

    The card keeps the model's thresholds, which were calibrated before, and says so under ``adapted``.

    Args:
        embedder: a model opened with torch; see :func:`lrface.finetune.unfreeze.open_backbone`.
        crops: at least ``LEAST_FACES`` aligned crops of one camera, uint8 RGB of any size.
        out: the file, usually ``*.safetensors``.
        share: of the camera's own statistics, above 0, up to 1.

    Raises:
        LrfaceError: too few faces, a model without torch weights or without batch normalisation, a share outside the range,
            or a file that cannot be written.
    """
    if not 0 < share <= 1:
        raise LrfaceError(f"a share of {share:g} makes no sense: choose one above 0, up to 1")
    if len(crops) < LEAST_FACES:
        raise LrfaceError(f"{len(crops)} faces are too few to know a camera by: give at least {LEAST_FACES}")
    module = module_of(embedder)
    batch = embedder.preprocessing.batch(np.stack([embedder.compact(crop) for crop in crops]))
    adapted = mixed(module, statistics_of(module, batch), share)
    record = Adaptation(embedder.fingerprint, len(crops), share, code_version())
    card = {**embedder.card, "preprocessing": embedder.preprocessing.as_dict(), "adapted": asdict(record)}
    save_model(require_path(out), adapted, card)
    return record


def statistics_of(module: nn.Module, batch: np.ndarray, seed: int = 5) -> dict[str, torch.Tensor]:
    """The means and variances of all batch-norm layers over some faces and their mirror images.

    Args:
        module: the network; it is not changed.
        batch: float32 ``[n, 3, size, size]``, preprocessed.
        seed: of the order in which the faces form batches.

    Returns:
        Name of the buffer -> tensor.

    Raises:
        LrfaceError: the network has no batch normalisation.
    """
    measured = copy.deepcopy(module).eval()
    norms = [layer for layer in measured.modules() if isinstance(layer, _NORMS)]
    if not norms:
        raise LrfaceError("this network has no batch normalisation: it cannot be adapted by its statistics")
    for layer in norms:
        layer.train().reset_running_stats()
        layer.momentum = None  # the mean over all batches
    both = np.concatenate([batch, batch[..., ::-1]])[np.random.default_rng(seed).permutation(2 * len(batch))]
    with torch.no_grad():
        for part in np.array_split(both, max(1, len(both) // _BATCH)):
            measured(torch.from_numpy(np.ascontiguousarray(part)))
    return {name: value for name, value in measured.named_buffers() if name.endswith(("running_mean", "running_var"))}


def mixed(module: nn.Module, statistics: dict[str, torch.Tensor], share: float) -> nn.Module:
    """A copy of a network, in evaluation mode, in which ``share`` of the batch-norm statistics comes from ``statistics``."""
    result = copy.deepcopy(module).eval()
    for name, value in result.named_buffers():
        if name in statistics:
            value.copy_((1 - share) * value + share * statistics[name].to(value.dtype))
    return result

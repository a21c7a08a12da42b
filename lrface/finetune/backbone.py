"""Finetuning a backbone, in part or whole, with the training loop of students.

There are four differences from a student's training. The network starts with its own weights, and the classifier with the
class means. Some stages stay frozen. Batch norms keep their statistics, because there are few batches and few people in them.
The distillation is the cosine to the embeddings that the model gave before, or to those of a teacher.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.files import read_json, write_json
from lrface.finetune.labelled_images import KnownFaces
from lrface.finetune.unfreeze import LOW_SIDE, SOURCE_SIZE, BackboneSettings, freeze, module_of
from lrface.models.embedder import Embedder
from lrface.models.registry import spec_of
from lrface.models.teacher_map import normalised
from lrface.runtimes.torch import TorchNetwork
from lrface.train.batches import Batches, LowFaces, RandomViews, TeacherTargets
from lrface.train.log import RunLog
from lrface.train.loop import BEST, LAST, Loop
from lrface.train.objective import Objective
from lrface.train.recipe import (
    AugmentSection,
    ClassificationSection,
    DataSection,
    LossSection,
    ModelSection,
    OptimSection,
    Recipe,
    RegressionSection,
    TeacherSection,
)
from lrface.train.run import make_fabric
from lrface.train.split import Split
from lrface.train.validation import calibrate, validate

FACTS = "finetune.json"


@dataclass(frozen=True)
class Finetuned:
    """A finetuned backbone.

    Attributes:
        embedder: ready to embed; its network is the module.
        recipe: a record of the training, in the form of :class:`lrface.train.recipe.Recipe`.
        history: validation results by epoch, beginning with epoch 0, the original model; empty without validation pairs.
        thresholds: false accept rate -> cosine, if people were held out.
        epoch: the epoch of these weights. 0 means that no epoch was better than the original model on the validation pairs.
    """

    embedder: Embedder
    recipe: dict[str, Any]
    history: list[dict[str, float]]
    thresholds: dict[str, float]
    epoch: int

    @property
    def module(self) -> nn.Module:
        """The network."""
        return module_of(self.embedder)


class _Objective(Objective):
    """The objective, with batch norms that keep their statistics."""

    def train(self, mode: bool = True) -> "_Objective":
        super().train(mode)
        for module in self.student.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


class _InMemory:
    """Faces in memory, with the interface of a store that training needs."""

    def __init__(self, faces: KnownFaces) -> None:
        self.degradation: Degradation = faces.degradation
        self._faces = faces

    def low(self, indices: np.ndarray) -> np.ndarray:
        return self._faces.low[indices]

    def crop(self, index: int) -> np.ndarray:
        crop: np.ndarray = self._faces.source[index]
        return crop


def finetune_backbone(
    embedder: Embedder, faces: KnownFaces, settings: BackboneSettings, run: Path, *, held: np.ndarray,
    targets: np.ndarray | None = None, teacher: str = "the model itself", pairs: PairSet | None = None,
    strangers_held: bool = False, device: str = "cpu", resume: bool = False,
) -> Finetuned | None:  # fmt: skip
    """Train on all faces that are not held out.

    Args:
        embedder: the backbone; it is not changed.
        faces: the faces with their pixels.
        settings: see :class:`BackboneSettings`.
        run: folder for checkpoints and logs.
        held: bool ``[n]``, held-out faces.
        targets: float32 ``[2, n, dim]``, embeddings for the distillation; by default the backbone's own.
        teacher: origin of ``targets``, for the record.
        pairs: validation pairs for choosing the best epoch; the original model is a candidate too. Without pairs the last
            epoch is taken.
        strangers_held: whether all images of the held-out people are in ``held``, so that thresholds can be computed.
        device: see :func:`lrface.train.run.train`; one process.
        resume: continue from the run's last checkpoint.

    Returns:
        None if it was interrupted.

    Raises:
        LrfaceError: the backbone cannot be trained, the folder holds another run, or the loss is not finite.
    """
    source = module_of(embedder)
    fabric = make_fabric(device, settings.precision)
    if fabric.world_size > 1:
        raise LrfaceError("finetuning runs in one process: start it without torchrun")
    fabric.launch()
    split = _split(faces, held)
    module = copy.deepcopy(source).cpu()
    recipe = _recipe(module, settings, len(split.train), embedder.preprocessing.input_size, teacher)
    _claim(run, {"faces": faces.fingerprint, "model": embedder.fingerprint, "held": _digest([held])}, settings, resume)
    loop = _build(recipe, settings, module, embedder, faces, split, targets, pairs, fabric, run)
    if resume:
        loop.load(LAST)
    elif pairs is not None:
        _begin_with(loop, pairs)
    batch = recipe.optim.batch_size
    with RunLog(run, loop.total_steps * batch, loop.progress.step * batch, loop.progress.step, True) as log:
        if not loop.run(log):
            return None
    history = loop.progress.history
    if (run / BEST).exists():
        loop.load(BEST)
    network = TorchNetwork(copy.deepcopy(loop.student()).to(memory_format=torch.contiguous_format), str(fabric.device))
    tuned = Embedder(network, embedder.preprocessing, state_digest(network.module), {})
    thresholds = calibrate(tuned, recipe, _InMemory(faces), split, None) if strangers_held else {}
    epoch = loop.progress.step // loop.batches.steps
    return Finetuned(tuned, recipe.model_dump(mode="json"), history, thresholds, epoch)


def _split(faces: KnownFaces, held: np.ndarray) -> Split:
    train = np.flatnonzero(~held)
    known, labels = np.unique(faces.labels[train], return_inverse=True)
    holdout = np.flatnonzero(held)
    return Split(train, labels, len(known), holdout, faces.labels[holdout])


def _recipe(module: nn.Module, settings: BackboneSettings, images: int, side: int, teacher: str) -> Recipe:
    if images < 2:
        raise LrfaceError(f"{images} images are left to train the backbone on: two or more are needed")
    spec, epochs = spec_of(module), settings.epochs_for(images)
    views = AugmentSection(
        source_size=SOURCE_SIZE, probability=0.8, rotate=6, scale=0.08, shift=0.04, brightness=0.1, contrast=0.2,
        grey=0.1, noise=0.02, erase=0.1,
    )  # fmt: skip
    return Recipe(
        name="finetune",
        data=DataSection(store="the faces that the card names"),
        model=ModelSection(name=spec.name, kw=spec.kw),
        teacher=TeacherSection(model=teacher) if settings.distil else None,
        loss=LossSection(
            classification=ClassificationSection(kind="cosface", scale=settings.scale, margin=settings.margin),
            cosine=RegressionSection(weight=settings.distil) if settings.distil else None,
        ),
        augment=views if side <= LOW_SIDE else AugmentSection(),
        optim=OptimSection(
            epochs=epochs, batch_size=min(settings.batch_size, images), lr=settings.lr, schedule="cosine",
            warmup_epochs=min(0.5, epochs / 4), clip_norm=5.0,
        ),
        seed=settings.seed,
        precision=settings.precision,
    )  # fmt: skip


def _build(
    recipe: Recipe, settings: BackboneSettings, module: nn.Module, embedder: Embedder, faces: KnownFaces, split: Split,
    targets: np.ndarray | None, pairs: PairSet | None, fabric: Any, run: Path,
) -> Loop:  # fmt: skip
    dim = int(module.embedding_dim)  # type: ignore[arg-type]
    targets = faces.views if targets is None else targets
    if settings.distil and targets.shape[2] != dim:
        raise LrfaceError(
            f"the teacher's embeddings have {targets.shape[2]} numbers and the model's {dim}: choose another --teacher, "
            "or keep near the model itself"
        )
    torch.manual_seed(settings.seed)
    freeze(module, settings.unfreeze)
    objective = _Objective(module, recipe.loss, split.classes, len(split.train), dim)
    assert objective.head is not None
    with torch.no_grad():
        objective.head.weight.copy_(_class_means(faces.embeddings[split.train], split))
    pictures, section = _InMemory(faces), recipe.augment
    batches = Batches(
        faces=LowFaces(pictures, split, fabric.device),
        targets=TeacherTargets(targets, None, split, fabric.device) if settings.distil else None,
        views=None if section.only_flips else RandomViews(pictures, split, section, fabric.device),
        split=split, section=section, size=embedder.preprocessing.input_size, batch_size=recipe.optim.batch_size,
        seed=settings.seed, rank=0, world=1, device=fabric.device,
    )  # fmt: skip
    return Loop(recipe, fabric, objective, batches, embedder.preprocessing, pairs, faces.fingerprint, run)


def _begin_with(loop: Loop, pairs: PairSet) -> None:
    """Make the original model the first candidate for the best epoch."""
    result = validate(loop.embedder(), pairs)
    values = {"accuracy": result.accuracy, "std": result.std, "auc": result.auc, "eer": result.eer}
    loop.progress.history.append({"epoch": 0, **values})
    loop.progress.best = result.accuracy + 1e-9  # equal means over folds can differ by rounding
    loop.save(BEST)


def _class_means(embeddings: np.ndarray, split: Split) -> Tensor:
    sums = np.zeros((split.classes, embeddings.shape[1]), np.float32)
    np.add.at(sums, split.labels, embeddings)
    return F.normalize(torch.from_numpy(normalised(sums)))


def _claim(run: Path, facts: dict[str, Any], settings: BackboneSettings, resume: bool) -> None:
    """Record the inputs of a run, or check that a run to be resumed has the same."""
    facts = {**facts, **asdict(replace(settings, epochs=None))}
    if not resume:
        if (run / LAST).exists():
            raise LrfaceError(f"{run} holds a run that has not ended: --resume goes on with it, or remove that folder")
        (run / BEST).unlink(missing_ok=True)  # left by a run that was killed before it wrote a last one
        write_json(run / FACTS, facts)
        return
    if not (run / LAST).exists():
        raise LrfaceError(f"nothing to resume: {run / LAST} does not exist")
    before = read_json(run / FACTS)
    different = [key for key, value in facts.items() if before.get(key) != value]
    if different:
        raise LrfaceError(
            f"{run} was begun with other {', '.join(different)}: resume with those, or remove that folder"
        )


def state_digest(module: nn.Module) -> str:
    """SHA-256 of the weights of a module that is not in a file."""
    return _digest([tensor.detach().cpu().numpy() for tensor in module.state_dict().values()])


def _digest(arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

"""The training objective, Eq. 13: the losses, their weights, and the embeddings that they compare."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface import losses
from lrface.errors import LrfaceError
from lrface.losses.method import Outputs, Setting, Shape
from lrface.losses.split_margin import SplitMargin
from lrface.losses.terms import build_terms, needs_logits
from lrface.train.batches import Batch
from lrface.train.recipe import LossSection
from lrface.train.split import Split

#: From this number of channels on, a network uses the channels-last layout. It is a quarter faster on CPUs and suits tensor
#: cores. With fewer channels, oneDNN's gradient of a strided 1x1 convolution in this layout writes out of bounds.
CHANNELS_LAST = 16

#: The outputs of a face teacher and its student that are available to ``loss.methods``.
GIVEN = ("logits", "embedding")


class Objective(nn.Module):
    """The student with all modules that are trained beside it and not needed afterwards.

    Args:
        student: the network.
        section: the recipe's terms.
        classes: number of training identities.
        images: number of training images, the cardinality m of Eq. 10.
        teacher_dim: length of the teacher's embeddings; None without a teacher.
        teacher_classifier: float32 ``[classes, teacher_dim]``, the teacher's classifier, for terms that read logits.
        labels: int64 ``[images]``, labels of the training images, for ``loss.methods``.

    Raises:
        LrfaceError: a term's settings are out of range, or embeddings that are compared differ in length.
    """

    def __init__(
        self, student: nn.Module, section: LossSection, classes: int, images: int,
        teacher_dim: int | None = None, teacher_classifier: Tensor | None = None, labels: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layout = layout_of(student)
        self.student = student.to(memory_format=self.layout)
        # In a list, because it would otherwise become a second submodule.
        self._call: list[Callable[[Tensor], Tensor]] = [self.student]
        self.section = section
        dim = int(student.embedding_dim)  # type: ignore[arg-type]
        self.head: losses.ArcFace | losses.CosFace | SplitMargin | None = None
        self.logits = needs_logits(section.methods)
        if section.classification or section.kd or self.logits:
            kind = section.classification
            make = losses.CosFace if kind and kind.kind == "cosface" else losses.ArcFace
            self.head = make(classes, dim, kind.scale, kind.margin) if kind else make(classes, dim)
        if section.kd:
            self.kd = losses.KD(section.kd.temperature)
        if section.kd or self.logits:
            self.register_buffer("teacher_classifier", teacher_classifier)
        if section.crrcd:
            options = section.crrcd.model_dump(exclude={"weight", "lr"})
            self.crrcd = losses.CRRCD(cardinality=images, teacher_dim=teacher_dim or dim, student_dim=dim, **options)
        if section.cosine:
            check_lengths(section, teacher_dim, dim)
            self.cosine = losses.CosineRegression()
        assert labels is not None or not section.methods
        labels = torch.empty(0, dtype=torch.int64) if labels is None else labels
        setting = Setting(Shape(embedding=dim), Shape(embedding=teacher_dim), labels)
        self.methods, self.weights = build_terms(section.methods, setting, GIVEN)

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the unweighted terms, with their weighted sum as ``loss``, and the student's embeddings ``[b, dim]``."""
        embeddings = self._call[0](batch.pixels.contiguous(memory_format=self.layout))
        terms: dict[str, Tensor] = {}
        total = embeddings.new_zeros((), dtype=torch.float32)
        for weight, value, parts in self._terms(batch, embeddings):
            terms |= parts
            total = total + weight * value
        return {"loss": total, **terms}, embeddings

    def split(self) -> None:
        """Keep only this process's part of the classifier's centres, and make DDP ignore them."""
        assert isinstance(self.head, losses.ArcFace | losses.CosFace)
        self.head = SplitMargin(self.head)
        nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, SplitMargin.own(self))

    def compile(self) -> None:
        """Use a student compiled by ``torch.compile``. The names and values of its weights do not change."""
        self._call = [torch.compile(self.student, dynamic=False)]

    def _terms(self, batch: Batch, embeddings: Tensor) -> list[tuple[float, Tensor, dict[str, Tensor]]]:
        """Weight and value of each term, and its logged values by name."""
        section, result = self.section, []
        known = batch.labels >= 0  # the other faces have no identity
        if section.classification and self.head is not None:
            if isinstance(self.head, SplitMargin):  # every process takes part, even without labelled faces
                value = self.head(embeddings, batch.labels)
            elif bool(known.any()):
                value = self.head(embeddings[known], batch.labels[known])
            else:
                value = embeddings.sum() * 0
            result.append((section.classification.weight, value, {"classification": value}))
        if batch.teacher is None:
            return result
        if section.kd and self.head is not None:
            if bool(known.any()):
                assert not isinstance(self.head, SplitMargin)
                value = self.kd(self.head.logits(embeddings[known]), self._teacher_logits(batch.teacher[known]))
            else:
                value = embeddings.sum() * 0
            result.append((section.kd.weight, value, {"kd": value}))
        if section.crrcd:
            found = self.crrcd.terms(embeddings, batch.teacher, _own(batch.labels, batch.index), batch.index)
            parts = {"crrcd_positive": found.positive, "crrcd_negative": found.negative}
            result.append((section.crrcd.weight, found.total, parts))
        if section.cosine:
            value = self.cosine(embeddings, batch.teacher)
            result.append((section.cosine.weight, value, {"cosine": value}))
        return result + self._method_terms(batch, embeddings, batch.teacher, known)

    def _method_terms(
        self, batch: Batch, embeddings: Tensor, teacher: Tensor, known: Tensor
    ) -> list[tuple[float, Tensor, dict[str, Tensor]]]:
        """``_terms`` for ``loss.methods``. Methods that read logits get only faces with an identity."""
        result = []
        for name, method in self.methods.items():
            rows = known if "logits" in method.needs else torch.ones_like(known)  # type: ignore[operator]
            if bool(rows.any()):
                pair = self._outputs(embeddings[rows], teacher[rows])
                value = method(*pair, batch.labels[rows], batch.index[rows])
            else:
                value = embeddings.sum() * 0
            result.append((self.weights[name], value, {name: value}))
        return result

    def _outputs(self, embeddings: Tensor, teacher: Tensor) -> tuple[Outputs, Outputs]:
        """The outputs of the student and of the teacher for methods. A face teacher gives no feature maps."""
        if not self.logits or self.head is None:
            return Outputs(embedding=embeddings), Outputs(embedding=teacher)
        assert not isinstance(self.head, SplitMargin)
        logits = self.head.logits(embeddings), self._teacher_logits(teacher)
        return Outputs(logits[0], embeddings), Outputs(logits[1], teacher)

    def _teacher_logits(self, teacher: Tensor) -> Tensor:
        assert self.head is not None
        return self.head.scale * F.linear(F.normalize(teacher), self.teacher_classifier)  # type: ignore[arg-type]

    def critic_parameters(self) -> list[nn.Parameter]:
        """Parameters of the relation modules of CRRCD; empty without it."""
        return list(self.crrcd.parameters()) if self.section.crrcd else []

    def remember(self, embeddings: Tensor, labels: Tensor, index: Tensor) -> None:
        """After a step: add the samples of all processes to the queue, and update the banks of other methods."""
        if self.section.crrcd:
            self.crrcd.enqueue(embeddings, _own(labels, index), index)
        for method in self.methods.values():
            method.remember()  # type: ignore[operator]


def check_lengths(loss: LossSection, teacher: int | None, student: int) -> None:
    """Raise LrfaceError if a term compares embeddings of different lengths."""
    if loss.cosine and teacher != student:
        raise LrfaceError(
            f"loss.cosine compares embeddings of equal length: the teacher's have {teacher}, "
            f"the student's {student}; set model.kw.embedding_dim"
        )


def _own(labels: Tensor, index: Tensor) -> Tensor:
    """Labels in which each face without an identity has its own negative number."""
    return torch.where(labels < 0, -1 - index, labels)


def layout_of(student: nn.Module) -> torch.memory_format:
    """The memory layout of a network; see ``CHANNELS_LAST``."""
    channels = [module.out_channels for module in student.modules() if isinstance(module, nn.Conv2d)]
    return torch.channels_last if min(channels, default=0) >= CHANNELS_LAST else torch.contiguous_format


def class_mean_classifier(embeddings: np.ndarray, split: Split) -> Tensor:
    """Make a classifier for a teacher that has none for these identities, from the directions of its class means.

    Args:
        embeddings: float32 ``[2, N, dim]`` of the whole store, plain and flipped.
        split: the training images.

    Returns:
        float32 ``[classes, dim]``, rows of unit length.
    """
    sums = torch.zeros(split.classes, embeddings.shape[2])
    known = split.labels >= 0
    labels = torch.from_numpy(split.labels[known])
    for view in embeddings:
        sums.index_add_(0, labels, F.normalize(torch.from_numpy(view[split.train[known]])))
    return F.normalize(sums)

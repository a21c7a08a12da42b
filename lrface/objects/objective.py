"""The objective of an object run: cross-entropy and all distillation terms of the recipe."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface import losses
from lrface.errors import LrfaceError
from lrface.losses.method import Method, Outputs, Setting, Shape, part
from lrface.losses.terms import build_terms
from lrface.objects.batches import ObjectBatch
from lrface.objects.networks import ObjectNetwork
from lrface.objects.recipe import ObjectLoss
from lrface.train.objective import layout_of


class ObjectObjective(nn.Module):
    """The student, and the modules that are trained with it and discarded afterwards.

    Args:
        student: the network.
        section: the terms of the recipe.
        setting: sizes of both networks' outputs, and the training labels.

    Attributes:
        before: whether the preliminary stage runs. Only methods with such a stage count in it.
        head: None: the networks have their own classifiers.
    """

    def __init__(self, student: ObjectNetwork, section: ObjectLoss, setting: Setting) -> None:
        super().__init__()
        self.layout = layout_of(student)
        self.student = student.to(memory_format=self.layout)
        # A list, because a compiled function would be registered as a second submodule.
        self._outputs = [student.outputs]
        self.section, self.before, self.head = section, False, None
        self.methods, self.weights = build_terms(section.methods, setting)
        self.rotated = any(each.rotated for each in self.each_method())
        self.staged = any(each.staged for each in self.each_method())
        self.kd = losses.KD(section.kd.temperature) if section.kd else None
        self.cosine = losses.CosineRegression() if section.cosine else None
        self.crrcd: losses.CRRCD | None = None
        ours, theirs = setting.student.embedding, setting.teacher.embedding
        if section.crrcd and ours and theirs:
            options = section.crrcd.model_dump(exclude={"weight", "lr"})
            self.crrcd = losses.CRRCD(len(setting.labels), theirs, ours, **options)
        if section.cosine and ours != theirs:
            raise LrfaceError(
                f"loss.cosine compares embeddings of equal length: the teacher's have {theirs}, the student's {ours}"
            )

    def compile(self) -> None:
        """Compile the student by ``torch.compile``. Its weights and their names do not change."""
        self._outputs = [torch.compile(self.student.outputs, dynamic=False)]

    def each_method(self) -> list[Method]:
        """The methods of ``loss.methods``."""
        return [cast(Method, each) for each in self.methods.values()]

    def forward(self, batch: ObjectBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the loss of a batch.

        Returns:
            The unweighted terms and their weighted sum as ``loss``, and the student's embeddings ``[b, dim]``.
        """
        turned = self._outputs[0](batch.pixels.contiguous(memory_format=self.layout))
        plain = _plain(turned, self.rotated)
        found = self._before(batch, turned, plain) if self.before else self._terms(batch, turned, plain)
        embeddings: Tensor = part(plain, "embedding")
        total = embeddings.new_zeros((), dtype=torch.float32)
        terms: dict[str, Tensor] = {}
        for weight, value, parts in found:
            terms |= parts
            total = total + weight * value
        return {"loss": total, **terms}, embeddings

    def _terms(
        self, batch: ObjectBatch, turned: Outputs, plain: Outputs
    ) -> list[tuple[float, Tensor, dict[str, Tensor]]]:
        """For each term: its weight, its value, and the values to log by name."""
        section = self.section
        value = F.cross_entropy(part(plain, "logits").float(), batch.labels)
        result = [(section.classification, value, {"classification": value})]
        if batch.teacher is None:
            return result
        teacher = _plain(batch.teacher, self.rotated)
        if section.kd and self.kd is not None:
            value = self.kd(part(plain, "logits"), part(teacher, "logits"))
            result.append((section.kd.weight, value, {"kd": value}))
        ours, theirs = part(plain, "embedding"), part(teacher, "embedding")
        if section.crrcd and self.crrcd is not None:
            terms = self.crrcd.terms(ours, theirs, batch.labels, batch.index)
            logged = {"crrcd_positive": terms.positive, "crrcd_negative": terms.negative}
            result.append((section.crrcd.weight, terms.total, logged))
        if section.cosine and self.cosine is not None:
            value = self.cosine(ours, theirs)
            result.append((section.cosine.weight, value, {"cosine": value}))
        for each in self.each_method():
            pair = (turned, batch.teacher) if each.rotated else (plain, teacher)
            value = each(*pair, batch.labels, batch.index)
            result.append((self.weights[each.name], value, {each.name: value}))
        return result

    def _before(
        self, batch: ObjectBatch, turned: Outputs, plain: Outputs
    ) -> list[tuple[float, Tensor, dict[str, Tensor]]]:
        assert batch.teacher is not None
        result = []
        for each in self.each_method():
            if each.staged:
                pair = (turned, batch.teacher) if each.rotated else (plain, _plain(batch.teacher, self.rotated))
                value = each.before(*pair, batch.labels, batch.index)
                result.append((1.0, value, {f"{each.name}_before": value}))
        return result

    def critic_parameters(self) -> list[nn.Parameter]:
        """Parameters of the relation modules of CRRCD; empty without CRRCD."""
        return [] if self.crrcd is None else list(self.crrcd.parameters())

    def remember(self, embeddings: Tensor, labels: Tensor, index: Tensor) -> None:
        """Update the queue and the memory banks with the samples of a finished step."""
        if self.before:
            return
        if self.crrcd is not None:
            self.crrcd.enqueue(embeddings, labels, index)
        for each in self.each_method():
            each.remember()


def setting_of(
    student: ObjectNetwork, teacher: ObjectNetwork | None, sides: tuple[int, int], labels: Tensor
) -> Setting:
    """The sizes that methods need: shapes of both networks' outputs for pictures of ``sides`` (student's, teacher's).

    Raises:
        LrfaceError: teacher and student have different numbers of classes.
    """
    shapes = []
    for network, side in zip((student, teacher), sides, strict=True):
        if network is None:
            shapes.append(Shape())
            continue
        with torch.no_grad():
            shapes.append(Shape.of(network.eval().outputs(torch.zeros(1, 3, side, side))))
    student.train()
    if teacher is not None and teacher.fc.out_features != student.fc.out_features:
        raise LrfaceError(
            f"the teacher has {teacher.fc.out_features} classes and the training set {student.fc.out_features}: "
            "choose a teacher of this set"
        )
    return Setting(shapes[0], shapes[1], labels)


def _plain(outputs: Outputs, rotated: bool) -> Outputs:
    """The outputs for the upright pictures only, if the batch has four orientations."""
    return outputs.convert(lambda tensor: tensor[::4]) if rotated else outputs

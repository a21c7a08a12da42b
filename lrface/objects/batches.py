"""Training batches: the student's pixels, and the teacher's outputs for the same pictures at full size."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lrface.losses.method import Outputs
from lrface.objects.data import Pictures
from lrface.objects.networks import ObjectNetwork
from lrface.objects.recipe import ObjectAugment
from lrface.objects.teacher_cache import TeacherCache
from lrface.objects.view import View, augment, planes, turned
from lrface.train.batches import normalise, seeded
from lrface.train.objective import layout_of


class ObjectBatch:
    """The samples of one step, on the training device. It is not a dataclass: mixed precision would convert its fields.

    Attributes:
        pixels: float32 ``[b, 3, s, s]``, or ``[4 b, ...]`` if each picture comes in four orientations.
        labels: int64 ``[b]``.
        index: int64 ``[b]``, positions among the training pictures.
        teacher: outputs of the teacher for the same augmented pictures; None without a teacher.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, index: Tensor, teacher: Outputs | None) -> None:
        self.pixels, self.labels, self.index, self.teacher = pixels, labels, index, teacher


@dataclass
class ObjectBatches:
    """The batches of a run. They depend only on the seed, the epoch and the step. All pictures lie on the device.

    Attributes:
        pictures: training pictures.
        view: of the student. The teacher gets the pictures at their own size.
        teacher: or None.
        section: the augmentation.
        rotated: give each picture in four orientations.
        batch_size, seed, device: of the run.
        cache: stored outputs of the teacher; None: the teacher runs at every step.
    """

    pictures: Pictures
    view: View
    teacher: ObjectNetwork | None
    section: ObjectAugment
    rotated: bool
    batch_size: int
    seed: int
    device: torch.device
    cache: TeacherCache | None = None

    def __post_init__(self) -> None:
        self._pixels = planes(self.pictures.images, self.device)
        self._labels = torch.from_numpy(self.pictures.labels)
        if self.teacher is not None:
            self._layout = layout_of(self.teacher)
            self.teacher = self.teacher.to(self.device).to(memory_format=self._layout).eval().requires_grad_(False)

    @property
    def steps(self) -> int:
        """Number of steps in an epoch. Pictures that do not fill a last batch are dropped in this epoch."""
        return len(self.pictures) // self.batch_size

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[ObjectBatch]:
        """The batches of an epoch, from step ``first_step`` on."""
        order = torch.randperm(len(self.pictures), generator=seeded(self.seed, epoch, 0))
        for step in range(first_step, self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            generator = seeded(self.seed, epoch, step + 1)
            labels, index = self._labels[index].to(self.device), index.to(self.device)
            pictures, mirrored = augment(self._pixels[index], self.section.crop, self.section.flip, generator)
            if self.rotated:
                pictures = turned(pictures)
            taught = self._teach(pictures) if self.cache is None else self.cache.of(index, mirrored)
            yield ObjectBatch(normalise(self.view(pictures)), labels, index, taught)

    @torch.no_grad()
    def _teach(self, pictures: Tensor) -> Outputs | None:
        if self.teacher is None:
            return None
        return self.teacher.outputs(normalise(pictures).contiguous(memory_format=self._layout))

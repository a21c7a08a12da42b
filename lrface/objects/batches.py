"""What a step gets: pixels of the student, and what the teacher says of the same pictures at full size."""

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
    """One step's samples on the training device. Not a dataclass: mixed precision would convert what is in it.

    Attributes:
        pixels: float32 ``[b, 3, s, s]``, or ``[4 b, ...]`` with each picture in four turns.
        labels: int64 ``[b]``.
        index: int64 ``[b]``, numbers among the training pictures.
        teacher: its outputs, of the same augmented pictures; None without one.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, index: Tensor, teacher: Outputs | None) -> None:
        self.pixels, self.labels, self.index, self.teacher = pixels, labels, index, teacher


@dataclass
class ObjectBatches:
    """The order of a run: a function of the seed, the epoch and the step alone. All pictures lie on the device.

    Attributes:
        pictures: to train on.
        view: of the student; the teacher sees the pictures as they are.
        teacher: or None.
        section: the augmentation.
        rotated: give each picture in four turns.
        batch_size, seed, device: of the run.
        cache: what the teacher says, if it is not to be asked at every step.
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
        """Steps of an epoch; the pictures that do not fill a batch wait for another epoch's order."""
        return len(self.pictures) // self.batch_size

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[ObjectBatch]:
        """The batches of an epoch from ``first_step`` on."""
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

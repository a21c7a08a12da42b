"""Batches of a training step: pixels, labels, teacher embeddings. Low-resolution images are kept in the device's memory."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lrface.data.store import Store
from lrface.faces.degrade import Degradation, resize
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.train.augment import degrade_views, draw
from lrface.train.interrupt import Interrupt
from lrface.train.recipe import AugmentSection
from lrface.train.split import Split


class Batch:
    """The samples of one step on the training device.

    It is neither a dataclass nor a tuple, because mixed precision would convert the tensors in these, including the
    teacher's embeddings.

    Attributes:
        pixels: float32 ``[b, 3, side, side]``, normalised, with flips applied.
        labels: int64 ``[b]``.
        index: int64 ``[b]``, the samples' numbers among the training images.
        teacher: float32 ``[b, dim]``, embeddings of the equally flipped crops; None without a teacher.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, index: Tensor, teacher: Tensor | None) -> None:
        self.pixels, self.labels, self.index, self.teacher = pixels, labels, index, teacher


class Faces(Protocol):
    """A source of stored images for training."""

    def batches(self, indices: list[Tensor]) -> Iterator[Tensor]:
        """Yield uint8 ``[b, 3, side, side]`` for each list of training images."""


class Pictures(Protocol):
    """The part of a :class:`Store` that low-resolution training needs. Finetuning has the same for faces in memory."""

    degradation: Degradation

    def low(self, indices: np.ndarray) -> np.ndarray:
        """See :meth:`lrface.data.store.Store.low`."""

    def crop(self, index: int) -> np.ndarray:
        """See :meth:`lrface.data.store.Store.crop`."""


class LowFaces:
    """The low-resolution images of all training faces, kept on the device."""

    def __init__(self, store: Pictures, split: Split, device: torch.device) -> None:
        self._low = _planes(store.low(split.train)).to(device)

    def batches(self, indices: list[Tensor]) -> Iterator[Tensor]:
        """See :class:`Faces`."""
        return (self._low[index.to(self._low.device)] for index in indices)


class RandomViews:
    """Random low-resolution views, made from larger crops that are kept on the device."""

    def __init__(self, store: Pictures, split: Split, section: AugmentSection, device: torch.device) -> None:
        self._section, self._size = section, store.degradation.size
        self._source = _load_source(store, split.train, section.source_size).to(device)

    def __call__(self, stored: Tensor, index: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Select per sample the ``stored`` image or a random view: uint8 ``[b, 3, side, side]``."""
        here = {key: value.to(stored.device) for key, value in drawn.items()}
        views = degrade_views(self._source[index.to(stored.device)], here, self._section, self._size)
        return torch.where(here["used"][:, None, None, None], views, stored)


class HighFaces:
    """Aligned crops, decoded by worker processes while the network computes."""

    def __init__(self, store: Store, split: Split, preprocessing: Preprocessing, workers: int) -> None:
        self._crops = _Crops(store, split.train, preprocessing)
        self._workers = workers

    def batches(self, indices: list[Tensor]) -> Iterator[Tensor]:
        """See :class:`Faces`."""
        loader = torch.utils.data.DataLoader(
            self._crops,
            batch_sampler=[index.tolist() for index in indices],
            num_workers=self._workers,
            worker_init_fn=_leave_signals_to_the_parent,
            # The data loader would otherwise use the global generator and change the state after resuming.
            generator=torch.Generator(),
        )
        yield from loader


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ignore Ctrl-C in a worker. It reaches all processes of the terminal, but the parent needs its workers to finish the step."""
    for number in Interrupt.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Crops(torch.utils.data.Dataset[Tensor]):
    def __init__(self, store: Store, images: np.ndarray, preprocessing: Preprocessing) -> None:
        self._store, self._images, self._preprocessing = store, images, preprocessing

    def __getitem__(self, index: int) -> Tensor:
        crop = self._preprocessing.fit(self._store.crop(int(self._images[index])))
        return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))


class TeacherTargets:
    """The teacher's embeddings of training images: from memory (``cached``), or computed from the crops in every step."""

    def __init__(
        self, cached: np.ndarray | None, online: tuple[Store, Embedder] | None, split: Split, device: torch.device
    ):
        self._images = split.train
        self._device = device
        self._online = online
        self._cached = None if cached is None else torch.from_numpy(cached[:, split.train]).to(device)

    def __call__(self, index: Tensor, flip: Tensor) -> Tensor:
        """float32 ``[b, dim]`` for int64 ``[b]`` training images and their flips, bool ``[b]``."""
        if self._cached is not None:
            return self._cached[flip.long().to(self._device), index.to(self._device)]
        assert self._online is not None
        store, teacher = self._online
        crops = [store.crop(int(self._images[i])) for i in index]
        turned = [crop[:, ::-1] if mirrored else crop for crop, mirrored in zip(crops, flip.tolist(), strict=True)]
        return torch.from_numpy(teacher.embed(turned)).to(self._device)


@dataclass(frozen=True)
class Batches:
    """The data loader of a run. The order of samples depends only on the seed, the epoch and the step.

    Attributes:
        faces, targets: images and teacher embeddings; ``targets`` may be None.
        views: random views, or None to use the stored images.
        split: labels.
        section: settings of flips and of ``views``.
        size: side of the images in pixels.
        batch_size: of all processes together.
        seed: of the run.
        rank, world: number of this process and of all processes; its samples are every ``world``-th of a batch.
        device: the device of the batches.
    """

    faces: Faces
    targets: TeacherTargets | None
    views: RandomViews | None
    split: Split
    section: AugmentSection
    size: int
    batch_size: int
    seed: int
    rank: int
    world: int
    device: torch.device

    @property
    def steps(self) -> int:
        """Steps of an epoch. Images that do not fill the last batch are skipped; each epoch has another order."""
        return len(self.split.train) // self.batch_size

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, beginning with ``first_step``."""
        order = torch.randperm(len(self.split.train), generator=seeded(self.seed, epoch, 0))
        indices = [
            order[step * self.batch_size : (step + 1) * self.batch_size][self.rank :: self.world]
            for step in range(first_step, self.steps)
        ]
        labels = torch.from_numpy(self.split.labels)
        for step, stored in enumerate(self.faces.batches(indices), start=first_step):
            index = indices[step - first_step]
            generator = seeded(self.seed, epoch, step + 1)
            drawn = draw(self.section, self.batch_size, self.size, generator)
            mine = {key: value[self.rank :: self.world] for key, value in drawn.items()}
            pixels = stored.to(self.device, non_blocking=True)
            if self.views is not None:
                pixels = self.views(pixels, index, mine)
            pixels = torch.where(mine["flip"].to(self.device)[:, None, None, None], pixels.flip(-1), pixels)
            teacher = None if self.targets is None else self.targets(index, mine["flip"])
            yield Batch(normalise(pixels), labels[index].to(self.device), index.to(self.device), teacher)


def normalise(pixels: Tensor) -> Tensor:
    """Convert uint8 to float32 from -1 to 1, the input of all lrface networks."""
    return pixels.float().sub_(127.5).mul_(1 / 127.5)


def seeded(*key: int) -> torch.Generator:
    """A separate generator for every (seed, epoch, step)."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _planes(images: np.ndarray) -> Tensor:
    """Convert uint8 ``[n, h, w, 3]`` to ``[n, 3, h, w]``."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _load_source(store: Pictures, images: np.ndarray, size: int) -> Tensor:
    """Read aligned crops and reduce them to ``size``: uint8 ``[n, 3, size, size]``."""
    result = np.empty((len(images), 3, size, size), np.uint8)

    def load(position: int) -> None:
        result[position] = resize(store.crop(int(images[position])), size).transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(load, range(len(images)), chunksize=64):
            pass
    return torch.from_numpy(result)

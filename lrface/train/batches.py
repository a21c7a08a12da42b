"""What a training step gets: pixels, labels, the teacher's embeddings. Low resolution lives in the device's memory."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lrface.data.prefetch import prefetched_map
from lrface.data.store import Store
from lrface.faces.degrade import Degradation, resize
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.train.augment import degrade_views, draw, to_device
from lrface.train.interrupt import Interrupt
from lrface.train.recipe import AugmentSection
from lrface.train.split import Split

#: Faces whose views a GPU makes together: with 112 px crops and their float copies 0.6 GB.
AHEAD = 2048


class Batch:
    """One step's samples on the training device.

    Not a dataclass or a tuple: mixed precision would convert the tensors in it, the teacher's embeddings too.

    Attributes:
        pixels: float32 ``[b, 3, side, side]``, normalised, flips applied.
        labels: int64 ``[b]``.
        index: int64 ``[b]``, the samples' numbers among the training images.
        teacher: float32 ``[b, dim]``, of the equally flipped crops; None without a teacher.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, index: Tensor, teacher: Tensor | None) -> None:
        self.pixels, self.labels, self.index, self.teacher = pixels, labels, index, teacher


class Faces(Protocol):
    """Where stored pixels come from."""

    def batches(self, indices: list[Tensor]) -> Iterator[Tensor]:
        """uint8 ``[b, 3, side, side]`` for each list of training images."""


class Pictures(Protocol):
    """What is needed of a :class:`Store` to train at low resolution; finetuning has its faces in memory alone."""

    degradation: Degradation

    def low(self, indices: np.ndarray) -> np.ndarray:
        """See :meth:`lrface.data.store.Store.low`."""

    def crop(self, index: int) -> np.ndarray:
        """See :meth:`lrface.data.store.Store.crop`."""


class LowFaces:
    """The low-resolution pixels of all training images, held on the device."""

    def __init__(self, store: Pictures, split: Split, device: torch.device) -> None:
        self._low = _planes(store.low(split.train)).to(device)

    def batches(self, indices: list[Tensor]) -> Iterator[Tensor]:
        """See :class:`Faces`."""
        return (self._low[to_device(index, self._low.device)] for index in indices)


class RandomViews:
    """Random low-resolution views instead of the stored ones, made from larger crops held on the device."""

    def __init__(self, store: Pictures, split: Split, section: AugmentSection, device: torch.device) -> None:
        self._section, self._size = section, store.degradation.size
        self._source = _load_source(store, split.train, section.source_size).to(device)

    def __call__(self, stored: Tensor, index: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """uint8 ``[b, 3, side, side]``: the ``stored`` pixels, or a view where one is drawn."""
        here = {k: v if k in ("side", "kernel") else to_device(v, stored.device) for k, v in drawn.items()}
        views = degrade_views(self._source[to_device(index, stored.device)], here, self._section, self._size)
        return torch.where(here["used"][:, None, None, None], views, stored)


class HighFaces:
    """Aligned crops, decoded by worker processes while the network works."""

    def __init__(self, store: Pictures, split: Split, preprocessing: Preprocessing, workers: int) -> None:
        self._crops = _Crops(store, split.train, preprocessing)
        self._workers = workers

    def batches(self, indices: list[Tensor]) -> Iterator[Tensor]:
        """See :class:`Faces`."""
        loader = torch.utils.data.DataLoader(
            self._crops,
            batch_sampler=[index.tolist() for index in indices],
            num_workers=self._workers,
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # it would draw from the global one, which resuming would then see
        )
        yield from loader


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the parent finishes its step and saves, and needs its workers for that."""
    for number in Interrupt.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Crops(torch.utils.data.Dataset[Tensor]):
    def __init__(self, store: Pictures, images: np.ndarray, preprocessing: Preprocessing) -> None:
        self._store, self._images, self._preprocessing = store, images, preprocessing

    def __getitem__(self, index: int) -> Tensor:
        crop = self._preprocessing.fit(self._store.crop(int(self._images[index])))
        return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))


class TeacherTargets:
    """The teacher's embeddings of training images: from memory (``cached``), or from the crops in every step."""

    def __init__(
        self, cached: np.ndarray | None, online: tuple[Store, Embedder] | None, split: Split, device: torch.device
    ):
        self._images = split.train
        self._device = device
        self._online = online
        self._cached = None if cached is None else torch.from_numpy(cached[:, split.train]).to(device)

    def __call__(self, index: Tensor, flip: Tensor) -> Tensor:
        """float32 ``[b, dim]`` for int64 ``[b]`` training images and their flips."""
        if self._cached is not None:
            return self._cached[to_device(flip.long(), self._device), to_device(index, self._device)]
        assert self._online is not None
        store, teacher = self._online
        crops = [store.crop(int(self._images[i])) for i in index]
        turned = [crop[:, ::-1] if mirrored else crop for crop, mirrored in zip(crops, flip.tolist(), strict=True)]
        return torch.from_numpy(teacher.embed(turned)).to(self._device)


@dataclass(frozen=True)
class Batches:
    """The order of a run: a function of the seed, the epoch and the step alone.

    Attributes:
        faces, targets: pixels and teacher; ``targets`` may be None.
        views: random views, or None where the stored pixels serve.
        split: labels.
        section: flips, and what ``views`` draws.
        size: side of the pixels.
        batch_size: of all processes together.
        seed: of the run.
        rank, world: this process; its samples are every ``world``-th of a batch.
        device: where batches go.
        ahead: how many steps' batches are made at once: a GPU takes as long to start the making of one as to make a
            dozen. The batches are the same.
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
    ahead: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch; the images that do not fill a batch wait for another epoch's order."""
        return len(self.split.train) // self.batch_size

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``first_step`` on."""
        order = torch.randperm(len(self.split.train), generator=seeded(self.seed, epoch, 0))
        indices = [
            order[step * self.batch_size : (step + 1) * self.batch_size][self.rank :: self.world]
            for step in range(first_step, self.steps)
        ]
        groups = [indices[start : start + self.ahead] for start in range(0, len(indices), self.ahead)]
        stored = self.faces.batches([torch.cat(group) for group in groups])
        for group, pixels, drawn in zip(groups, stored, self._drawn(epoch, first_step), strict=True):
            yield from self._make(group, pixels, drawn)

    def _drawn(self, epoch: int, first_step: int) -> Iterator[dict[str, Tensor]]:
        """What happens to this process's samples, ``ahead`` steps at a time."""

        def several(first: int) -> dict[str, Tensor]:
            steps = range(first, min(first + self.ahead, self.steps))
            drawn = [draw(self.section, self.batch_size, self.size, seeded(self.seed, epoch, n + 1)) for n in steps]
            return {key: torch.cat([each[key][self.rank :: self.world] for each in drawn]) for key in drawn[0]}

        groups = range(first_step, self.steps, self.ahead)
        if self.ahead == 1:
            yield from map(several, groups)
        else:  # beside the steps, which leave the CPU waiting for a GPU, or starting its kernels
            with ThreadPoolExecutor(1) as pool:
                yield from prefetched_map(pool, several, groups, 2)

    def _make(self, group: list[Tensor], stored: Tensor, drawn: dict[str, Tensor]) -> Iterator[Batch]:
        """The batches of some steps, of which ``stored`` and ``drawn`` hold the samples one after the other."""
        index = torch.cat(group)
        pixels = stored.to(self.device, non_blocking=True)
        if self.views is not None:
            pixels = self.views(pixels, index, drawn)
        flip = to_device(drawn["flip"], self.device)[:, None, None, None]
        pixels = normalise(torch.where(flip, pixels.flip(-1), pixels))
        labels = to_device(torch.from_numpy(self.split.labels)[index], self.device)
        teacher = None if self.targets is None else self.targets(index, drawn["flip"])
        at = to_device(index, self.device)
        start = 0
        for samples in group:
            rows = slice(start, start + len(samples))
            yield Batch(pixels[rows], labels[rows], at[rows], None if teacher is None else teacher[rows])
            start += len(samples)


def steps_ahead(device: torch.device, batch_size: int) -> int:
    """How many steps' batches to make at once: on CUDA as many as ``AHEAD`` faces fill, elsewhere one."""
    return max(AHEAD // batch_size, 1) if device.type == "cuda" else 1


def normalise(pixels: Tensor) -> Tensor:
    """uint8 to float32 from -1 to 1, as every network of ours takes it."""
    return pixels.float().sub_(127.5).mul_(1 / 127.5)


def seeded(*key: int) -> torch.Generator:
    """A generator of its own for every (seed, epoch, step)."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _planes(images: np.ndarray) -> Tensor:
    """uint8 ``[n, h, w, 3]`` to ``[n, 3, h, w]``."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _load_source(store: Pictures, images: np.ndarray, size: int) -> Tensor:
    """Aligned crops reduced to ``size``, uint8 ``[n, 3, size, size]``."""
    result = np.empty((len(images), 3, size, size), np.uint8)

    def load(position: int) -> None:
        result[position] = resize(store.crop(int(images[position])), size).transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(load, range(len(images)), chunksize=64):
            pass
    return torch.from_numpy(result)

"""First-in, first-out memory of student embeddings, from which contrastive losses draw their negatives."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lrface.losses.checks import at_least_float32, check_ids, check_matrix, positive_int


@dataclass(frozen=True)
class Samples:
    """K samples, newest first. ``filled`` is False for slots of the queue that are still empty."""

    embeddings: Tensor  # float [K, D]
    labels: Tensor  # int64 [K]
    index: Tensor  # int64 [K]
    filled: Tensor  # bool [K]


class SampleQueue(nn.Module):
    """Ring buffer of (embedding, label, sample id); the oldest sample leaves first.

    The whole state is in buffers, so that ``state_dict`` contains it and ``.to(device)`` moves it. Positions are tensors too:
    no method waits for an accelerator. All shapes are the same at every step, whether the queue is full or not.
    """

    embeddings: Tensor
    labels: Tensor
    index: Tensor
    pointer: Tensor
    filled: Tensor

    def __init__(self, capacity: int, dim: int) -> None:
        """Empty queue for ``capacity`` samples of ``dim`` numbers. Raises LrfaceError unless both are 1 or more."""
        super().__init__()
        self.capacity = positive_int("capacity", capacity)
        self.dim = positive_int("dim", dim)
        self.register_buffer("embeddings", torch.zeros(capacity, dim))
        self.register_buffer("labels", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("index", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))  # where the next sample goes
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))  # number of samples held

    @torch.no_grad()
    def push(self, embeddings: Tensor, labels: Tensor, index: Tensor) -> None:
        """Add float ``[B, dim]``, int ``[B]``, int ``[B]``; the last row is the newest. Only the newest ``capacity`` rows stay.

        Raises LrfaceError for wrong shapes or types.
        """
        check_matrix("embeddings", embeddings, columns=self.dim)
        check_ids("labels", labels, len(embeddings))
        check_ids("index", index, len(embeddings))
        rows = min(len(embeddings), self.capacity)
        at = (self.pointer + torch.arange(rows, device=self.pointer.device)) % self.capacity
        self.embeddings[at] = embeddings[-rows:].to(self.embeddings)
        self.labels[at] = labels[-rows:].to(self.labels)
        self.index[at] = index[-rows:].to(self.index)
        self.pointer.copy_((self.pointer + rows) % self.capacity)
        self.filled.copy_((self.filled + rows).clamp_max(self.capacity))

    def newest(self, count: int) -> Samples:
        """Copies of the ``count`` newest rows (at most ``capacity`` of them), newest first."""
        age = torch.arange(min(count, self.capacity), device=self.pointer.device)
        at = (self.pointer - 1 - age) % self.capacity
        embeddings = self.embeddings[at].to(at_least_float32(self.embeddings.dtype))
        return Samples(embeddings, self.labels[at], self.index[at], age < self.filled)

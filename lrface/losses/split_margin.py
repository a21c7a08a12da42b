"""A margin softmax whose classes are split over processes, for more identities than fit into the memory of one.

Each process holds the centres of some classes. The embeddings of all processes are gathered, and each process computes their
cosines to its own centres. The softmax is combined from the maxima and sums of all processes. This is the full softmax of
PartialFC (An et al. 2021, https://arxiv.org/abs/2010.05222) with the sampling rate 1.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import at_least_float32, check_ids, check_matrix, full_precision
from lrface.losses.margin import ArcFace, CosFace


class SplitMargin(nn.Module):
    """The part of a margin head that one process holds.

    The value is that of the unsplit head on the whole batch, the same in all processes. The gradients of the centres equal
    those of the unsplit head too. The gradients of a process's embeddings are multiplied by the number of processes, because
    DistributedDataParallel averages the gradients of the network over the processes. DDP must ignore the centres; see
    :meth:`own`.

    Args:
        head: the unsplit head, the same in all processes. Its centres are divided, and it must not be used afterwards.
        group: of ``torch.distributed``; None: all processes.

    Raises:
        LrfaceError: there are fewer classes than processes.
    """

    def __init__(self, head: ArcFace | CosFace, group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        # In a list, because its centres would otherwise become parameters of this module.
        self._group, self._head = group, [head]
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)
        self.first, self.stop = share(head.num_classes, self.rank, self.world)
        self.num_classes, self.scale = head.num_classes, head.scale
        self.weight = nn.Parameter(head.weight.detach()[self.first : self.stop].clone())
        head.weight = nn.Parameter(head.weight.new_empty(0, head.embedding_dim))  # frees the memory of the centres

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy (scalar) of the embeddings of all processes.

        Args:
            embeddings: float ``[B, D]`` of this process, not normalised; the same B in all processes.
            labels: integer ``[B]``; a label below 0 means that the face does not count.

        Raises:
            LrfaceError: wrong shapes, or on the CPU a label that is not a class.
        """
        check_matrix("embeddings", embeddings, columns=self.weight.shape[1])
        check_ids("labels", labels, len(embeddings))
        if labels.device.type == "cpu" and int(labels.max()) >= self.num_classes:
            raise LrfaceError(
                f"labels run to {int(labels.max())}: the classifier has classes 0 to {self.num_classes - 1}"
            )
        with full_precision(embeddings):
            dtype = at_least_float32(self.weight.dtype)
            rows = _Gather.apply(embeddings.to(dtype), self._group)
            everyone = _gather(labels.long(), self._group)
            known = everyone >= 0
            if not bool(known.any()):
                return embeddings.sum() * 0 + self.weight.sum() * 0
            rows, everyone = rows[known], everyone[known]
            cosine = F.linear(F.normalize(rows), F.normalize(self.weight.to(dtype)))
            return _SplitCrossEntropy.apply(
                self.scale * self._penalised(cosine, everyone), everyone - self.first, self._group
            )

    def _penalised(self, cosine: Tensor, labels: Tensor) -> Tensor:
        """Apply the margin where the true class belongs to this process."""
        mine = ((labels >= self.first) & (labels < self.stop)).nonzero()[:, 0]
        columns = labels[mine] - self.first
        return cosine.index_put((mine, columns), self._head[0].with_margin(cosine[mine, columns]))

    def whole(self, own: Tensor | None = None) -> Tensor:
        """Gather the centres of all classes, ``[num_classes, D]``, in every process.

        Args:
            own: other rows to gather instead, one for each class of this process.
        """
        own = self.weight.detach() if own is None else own
        sizes = [share(self.num_classes, rank, self.world) for rank in range(self.world)]
        longest = max(stop - first for first, stop in sizes)
        padded = own.new_zeros(longest, own.shape[1])
        padded[: len(own)] = own
        parts = _gather(padded, self._group).split(longest)
        return torch.cat([part[: stop - first] for part, (first, stop) in zip(parts, sizes, strict=True)])

    @staticmethod
    def own(module: nn.Module) -> list[str]:
        """The names of the parameters of ``module`` that DDP has to ignore."""
        return [f"{name}.weight" for name, part in module.named_modules() if isinstance(part, SplitMargin)]


def share(classes: int, rank: int, world: int) -> tuple[int, int]:
    """The classes ``first`` to ``stop`` (exclusive) of one process. The numbers of classes differ by at most one.

    Raises:
        LrfaceError: there are fewer classes than processes.
    """
    if classes < world:
        raise LrfaceError(f"{classes} classes cannot be split over {world} processes: start fewer")
    return classes * rank // world, classes * (rank + 1) // world


def _gather(tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, tensor.contiguous(), group=group)
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """Gathers the rows of all processes. Backward: the sum of all processes' gradients of the own rows, times their number."""

    @staticmethod
    def forward(ctx, rows, group):
        ctx.group = group
        return _gather(rows, group)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.contiguous()
        dist.all_reduce(gradient, group=ctx.group)
        world, rank = dist.get_world_size(ctx.group), dist.get_rank(ctx.group)
        return gradient.chunk(world)[rank] * world, None


class _SplitCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of logits ``[N, C]`` whose columns are split over processes; ``labels`` count from the own columns."""

    @staticmethod
    def forward(ctx, logits, labels, group):
        highest = logits.max(dim=1).values
        dist.all_reduce(highest, dist.ReduceOp.MAX, group=group)
        exponents = (logits - highest[:, None]).exp_()
        total = exponents.sum(dim=1)
        dist.all_reduce(total, group=group)
        mine = ((labels >= 0) & (labels < logits.shape[1])).nonzero()[:, 0]
        true = logits.new_zeros(len(logits))
        true[mine] = logits[mine, labels[mine]] - highest[mine]
        dist.all_reduce(true, group=group)
        gradient = exponents.div_(total[:, None])
        gradient[mine, labels[mine]] -= 1
        ctx.save_for_backward(gradient.div_(len(logits)))
        return (total.log() - true).mean()

    @staticmethod
    def backward(ctx, upstream):
        return ctx.saved_tensors[0] * upstream, None, None

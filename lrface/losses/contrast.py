"""The critic's softplus over all negatives of all pairs: the part of CRRCD that costs.

With A anchors, J partners and K candidates there are A x K relations of P numbers and A x J x K scores (at batch 96 and
512 candidates 25 MB and 19 MB), each passed over some twenty times by a plain forward and backward. Here a few anchors
at a time go through all of it, gradient included, while their numbers are in the cache.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrface.losses.relation import hidden

# Norms are held above this: a relation of zeros gets a zero score and a finite gradient.
NORM_MIN = 1e-6
# Numbers in a tile's largest tensor: 2^19 float32 are 2 MB, the level-2 caches of two cores. More would leave the
# cache, fewer would wait for threads more often; an accelerator wants few launches.
_TILE_CPU = 2**19
_TILE_ACCELERATOR = 2**26


@dataclass(frozen=True)
class Exclusions:
    """Who may not be whose negative; a triple (anchor i, partner j, candidate k) is out if any of the three says so."""

    anchor: Tensor  # bool [A, K]
    partner: Tensor  # bool [J, K]
    pair: Tensor  # bool [A, J]

    def masks(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three masks, in the order of the fields."""
        return self.anchor, self.partner, self.pair

    def count(self) -> Tensor:
        """Valid candidates of each pair, float32 [A, J] (exact below 2^24 candidates)."""
        return ((~self.anchor).float() @ (~self.partner).float().T).masked_fill_(self.pair, 0)


def unit(vectors: Tensor, length: float = 1.0) -> Tensor:
    """Vectors [..., P] scaled to ``length``; those shorter than ``NORM_MIN`` are lengthened as if they had that."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_min(NORM_MIN)
    return vectors / (norms / length)


def mean_softplus(
    query: Tensor,
    anchors: Tensor,
    others: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    exclusions: Exclusions,
) -> tuple[Tensor, Tensor]:
    """Mean softplus(l) over the valid candidates of each pair, then over the pairs that have any; 0 if none has.

    l[i, j, k] = query[i, j] . unit(weight @ ReLU(anchors[i] - others[k]) + bias) + offset

    query: float [A, J, P]; anchors: [A, P]; others: [K, P]; weight: [P, P]; bias: [P]; offset: scalar, no gradient.
    Returns the mean (scalar, differentiable once) and log(sum(exp(l))) over all valid triples (scalar, no gradient).
    """
    count = exclusions.count().to(query.dtype)
    pairs = (count > 0).sum().clamp_min(1)
    pair_weight = torch.where(count > 0, 1 / (count.clamp_min(1) * pairs), 0)
    loss, log_sum = _TiledSoftplus.apply(query, anchors, others, weight, bias, offset, pair_weight, exclusions)
    return loss, log_sum


class _TiledSoftplus(torch.autograd.Function):
    """sum over i, j of pair_weight[i, j] * (sum over valid k of softplus(l[i, j, k])), with its gradient at once."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        anchors: Tensor,
        others: Tensor,
        weight: Tensor,
        bias: Tensor,
        offset: Tensor,
        pair_weight: Tensor,
        exclusions: Exclusions,
    ) -> tuple[Tensor, Tensor]:
        inputs = (query, anchors, others, weight, bias)
        grads = tuple(map(torch.zeros_like, inputs)) if any(ctx.needs_input_grad) else None
        barred = [torch.where(mask, -torch.inf, offset.new_zeros(())) for mask in exclusions.masks()]
        losses, log_sums = [], []
        width = max(others.numel(), query.shape[1] * len(others))
        rows = max(1, (_TILE_CPU if query.device.type == "cpu" else _TILE_ACCELERATOR) // width)
        for start in range(0, len(query), rows):
            tile = slice(start, start + rows)
            scores = (barred[0][tile, None] + barred[1]).add_(barred[2][tile, :, None]).add_(offset)
            relu = hidden(anchors[tile], others)
            relations = F.linear(relu, weight, bias)
            norms = torch.linalg.vector_norm(relations, dim=-1, keepdim=True).clamp_min_(NORM_MIN)
            relations.div_(norms)
            scores.baddbmm_(query[tile], relations.mT)
            losses.append((_sum_softplus(scores) * pair_weight[tile]).sum())
            log_sums.append(scores.flatten().logsumexp(0))
            if grads is not None:
                slope = scores.sigmoid_().mul_(pair_weight[tile, :, None])
                _add_gradients(grads, tile, slope, query[tile], weight, relu, relations, norms)
        ctx.save_for_backward(*(grads or ()))
        log_sum = torch.stack(log_sums).logsumexp(0)
        ctx.mark_non_differentiable(log_sum)
        return torch.stack(losses).sum(), log_sum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _grad_log_sum: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * grad_loss for grad in ctx.saved_tensors), None, None, None


def _add_gradients(
    grads: tuple[Tensor, ...],
    tile: slice,
    slope: Tensor,
    query: Tensor,
    weight: Tensor,
    relu: Tensor,
    relations: Tensor,
    norms: Tensor,
) -> None:
    """Back from ``slope`` = d loss / d l [a, J, K] of one tile to the five inputs; overwrites ``relu``.

    relu [a, K, P]: the hidden layer. relations [a, K, P]: of length 1. norms [a, K, 1]: their lengths before that.
    """
    to_query, to_anchors, to_others, to_weight, to_bias = grads
    torch.bmm(slope, relations, out=to_query[tile])
    grad = torch.bmm(slope.mT, query)
    # Through the normalisation: the part along the relation itself goes, the rest shrinks by the length.
    grad.addcmul_(relations, (grad * relations).sum(-1, keepdim=True), value=-1).div_(norms)
    flat = grad.flatten(0, 1)
    to_weight.addmm_(flat.T, relu.flatten(0, 1))
    to_bias.add_(flat.sum(0))
    grad = torch.mm(flat, weight).view_as(relu).mul_(relu.sign_())  # the sign is 0 or 1: the slope of ReLU
    to_anchors[tile] = grad.sum(1)
    to_others.sub_(grad.sum(0))


def _sum_softplus(values: Tensor) -> Tensor:
    """sum of softplus over the last dimension, as max(l, 0) + log1p(exp(-|l|)).

    log1p is what costs on a CPU, and log1p(a) + log1p(b) = log1p(a + b + a b): the last dimension is folded in half
    while it can be, six times at most (each e is at most 1, so that 64 of them stay below 2^64), and log1p taken then.
    """
    e = values.abs().neg_().exp_()
    for _ in range(6):
        if e.shape[-1] % 2:
            break
        left, right = e.chunk(2, dim=-1)
        e = torch.addcmul(left, left, right).add_(right)
    return e.log1p_().sum(-1).add_(values.relu().sum(-1))

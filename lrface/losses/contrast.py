"""The critic of CRRCD over all pairs and candidates, value and gradient in one pass: the expensive part of the loss.

With A anchors, J partners and K candidates there are A x K relations of P numbers and A x J x K scores. At batch size 96 and
512 candidates these are 25 MB and 19 MB, and a plain forward and backward pass reads or writes each some twenty times. Here
a few anchors at a time pass through the whole computation, gradient included, while their numbers are in the cache.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Lower limit of norms: a relation of zeros then has a zero score and a finite gradient.
NORM_MIN = 1e-6
# Numbers in a tile's largest tensor: 2^19 float32 are 2 MB, the level-2 caches of two cores. More would leave the cache;
# with fewer, threads would wait for each other more often. An accelerator is faster with few large launches.
_TILE_CPU = 2**19
_TILE_ACCELERATOR = 2**26
# On a CPU exp2 takes a third of the time of exp.
_LOG2_E = 1.4426950408889634


class Side(NamedTuple):
    """The factors of the relations unit(weight @ ReLU(anchors[i] - others[k]) + bias) of one side."""

    anchors: Tensor  # float [A, P]
    others: Tensor  # float [K, P]
    weight: Tensor  # float [P, P]
    bias: Tensor  # float [P]


@dataclass(frozen=True)
class Exclusions:
    """Invalid negatives: a triple (anchor i, partner j, candidate k) is excluded if any of the three masks excludes it.

    An excluded pair (i, j) is not a positive either.
    """

    anchor: Tensor  # bool [A, K]
    partner: Tensor  # bool [K, J]
    pair: Tensor  # bool [A, J]

    def count(self) -> Tensor:
        """Number of valid candidates of each pair, float32 ``[A, J]`` (exact below 2^24 candidates)."""
        return ((~self.anchor).float() @ (~self.partner).float()).masked_fill_(self.pair, 0)


@dataclass(frozen=True)
class Critic:
    """The constants of l[i, k, j] = unit(query[i, j]) . unit(key[i, k]) / temperature + offset."""

    temperature: float
    offset: Tensor  # scalar
    exclusions: Exclusions
    negative_factor: float


class Contrast(NamedTuple):
    """Scalars. The first three can be differentiated once; ``log_sum`` is log(sum(exp(l))) over all valid triples."""

    positive: Tensor
    negative: Tensor
    total: Tensor
    log_sum: Tensor


def contrast(query: Side, key: Side, critic: Critic) -> Contrast:
    """Softplus(-l) of matching pairs and softplus(l) of all others; each is 0 if nothing is valid.

    positive: mean of softplus(-l[i, j, j]) over the pairs. negative: ``negative_factor`` x the mean of softplus(l[i, k, j])
    over the valid candidates of each pair, then over the pairs with any. total: their sum. The gradient of ``total`` is
    computed in the forward pass; that of ``positive`` or ``negative`` alone needs the whole computation once more.

    ``query`` has J others, the partners. The first J of the K others of ``key`` are the same partners.
    """
    return Contrast(*_Contrast.apply(critic, *query, *key))


class _Contrast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, critic: Critic, *sides: Tensor) -> tuple[Tensor, ...]:
        ctx.critic = critic
        ctx.set_materialize_grads(False)
        slopes = (1.0, 1.0) if any(ctx.needs_input_grad) else None
        values, grads = _through_tiles(critic, sides, slopes)
        ctx.save_for_backward(*sides, *grads)
        positive, negative, log_sum = values
        ctx.mark_non_differentiable(log_sum)
        return positive, negative, positive + negative, log_sum

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, positive: Tensor | None, negative: Tensor | None, total: Tensor | None, _: None
    ) -> tuple[Tensor | None, ...]:
        sides, grads = ctx.saved_tensors[:8], ctx.saved_tensors[8:]
        result = [torch.zeros_like(grad) if total is None else grad * total for grad in grads]
        if positive is not None or negative is not None:
            slopes = (0.0 if positive is None else positive, 0.0 if negative is None else negative)
            result = [a + b for a, b in zip(result, _through_tiles(ctx.critic, sides, slopes)[1], strict=True)]
        return None, *result


def _through_tiles(
    critic: Critic, sides: tuple[Tensor, ...], slopes: tuple[float | Tensor, float | Tensor] | None
) -> tuple[tuple[Tensor, Tensor, Tensor], list[Tensor]]:
    """(positive, negative, log_sum), and the gradient of slopes[0] * positive + slopes[1] * negative for all sides."""
    (anchors, partners), (candidates, numbers) = critic.exclusions.pair.shape, sides[5].shape
    most = _TILE_CPU if critic.offset.device.type == "cpu" else _TILE_ACCELERATOR
    rows = min(max(1, most // (candidates * max(partners, numbers))), anchors)
    query = _Relations(Side(*sides[:4]), rows, 1 / critic.temperature)
    key = _Relations(Side(*sides[4:]), rows)
    valid, to_positive, to_negative = _weights(critic, sides[5].dtype)
    minus_infinity = valid.new_tensor(-torch.inf)
    barred = torch.where(critic.exclusions.anchor, minus_infinity, 0)
    offset = torch.where(critic.exclusions.partner, minus_infinity, critic.offset)
    buffers = valid.new_empty(2, rows, candidates, partners)
    sums = []
    for start in range(0, anchors, rows):
        tile = slice(start, min(start + rows, anchors))
        queries, keys = query.forward(tile), key.forward(tile)
        scores, spare = buffers[:, : len(keys)]
        torch.bmm(keys, queries.mT, out=scores)  # [a, K, J]: the product is faster in this order
        matching = scores.diagonal(dim1=1, dim2=2) + critic.offset
        scores.add_(offset).add_(barred[tile, :, None])
        positive = (F.softplus(-matching) * to_positive[tile]).sum()
        negative = (_sum_softplus(scores, spare) * to_negative[tile]).sum()
        sums.append(torch.stack([positive, negative, _log_sum_exp(scores, valid[tile], spare)]))
        if slopes is not None:
            scores.sigmoid_().mul_((slopes[1] * to_negative[tile])[:, None])
            scores.diagonal(dim1=1, dim2=2).sub_(torch.sigmoid(-matching) * (slopes[0] * to_positive[tile]))
            query.backward(tile, scores.mT, keys)
            key.backward(tile, scores, queries)
    positives, negatives, log_sums = torch.stack(sums, dim=1)
    return (positives.sum(), negatives.sum(), log_sums.logsumexp(0)), [*query.grads, *key.grads]


def _weights(critic: Critic, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Three tensors ``[A, J]``: 1 for pairs of two different samples, else 0; the weight of a pair among the positives; the
    weight of each of its negatives.
    """
    valid = (~critic.exclusions.pair).to(dtype)
    count = critic.exclusions.count().to(dtype)
    able = (count > 0).to(dtype)
    to_negative = critic.negative_factor * able / (count.clamp_min(1) * able.sum().clamp_min(1))
    return valid, valid / valid.sum().clamp_min(1), to_negative


class _Relations:
    """The relations of one side, a few anchors at a time, and the gradients of their factors.

    All large tensors are buffers, because allocating memory for every tile would take longer than the computation.
    """

    def __init__(self, side: Side, rows: int, length: float = 1.0) -> None:
        """Prepare for tiles of ``rows`` anchors. Relations are scaled to ``length``; the norm is taken as at least
        ``NORM_MIN``.
        """
        self.side, self.length = side, length
        self.grads = [torch.zeros_like(tensor) for tensor in side]
        self._buffers = side.others.new_empty(4, rows, *side.others.shape)

    def forward(self, tile: slice) -> Tensor:
        """Relations ``[a, K, P]`` of the anchors of ``tile``."""
        anchors = self.side.anchors[tile]
        self._relu, self._relations, self._grad, self._spare = self._buffers[:, : len(anchors)]
        torch.sub(anchors[:, None], self.side.others, out=self._relu).relu_()
        flat = self._relations.flatten(0, 1)
        torch.addmm(self.side.bias, self._relu.flatten(0, 1), self.side.weight.T, out=flat)
        norms = torch.linalg.vector_norm(self._relations, dim=-1, keepdim=True).clamp_min_(NORM_MIN)
        self._norms = norms.div_(self.length)
        return self._relations.div_(self._norms)

    def backward(self, tile: slice, slopes: Tensor, sources: Tensor) -> None:
        """Add to ``grads``: slopes @ sources, [a, K, J] @ [a, J, P], is the gradient of the last relations from ``forward``."""
        to_anchors, to_others, to_weight, to_bias = self.grads
        grad, flat = self._grad, self._grad.flatten(0, 1)
        torch.bmm(slopes, sources, out=grad)
        # Gradient through the normalisation: the part along the relation vanishes, the rest is divided by the norm.
        along = torch.mul(grad, self._relations, out=self._spare).sum(-1, keepdim=True)
        grad.addcmul_(self._relations, along, value=-1 / self.length**2).div_(self._norms)
        to_weight.addmm_(flat.T, self._relu.flatten(0, 1))
        to_bias.add_(flat.sum(0))
        torch.mm(flat, self.side.weight, out=self._spare.flatten(0, 1))
        self._spare.mul_(self._relu.sign_())  # the sign of a ReLU is 0 or 1, which is its slope
        to_anchors[tile] = self._spare.sum(1)
        to_others.sub_(self._spare.sum(0))


def _sum_softplus(values: Tensor, spare: Tensor) -> Tensor:
    """Sum of softplus over dimension 1 of ``[a, K, J]``, as max(l, 0) + log1p(exp(-|l|)). Overwrites ``spare``.

    log1p is the expensive part on a CPU, and log1p(a) + log1p(b) = log1p(a + b + a b). So the dimension is folded in half as
    often as possible, at most six times, and log1p is taken afterwards. Each e is at most 1, so products of 64 stay below
    2^64.
    """
    e = torch.abs(values, out=spare).mul_(-_LOG2_E).exp2_()
    for _ in range(6):
        if e.shape[1] % 2:
            break
        e, right = e.chunk(2, dim=1)
        e.addcmul_(e, right).add_(right)
    logs = e.log1p_().sum(1)
    return logs.add_(torch.clamp_min(values, 0, out=spare).sum(1))


def _log_sum_exp(values: Tensor, valid: Tensor, spare: Tensor) -> Tensor:
    """log(sum(exp(values[i, :, j]))) over all pairs (i, j) that are ``valid`` (1, else 0); -inf without a valid pair.

    Overwrites ``spare``.
    """
    largest = (values.amax(1) + valid.log()).max().clamp_min(torch.finfo(values.dtype).min)
    exps = torch.sub(values, largest, out=spare).mul_(_LOG2_E).exp2_().sum(1)
    return (exps * valid).sum().log() + largest

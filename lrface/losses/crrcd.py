"""Cross-resolution relational contrastive distillation (CRRCD; Zhang, Ge, Shi, Zeng), Eq. 1 and 7-11."""

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import (
    at_least_float32,
    check_ids,
    check_matrix,
    full_precision,
    positive_float,
    positive_int,
)
from lrface.losses.contrast import Critic, Exclusions, Side, contrast
from lrface.losses.queue import SampleQueue, Samples
from lrface.losses.relation import FeatureRelation

Sampling = Literal["supervised", "unsupervised"]
Normaliser = Literal["paper", "crd"]
Reduction = Literal["sum", "mean"]


class CRRCDTerms(NamedTuple):
    """The two parts of the loss, for separate logging, and the loss itself, which is their sum (scalars).

    All three can be differentiated. The gradient of ``total`` is already computed; that of one part alone costs twice.
    """

    positive: Tensor
    negative: Tensor
    total: Tensor


class CRRCD(nn.Module):
    """Contrast of teacher-space relations v_t[i, j] with cross-resolution relations v_ts[i, k].

    With s = <unit(H1 v_t[i, j]), unit(H2 v_ts[i, k])>, n = ``negatives``, m = ``cardinality`` and
    l = s / temperature - log(n / m) [- log Z with the normaliser "crd"]:

        positive = mean over pairs (i, j) of softplus(-l[i, j, j])
        negative = n * mean over valid (i, j, k) of softplus(l[i, j, k])        (without n under "mean")

    - Pairs: all (i, j) of the batch that are two different samples.
    - Candidates k: the ``negatives`` newest samples. The batch comes first, with gradient (only its last rows if the batch
      alone is larger). Then follows the queue without gradient, from its newest sample to its oldest. A candidate is not a
      negative of (i, j) if it is sample i or sample j, nor, with "supervised" sampling, if it has the label of j.
    - The mean of the negatives is taken over the valid candidates of each pair, then over the pairs with any.
    - A term without a valid pair is 0 and can still be differentiated.
    - Embeddings are first scaled to unit mean square (length sqrt(D)), because teachers and students have any norm.

    This class does not fill the queue by itself. ``terms`` and ``forward`` only read it. The training loop calls ``enqueue``
    after the step. With several processes it passes the samples of all of them, so that every process has the same queue.
    The normaliser "crd" updates its running estimate in ``terms``, in training mode only. Each process has its own estimate
    unless the buffers are broadcast.
    """

    log_z: Tensor

    def __init__(
        self,
        cardinality: int,
        teacher_dim: int = 512,
        student_dim: int = 512,
        projected_dim: int = 128,
        negatives: int = 512,
        temperature: float = 0.1,
        sampling: Sampling = "supervised",
        queue: bool = True,
        normaliser: Normaliser = "paper",
        negative_reduction: Reduction = "sum",
        normaliser_momentum: float = 0.99,
    ) -> None:
        """Create the relation modules (trained with the student, not needed afterwards) and an empty queue.

        Args:
            cardinality: m, the number of training samples.
            teacher_dim, student_dim: lengths of the embeddings.
            projected_dim: length of the relations.
            negatives: n, the number of candidates.
            temperature: tau.
            sampling: "supervised" excludes candidates with the partner's label; "unsupervised" does not.
            queue: take candidates also from earlier batches; otherwise only from the current batch.
            normaliser: "paper" is Eq. 10 as printed. "crd" divides exp(s / tau) by Z = m * mean of exp(s / tau) over the
                negatives, as CRD's published code does.
            negative_reduction: "sum" uses the paper's factor n, "mean" does not.
            normaliser_momentum: CRD's Z is that of the first batch. Here it is a running average with this momentum; 1 keeps
                the first value.

        Raises:
            LrfaceError: a value is out of range.
        """
        super().__init__()
        self.cardinality = positive_int("cardinality", cardinality)
        self.teacher_dim = positive_int("teacher_dim", teacher_dim)
        self.student_dim = positive_int("student_dim", student_dim)
        self.negatives = positive_int("negatives", negatives)
        self.temperature = positive_float("temperature", temperature)
        self.sampling = _choice("sampling", sampling, get_args(Sampling))
        self.normaliser = _choice("normaliser", normaliser, get_args(Normaliser))
        self.negative_reduction = _choice("negative_reduction", negative_reduction, get_args(Reduction))
        if not 0 <= normaliser_momentum <= 1:
            raise LrfaceError(f"normaliser_momentum is {normaliser_momentum!r}: give a number from 0 to 1")
        self.normaliser_momentum = float(normaliser_momentum)
        self.teacher_relation = FeatureRelation(teacher_dim, teacher_dim, projected_dim)  # F_t
        self.cross_relation = FeatureRelation(teacher_dim, student_dim, projected_dim)  # F_ts
        self.teacher_head = nn.Linear(projected_dim, projected_dim)  # H1
        self.cross_head = nn.Linear(projected_dim, projected_dim)  # H2
        self.queue = SampleQueue(self.negatives, self.student_dim) if queue else None
        self.register_buffer("log_z", torch.tensor(math.nan))  # NaN until the first batch with a negative

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """The loss, positive + negative (scalar); see ``terms``."""
        return self.terms(student, teacher, labels, index).total

    def terms(self, student: Tensor, teacher: Tensor, labels: Tensor, index: Tensor) -> CRRCDTerms:
        """Compute both parts of the loss, float32 (float64 if the module is), under any autocast. The queue does not change.

        Args:
            student: float ``[B, student_dim]``, with gradient.
            teacher: float ``[B, teacher_dim]``, detached here.
            labels: integer ``[B]``, identities.
            index: integer ``[B]``, number of each sample in the data set. Rows with the same number are the same sample.

        Raises:
            LrfaceError: wrong shapes or types.
        """
        check_matrix("student", student, columns=self.student_dim)
        check_matrix("teacher", teacher, rows=len(student), columns=self.teacher_dim)
        check_ids("labels", labels, len(student))
        check_ids("index", index, len(student))
        with full_precision(student):
            dtype = at_least_float32(self.teacher_head.weight.dtype)
            anchors = _unit_mean_square(teacher.detach().to(dtype))
            others = _unit_mean_square(student.to(dtype))
            candidates = self._candidates(others, labels, index)
            teacher_side = Side(
                self.teacher_relation.anchor(anchors),
                self.teacher_relation.other(anchors),
                *self.teacher_relation.composed(self.teacher_head),
            )
            cross_side = Side(
                self.cross_relation.anchor(anchors),
                self.cross_relation.other(candidates.embeddings),
                *self.cross_relation.composed(self.cross_head),
            )
            exclusions = self._exclusions(labels, index, candidates)
            offset = self._offset(teacher_side, cross_side, exclusions)
            factor = self.negatives if self.negative_reduction == "sum" else 1
            found = contrast(teacher_side, cross_side, Critic(self.temperature, offset, exclusions, factor))
            self._update_log_z(found.log_sum - offset, exclusions)
            return CRRCDTerms(found.positive, found.negative, found.total)

    def enqueue(self, student: Tensor, labels: Tensor, index: Tensor) -> None:
        """Add student embeddings ``[B, student_dim]`` with integer labels ``[B]`` and index ``[B]`` to the queue.

        The last row is the newest. Call it once per step, after ``terms``, with the samples of all processes in the same order
        everywhere. It does nothing in evaluation mode or without a queue. Raises LrfaceError for wrong shapes or types.
        """
        if self.training and self.queue is not None:
            self.queue.push(student.detach(), labels, index)

    def _candidates(self, others: Tensor, labels: Tensor, index: Tensor) -> Samples:
        """The whole batch, then the queue from its newest sample on. Rows beyond ``negatives`` count as not filled."""
        age = torch.arange(len(others) - 1, -1, -1, device=others.device)
        batch = Samples(others, labels.long(), index.long(), age < self.negatives)
        if self.queue is None or len(others) >= self.negatives:
            return batch
        old = self.queue.newest(self.negatives - len(others))
        return Samples(
            torch.cat([batch.embeddings, _unit_mean_square(old.embeddings.to(others.dtype))]),
            torch.cat([batch.labels, old.labels]),
            torch.cat([batch.index, old.index]),
            torch.cat([batch.filled, old.filled]),
        )

    def _exclusions(self, labels: Tensor, index: Tensor, candidates: Samples) -> Exclusions:
        same_sample = candidates.index[:, None] == index
        partner = same_sample | ~candidates.filled[:, None]
        if self.sampling == "supervised":
            partner = partner | (candidates.labels[:, None] == labels)
        return Exclusions(anchor=same_sample.T, partner=partner, pair=index[:, None] == index)

    def _offset(self, teacher_side: Side, cross_side: Side, exclusions: Exclusions) -> Tensor:
        """The number added to s / tau: -log(n / m), and -log Z with the normaliser "crd"."""
        offset = teacher_side.bias.new_tensor(math.log(self.cardinality) - math.log(self.negatives))
        if self.normaliser == "paper":
            return offset
        log_z = self.log_z.to(offset.dtype)
        if bool(log_z.isnan()):  # no estimate yet: use this batch's own, which takes one more pass
            critic = Critic(self.temperature, torch.zeros_like(offset), exclusions, 1)
            with torch.no_grad():
                log_sum = contrast(teacher_side, cross_side, critic).log_sum
            # Without any negative there is nothing to normalise. The Z of scores 0 keeps the positive part finite.
            log_z = self._batch_log_z(log_sum, exclusions).nan_to_num(math.log(self.cardinality))
        return offset - log_z

    def _batch_log_z(self, log_sum: Tensor, exclusions: Exclusions) -> Tensor:
        """log(m * mean of exp(s / tau)) of this batch's valid negatives; NaN if there are none."""
        valid = exclusions.count().sum(dtype=torch.float64)
        log_mean = log_sum - valid.log().to(log_sum.dtype)  # -inf - -inf = NaN without negatives
        return log_mean + math.log(self.cardinality)

    @torch.no_grad()
    def _update_log_z(self, log_sum: Tensor, exclusions: Exclusions) -> None:
        """Update the running average of Z. It is computed on the logarithm, so that it cannot overflow."""
        if self.normaliser == "paper" or not self.training:
            return
        batch = self._batch_log_z(log_sum, exclusions).to(self.log_z)
        kept = self.log_z + _log(self.normaliser_momentum)
        average = torch.logaddexp(kept, batch + _log(1 - self.normaliser_momentum))
        average = torch.where(self.log_z.isnan(), batch, average)
        self.log_z.copy_(torch.where(batch.isnan(), self.log_z, average))


def _unit_mean_square(embeddings: Tensor) -> Tensor:
    """Scale rows to length sqrt(D). Only directions remain, at the scale for which linear layers are initialised.

    At length 1 the projections would be smaller than the initial biases, and all relations would be alike at the start.
    """
    return F.normalize(embeddings) * math.sqrt(embeddings.shape[1])


def _log(weight: float) -> float:
    return math.log(weight) if weight > 0 else -math.inf


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise LrfaceError(f"{name} is {value!r}: choose one of {', '.join(allowed)}")
    return value

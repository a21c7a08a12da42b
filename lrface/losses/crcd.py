"""CRCD: complementary relation contrastive distillation."""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lrface.errors import LrfaceError
from lrface.losses.bank import Banks, Negatives, bank_bytes, estimated_log_z, noise_contrast
from lrface.losses.checks import positive_float
from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part

#: Added to every number of a relation, as in the reference, so that a sample's relation with itself has a direction.
_SHIFT = 1e-6


class _Products(NamedTuple):
    """Inner products from which the relations of all anchors are computed."""

    candidates: Tensor  # [B, 1 + K]: query . candidate
    origins: Tensor  # [B, A]: query . origin
    anchors: Tensor  # [A, N]: origin . row of the bank
    squares: Tensor  # [N]: of the rows of the bank


@method("crcd")
class CRCD(Method):
    """CRD's contrast between relations: the direction from an anchor to a sample, in the space of either network.

    Zhu et al., "Complementary relation contrastive distillation", CVPR 2021 (arXiv 2103.16367). Reference: the authors'
    partial code (Lechatelia/CRCD). Relations are unit(x - anchor) of unit embeddings of 128 numbers, anchors are the batch's
    rows of the bank; 500 negatives, temperature 0.05, weight 1. Candidates are drawn as for CRD. ``gradient`` adds the
    paper's second element with weight 1: the same contrast of the gradients of the cross-entropy with respect to the
    embedding. The authors' code does not use it in its contrastive form.

    The authors' code makes all B x B x (K + 1) relations of 128 numbers. Here their inner products are computed from those
    of the embeddings, one anchor at a time, and again in the backward pass. This takes B x (K + 1) numbers.
    """

    needs = ("embedding",)
    weight = 1.0
    log_z: Tensor

    def __init__(
        self, setting: Setting, dim: int = 128, negatives: int = 500, temperature: float = 0.05,
        momentum: float = 0.5, gradient: bool = False,
    ) -> None:  # fmt: skip
        """``dim``: length of the projections. ``momentum``: of the banks. ``gradient``: contrast gradients too."""
        super().__init__()
        ours, theirs = embedding_sizes(setting, self.name)
        self.temperature = positive_float("temperature", temperature)
        self.images, self.gradient = len(setting.labels), gradient
        self.negatives = Negatives(setting.labels, negatives)
        elements = 2 if gradient else 1
        self.banks = nn.ModuleList(Banks(self.images, dim, momentum, unit=True) for _ in range(elements))
        self.student_maps = nn.ModuleList(nn.Linear(ours, dim) for _ in range(elements))
        self.teacher_maps = nn.ModuleList(nn.Linear(theirs, dim) for _ in range(elements))
        self.register_buffer("log_z", torch.full((elements, 2), math.nan))
        self._seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._size = bank_bytes(self.images, dim) * elements / 2**20

    @property
    def note(self) -> str:
        return f"{self.name}: {len(self.banks)} x {self.banks[0]!r}, {self._size:.0f} MiB"

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        chosen = torch.cat([index[:, None], self.negatives(index)], 1)
        total = self.contrast(part(student, "embedding"), part(teacher, "embedding"), index, chosen)
        if self.gradient:
            slopes = [_slopes(who, each, labels) for who, each in (("student", student), ("teacher", teacher))]
            total = total + self.contrast(slopes[0], slopes[1], index, chosen, element=1)
        return total

    def contrast(self, student: Tensor, teacher: Tensor, index: Tensor, chosen: Tensor, element: int = 0) -> Tensor:
        """The loss for given candidates int64 ``[B, 1 + K]`` of each sample; the first one is the sample itself."""
        ours = F.normalize(self.student_maps[element](student))
        theirs = F.normalize(self.teacher_maps[element](teacher))
        self._seen[element] = (index, ours.detach(), theirs.detach())
        banks = cast(Banks, self.banks[element])
        parts = [
            self._side(query, bank.to(query), index, chosen, (element, side))
            for side, (query, bank) in enumerate(((ours, banks.teacher), (theirs, banks.student)))
        ]
        return parts[0] + parts[1]

    def _side(self, query: Tensor, bank: Tensor, index: Tensor, chosen: Tensor, place: tuple[int, int]) -> Tensor:
        """The loss of one side: the query's relations to every anchor (a row of the bank), against the candidates' relations."""
        origins = bank[index] - _SHIFT
        found = _Products((query @ bank.T).gather(1, chosen), query @ origins.T, origins @ bank.T, bank.square().sum(1))

        def of_anchor(query: Tensor, products: "_Products", number: int) -> Tensor:
            return self._logits(query, products, origins[number], number, index, chosen)

        if bool(self.log_z[place].isnan()):
            with torch.no_grad():
                logits = torch.cat([of_anchor(query, found, i) for i in range(len(index))])
                self.log_z[place] = estimated_log_z(logits, self.images)
        log_z = self.log_z[place].to(query)

        def loss(query: Tensor, number: int, *products: Tensor) -> Tensor:
            return noise_contrast(of_anchor(query, _Products(*products), number), self.images, log_z)

        terms = [checkpoint(loss, query, number, *found, use_reentrant=False) for number in range(len(index))]
        return torch.stack(terms).mean()

    def _logits(
        self, query: Tensor, found: "_Products", origin: Tensor, number: int, index: Tensor, chosen: Tensor
    ) -> Tensor:
        """Cosines / T, ``[B, 1 + K]``, of query - origin with candidates - origin, where origin = anchor - shift."""
        square, along = origin.square().sum(), found.anchors[number][chosen]
        ours = query - origin
        own_length = torch.linalg.vector_norm(ours, dim=1, keepdim=True).clamp_min(1e-12)
        inner = found.candidates - found.origins[:, number, None] - along + square
        # The relation of an anchor with itself is only the shift. A difference of squares would lose it.
        smallest = len(origin) * _SHIFT**2
        lengths = (found.squares[chosen] - 2 * along + square).clamp_min(smallest).sqrt()
        itself = ours.sum(1, keepdim=True) / (own_length * math.sqrt(len(origin)))
        cosines = torch.where(chosen == index[number], itself, inner / (own_length * lengths))
        return cosines / self.temperature

    def remember(self) -> None:
        if self.training:
            for element, seen in self._seen.items():
                self.banks[element].update(*seen)  # type: ignore[operator]
        self._seen = {}


def _slopes(who: str, outputs: Outputs, labels: Tensor) -> Tensor:
    """Gradient of the mean cross-entropy with respect to the embedding, ``[B, D]``: (softmax - one hot) @ W / B."""
    if outputs.logits is None or outputs.classifier is None:
        raise LrfaceError(f"crcd with gradient needs the {who}'s logits and classifier, which it does not give")
    probabilities = outputs.logits.softmax(1)
    wrong = probabilities - F.one_hot(labels, probabilities.shape[1]).to(probabilities)
    return wrong @ outputs.classifier.to(wrong) / len(labels)

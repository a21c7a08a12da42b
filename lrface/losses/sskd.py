"""SSKD: knowledge distillation meets self-supervision."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import positive_float
from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part

TURNS = 4


def _head(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


@method("sskd")
class SSKD(Method):
    """KD of rotated images, and of the similarities that show which plain image each rotated image belongs to.

    Xu et al., "Knowledge distillation meets self-supervision", ECCV 2020 (arXiv 2006.07114), Eq. 2-8. A preliminary stage
    trains a head of the teacher on this pretext task; the teacher itself does not change. Reference: the authors' code. Its
    weights are 0.9 (KD, plain images), 2.7 (rotated images) and 10 (self-supervision) beside a cross-entropy of weight 0.1,
    and its temperatures are 4, 4 and 0.5. The worst of the teacher's wrong answers are left out: all are kept for the rotated
    images, and three quarters for the pretext task. The default weight is 1, because the method has weights of its own; give
    the cross-entropy the weight 0.1.

    Batches contain every image in four rotations, one after the other.
    """

    needs = ("logits", "embedding")
    weight = 1.0
    rotated = True
    staged = True

    def __init__(
        self, setting: Setting, kd: float = 0.9, turned: float = 2.7, pretext: float = 10.0,
        temperature: float = 4.0, pretext_temperature: float = 0.5, keep_turned: float = 1.0, keep_pretext: float = 0.75,
    ) -> None:  # fmt: skip
        """``kd``, ``turned``, ``pretext``: weights. ``keep_...``: fractions of the teacher's wrong answers that count."""
        super().__init__()
        ours, theirs = embedding_sizes(setting, self.name)
        for name, value in (("keep_turned", keep_turned), ("keep_pretext", keep_pretext)):
            if not 0 <= value <= 1:
                raise LrfaceError(f"{name} is {value!r}: give a number from 0 to 1")
        self.weights = (float(kd), float(turned), float(pretext))
        self.temperature = positive_float("temperature", temperature)
        self.pretext_temperature = positive_float("pretext_temperature", pretext_temperature)
        self.keep = (float(keep_turned), float(keep_pretext))
        self.student_head, self.teacher_head = _head(ours), _head(theirs)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        (plain, turned), (plain_t, turned_t) = _apart(part(student, "logits")), _apart(part(teacher, "logits"))
        kd = _soft(plain, plain_t, self.temperature)
        kept = _kept(turned_t, labels.repeat_interleave(TURNS - 1), self.keep[0])
        of_turned = _soft(turned[kept], turned_t[kept], self.temperature)
        ours = _similarities(self.student_head(part(student, "embedding")))
        with torch.no_grad():
            theirs = _similarities(self.teacher_head(part(teacher, "embedding")))
        kept = _kept(theirs, _owners(theirs), self.keep[1])
        pretext = _soft(ours[kept], theirs[kept], self.pretext_temperature)
        return self.weights[0] * kd + self.weights[1] * of_turned + self.weights[2] * pretext

    def first_loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        similarities = _similarities(self.teacher_head(part(teacher, "embedding")))
        return F.cross_entropy(similarities, _owners(similarities))


def _apart(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Split rows into plain ``[B, ...]`` and rotated ``[3 B, ...]`` images."""
    turns = rows.unflatten(0, (-1, TURNS))
    return turns[:, 0], turns[:, 1:].flatten(0, 1)


def _similarities(embeddings: Tensor) -> Tensor:
    """Cosines ``[3 B, B]`` of rotated images with plain ones."""
    plain, turned = _apart(embeddings)
    return F.normalize(turned, eps=1e-8) @ F.normalize(plain, eps=1e-8).T


def _owners(similarities: Tensor) -> Tensor:
    """The plain image of each rotated one, int64 ``[3 B]``."""
    return torch.arange(similarities.shape[1], device=similarities.device).repeat_interleave(TURNS - 1)


def _kept(teacher: Tensor, labels: Tensor, part_of_wrong: float) -> Tensor:
    """The rows that count: all that the teacher gets right, and a fraction of the others, those with the best rank first."""
    rank = (teacher.argsort(1, descending=True) == labels[:, None]).int().argmax(1)
    right = int((rank == 0).sum())
    count = right + int((len(rank) - right) * part_of_wrong)
    return rank.argsort(stable=True)[:count].sort().values


def _soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence times the squared temperature, mean over the rows; 0 without rows."""
    ours, theirs = (student / temperature).log_softmax(1), (teacher / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(ours, theirs, log_target=True, reduction="sum") / max(len(ours), 1)

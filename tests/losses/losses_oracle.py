"""The losses once more, straight from the equations: float64, Python loops, no trick. Slow, for tiny sizes only."""

import math

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    return sum((x * y for x, y in zip(a, b, strict=True)), torch.zeros((), dtype=torch.float64))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())


def softmax(values: list[Tensor]) -> list[Tensor]:
    total = sum(v.exp() for v in values)
    return [v.exp() / total for v in values]


def cross_entropy_of_label(logits: list[Tensor], label: int) -> Tensor:
    return -softmax(logits)[label].log()


def margin_softmax(embeddings, labels, weight, scale, penalise) -> Tensor:
    losses = []
    for embedding, label in zip(embeddings, labels.tolist(), strict=True):
        cosines = [cosine(embedding, row) for row in weight]
        cosines[label] = penalise(cosines[label])
        losses.append(cross_entropy_of_label([scale * c for c in cosines], label))
    return sum(losses) / len(losses)


def arcface(embeddings, labels, weight, scale, margin) -> Tensor:
    def penalise(c):
        theta = c.acos()
        return (theta + margin).cos() if theta + margin <= math.pi else c - margin * math.sin(margin)

    return margin_softmax(embeddings, labels, weight, scale, penalise)


def cosface(embeddings, labels, weight, scale, margin) -> Tensor:
    return margin_softmax(embeddings, labels, weight, scale, lambda c: c - margin)


def kd(student_logits, teacher_logits, rho) -> Tensor:
    losses = []
    for z_s, z_t in zip(student_logits, teacher_logits, strict=True):
        p_s, p_t = softmax([z / rho for z in z_s]), softmax([z / rho for z in z_t])
        losses.append(-sum(t * s.log() for t, s in zip(p_t, p_s, strict=True)))
    return rho**2 * sum(losses) / len(losses)


def cosine_regression(student, teacher) -> Tensor:
    return sum(1 - cosine(s, t) for s, t in zip(student, teacher, strict=True)) / len(student)


def relation(module, anchor: Tensor, other: Tensor) -> Tensor:
    """Eq. 1, with the bias that the module has."""
    inner = module.anchor.weight @ anchor + module.anchor.bias - module.other.weight @ other
    return module.out.weight @ torch.stack([x if x > 0 else x * 0 for x in inner]) + module.out.bias


def unit_mean_square(x: Tensor) -> Tensor:
    return x / dot(x, x).sqrt() * math.sqrt(len(x))


class CRRCDOracle:
    """Eq. 7-11 for a float64 CRRCD module: the same parameters, one triple at a time."""

    def __init__(self, module, history=()):
        """``history``: (student, label, index) of earlier samples, oldest first."""
        self.module, self.history = module, list(history)

    def candidates(self, student, labels, index):
        """(embedding, label, index) of the n newest samples, the batch counting as newest."""
        batch = list(zip(student, labels.tolist(), index.tolist(), strict=True))
        old = self.history if self.module.queue is not None else []
        return (old + batch)[-self.module.negatives :]

    def score(self, teacher_i, teacher_j, other) -> Tensor:
        """s = <l2norm(H1 F_t(i, j)), l2norm(H2 F_ts(i, k))>."""
        m = self.module
        e_i, e_j, e_k = map(unit_mean_square, (teacher_i, teacher_j, other))
        v_t, v_ts = relation(m.teacher_relation, e_i, e_j), relation(m.cross_relation, e_i, e_k)
        return cosine(m.teacher_head.weight @ v_t + m.teacher_head.bias, m.cross_head.weight @ v_ts + m.cross_head.bias)

    def pairs(self, index):
        size = range(len(index))
        return [(i, j) for i in size for j in size if index[i] != index[j]]

    def scores(self, student, teacher, labels, index):
        """({pair: positive s}, {pair: [negative s]})."""
        positive, negative = {}, {}
        for i, j in self.pairs(index):
            positive[i, j] = self.score(teacher[i], teacher[j], student[j])
            negative[i, j] = [
                self.score(teacher[i], teacher[j], embedding)
                for embedding, label, number in self.candidates(student, labels, index)
                if number not in (index[i], index[j])
                and not (self.module.sampling == "supervised" and label == labels[j])
            ]
        return positive, negative

    def batch_z(self, negative) -> float:
        """Z = m * mean exp(s / tau) over the negatives; nan without any."""
        exps = [math.exp(s.item() / self.module.temperature) for scores in negative.values() for s in scores]
        return self.module.cardinality * sum(exps) / len(exps) if exps else math.nan

    def terms(self, student, teacher, labels, index, z: float | None = None):
        """(positive, negative) with h = (exp(s/tau) / z) / (exp(s/tau) / z + n / m); z is 1 in the paper."""
        m = self.module
        positive, negative = self.scores(student, teacher, labels, index)
        if z is None:
            z = 1.0 if m.normaliser == "paper" else self.batch_z(negative)

        def h(s):
            return (s / m.temperature).exp() / z / ((s / m.temperature).exp() / z + m.negatives / m.cardinality)

        zero = torch.zeros((), dtype=torch.float64)
        pos = [-h(s).log() for s in positive.values()]
        neg = [sum(-(1 - h(s)).log() for s in scores) / len(scores) for scores in negative.values() if scores]
        factor = m.negatives if m.negative_reduction == "sum" else 1
        return sum(pos, zero) / max(len(pos), 1), factor * sum(neg, zero) / max(len(neg), 1)

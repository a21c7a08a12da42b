"""The distillation methods once more, from their equations: float64, loops, no trick. Small modules are the method's own."""

import math
from itertools import pairwise

import torch
from losses_oracle import cosine, dot, softmax

from lrface.losses.method import Method, Outputs

ZERO = torch.zeros((), dtype=torch.float64)


def mean(values):
    values = list(values)
    return sum(values, ZERO) / len(values)


def unit(vector):
    return vector / dot(vector, vector).sqrt()


def numbers(a, b):
    return list(zip(a.flatten(), b.flatten(), strict=True))


def divergence(p, q):
    return sum(a * (a / b).log() for a, b in zip(p, q, strict=True))


def soft(student, teacher, rho):
    """rho^2 KL(teacher || student) of one sample's logits."""
    return rho**2 * divergence(softmax([z / rho for z in teacher]), softmax([z / rho for z in student]))


def fitnet(made: Method, s: Outputs, t: Outputs, labels, index):
    return mean((a - b) ** 2 for a, b in numbers(made.regressor(s.maps[2]), t.maps[2]))


def at(made, s, t, labels, index):
    def attention(maps):
        return unit((sum(abs(channel) ** 2 for channel in maps) / len(maps)).flatten())

    total = ZERO
    for a, b in zip(s.maps[1:], t.maps[1:], strict=True):
        total = total + mean((x - y) ** 2 for i in range(len(a)) for x, y in numbers(attention(a[i]), attention(b[i])))
    return total


def pkt(made, s, t, labels, index):
    def affinities(e):
        for a in e:
            row = [(cosine(a, b) + 1) / 2 for b in e]
            yield [value / sum(row) for value in row]

    pairs = zip(affinities(t.embedding), affinities(s.embedding), strict=True)
    return mean(p * (p / q).log() for ours, theirs in pairs for p, q in zip(ours, theirs, strict=True))


def sp(made, s, t, labels, index):
    def similarities(maps):
        flat = [each.flatten() for each in maps]
        return torch.stack([unit(torch.stack([dot(a, b) for b in flat])) for a in flat])

    return mean((a - b) ** 2 for a, b in numbers(similarities(s.maps[-1]), similarities(t.maps[-1])))


def huber(a, b):
    return 0.5 * (a - b) ** 2 if abs(a - b) < 1 else abs(a - b) - 0.5


def rkd(made, s, t, labels, index):
    size = range(len(labels))

    def distances(e):
        found = {(i, j): dot(e[i] - e[j], e[i] - e[j]).sqrt() if i != j else ZERO for i in size for j in size}
        scale = mean(value for (i, j), value in found.items() if i != j)
        return [value / scale for value in found.values()]

    def angles(e):
        for i in size:
            for j in size:
                for k in size:
                    yield ZERO if i in (j, k) else cosine(e[j] - e[i], e[k] - e[i])

    distance = mean(map(huber, distances(s.embedding), distances(t.embedding)))
    return 25 * distance + 50 * mean(map(huber, angles(s.embedding), angles(t.embedding)))


def cc(made, s, t, labels, index):
    delta = [abs(made.student_map(a) - made.teacher_map(b)) for a, b in zip(s.embedding, t.embedding, strict=True)]
    return mean(dot(a, b) for a, b in pairwise(delta))


def vid(made, s, t, labels, index):
    total = ZERO
    for regressor, ours, theirs in zip(made.regressors, s.maps[1:], t.maps[1:], strict=True):
        variance = (1 + regressor.log_scale.exp()).log() + 1e-5
        means = regressor.mean(ours)
        terms = []
        for c in range(means.shape[1]):
            v = variance[c]
            terms += [0.5 * ((a - b) ** 2 / v + v.log()) for a, b in numbers(means[:, c], theirs[:, c])]
        total = total + mean(terms)
    return total


def ab_before(made, s, t, labels, index):
    total = ZERO
    for i, weight in ((1, 0.25), (2, 0.5), (3, 1.0)):
        for a, b in numbers(made.connectors[i - 1](s.preacts[i]), t.preacts[i]):
            if b > 0 and a <= 1:
                total = total + weight * (a - 1) ** 2
            if b <= 0 and a > -1:
                total = total + weight * (a + 1) ** 2
    return total * 3 / 1000 / len(labels)


def ft(made, s, t, labels, index):
    def factor(maps):
        return unit((sum(channel**2 for channel in maps) / len(maps)).flatten())

    ours, theirs = made.translator(s.maps[-1]), made.paraphraser(t.maps[-1])
    return mean(abs(a - b) for i in range(len(ours)) for a, b in numbers(factor(ours[i]), factor(theirs[i])))


def ft_before(made, s, t, labels, index):
    return mean((a - b) ** 2 for a, b in numbers(made.decoder(made.paraphraser(t.maps[-1])), t.maps[-1]))


def dkd(made, s, t, labels, index):
    values = []
    for z_s, z_t, label in zip(s.logits, t.logits, labels.tolist(), strict=True):
        p, q = (softmax([z / 4 for z in each]) for each in (z_t, z_s))
        binary = divergence([p[label], sum(p) - p[label]], [q[label], sum(q) - q[label]])
        rest = [i for i in range(len(p)) if i != label]
        p, q = (softmax([each[i] / 4 for i in rest]) for each in (z_t, z_s))
        values.append(16 * (binary + 8 * divergence(p, q)))
    return mean(values)


def nce(scores, z, images):
    """-log h(positive) - sum of log(1 - h(negative)) with h = P / (P + K / N + 1e-7) and P = exp(s) / Z."""
    share = (len(scores) - 1) / images
    positive, *negatives = [s.exp() / z for s in scores]
    found = -(positive / (positive + share + 1e-7)).log()
    return found - sum((share / (p + share + 1e-7)).log() for p in negatives)


def crd(made, s, t, labels, index, chosen):
    total = ZERO
    sides = ((made.student_map, s, made.banks.teacher), (made.teacher_map, t, made.banks.student))
    for project, network, bank in sides:
        scores = [
            [dot(unit(project(e)), bank[k]) / 0.07 for k in row.tolist()]
            for e, row in zip(network.embedding, chosen, strict=True)
        ]
        z = len(bank) * mean(x.detach().exp() for row in scores for x in row)
        total = total + mean(nce(row, z, len(bank)) for row in scores)
    return total


def crcd(made, s, t, labels, index, chosen):
    total = ZERO
    banks = made.banks[0]
    sides = ((made.student_maps[0], s, banks.teacher), (made.teacher_maps[0], t, banks.student))
    for project, network, bank in sides:
        scores = []
        for e, row in zip(network.embedding, chosen, strict=True):
            for anchor in bank[index]:
                ours = unit(project(e)) - anchor + 1e-6
                scores.append([cosine(ours, bank[k] - anchor + 1e-6) / 0.05 for k in row.tolist()])
        z = len(bank) * mean(x.detach().exp() for row in scores for x in row)
        total = total + mean(nce(row, z, len(bank)) for row in scores)
    return total


def wcord(made, s, t, labels, index, chosen):
    ours = [made.student_map(unit(e)) for e in s.embedding]
    theirs = [made.teacher_map(unit(e)) for e in t.embedding]
    dual = ZERO
    for queries, bank in ((ours, made.banks.teacher), (theirs, made.banks.student)):
        critic = [[dot(q, bank[k]) / 0.07 for k in row.tolist()] for q, row in zip(queries, chosen, strict=True)]
        dual = dual + mean(x for row in critic for x in row[1:]) - mean(row[0] for row in critic)
    cost = torch.stack([torch.stack([1 - cosine(a, b) for b in theirs]) for a in ours])
    kernel, size = (-cost.detach() / 0.1).exp(), len(cost)
    v = torch.ones(size, dtype=torch.float64)
    for _ in range(50):
        u = 1 / size / (kernel @ v)
        v = 1 / size / (kernel.T @ u)
    plan = [[u[i] * kernel[i, j] * v[j] for j in range(size)] for i in range(size)]
    primal = sum(plan[i][j] * cost[i, j] for i in range(size) for j in range(size))
    return 0.8 * dual + 0.05 * primal


def _kept(scores, labels, part):
    """Rows whose label is ranked first, and ``part`` of the others: those ranked best."""
    ranks = [int((row > row[label]).sum()) for row, label in zip(scores, labels, strict=True)]
    wrong = sorted((rank, row) for row, rank in enumerate(ranks) if rank)
    return [row for row, rank in enumerate(ranks) if not rank] + [row for _, row in wrong[: int(len(wrong) * part)]]


def _pretext(head, embeddings):
    """Cosines of every turned image with every plain one, and whose each is."""
    heads = [head(e) for e in embeddings]
    plain = heads[::4]
    rows = [(i // 4, torch.stack([cosine(h, p) for p in plain])) for i, h in enumerate(heads) if i % 4]
    return [row for _, row in rows], [owner for owner, _ in rows]


def sskd(made, s, t, labels, index):
    turned = [i for i in range(4 * len(labels)) if i % 4]
    kd = mean(soft(s.logits[i], t.logits[i], 4) for i in range(0, 4 * len(labels), 4))
    kept = _kept([t.logits[i] for i in turned], [int(labels[i // 4]) for i in turned], 1.0)
    of_turned = mean(soft(s.logits[turned[i]], t.logits[turned[i]], 4) for i in kept)
    ours, owners = _pretext(made.student_head, s.embedding)
    theirs, _ = _pretext(made.teacher_head, t.embedding)
    pretext = mean(soft(ours[i], theirs[i], 0.5) for i in _kept(theirs, owners, 0.75))
    return 0.9 * kd + 2.7 * of_turned + 10 * pretext


def sskd_before(made, s, t, labels, index):
    rows, owners = _pretext(made.teacher_head, t.embedding)
    return mean(-softmax(list(row))[owner].log() for row, owner in zip(rows, owners, strict=True))


def logit_standard(made, s, t, labels, index):
    def standardised(logits):
        centre = sum(logits) / len(logits)
        deviation = (sum((z - centre) ** 2 for z in logits) / (len(logits) - 1)).sqrt()
        return [(z - centre) / (deviation + 1e-7) for z in logits]

    return mean(soft(standardised(a), standardised(b), 2) for a, b in zip(s.logits, t.logits, strict=True))


assert math.isclose(float(huber(torch.tensor(3.0), torch.tensor(0.0))), 2.5)

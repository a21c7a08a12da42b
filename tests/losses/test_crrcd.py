import copy
import math

import losses_oracle as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.errors import LrfaceError
from lrface.losses import CRRCD
from lrface.losses import contrast as contrast_module

DOUBLE = torch.float64


def build(seed=0, dtype=DOUBLE, **kwargs):
    """A tiny CRRCD, and an oracle for it that shares its parameters."""
    torch.manual_seed(seed)
    options = {"cardinality": 50, "teacher_dim": 6, "student_dim": 5, "projected_dim": 4, "negatives": 7} | kwargs
    module = CRRCD(**options).to(dtype)
    return module, oracle.CRRCDOracle(module)


def draw(size, seed=1, identities=3, dtype=DOUBLE, first=0):
    """student, teacher, labels, index of one batch."""
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(size, 5, generator=generator, dtype=dtype).requires_grad_()
    teacher = 3 * torch.randn(size, 6, generator=generator, dtype=dtype)
    labels = torch.randint(identities, (size,), generator=generator)
    return student, teacher, labels, torch.arange(first, first + size)


def remember(module, reference, size, seed=9, first=100):
    """Push one batch to the module's queue and the oracle's history."""
    student, _, labels, index = draw(size, seed, first=first)
    module.enqueue(student, labels, index)
    reference.history += list(zip(student.detach(), labels.tolist(), index.tolist(), strict=True))


def gradients(loss, module, student):
    """d loss / d everything that learns, by name; None where it has no influence."""
    named = {"student": student, **dict(module.named_parameters())}
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), found, strict=True)}


def assert_same(module, reference, batch, z=None, **tolerance):
    """Values and gradients of both terms agree with the oracle's."""
    expected = reference.terms(*batch, z=z)
    actual = module.terms(*batch)
    for mine, theirs in zip(actual, (*expected, sum(expected)), strict=True):
        torch.testing.assert_close(mine, theirs, **tolerance)
        if theirs.requires_grad:
            theirs_by_name = gradients(theirs, module, batch[0])
            for key, grad in gradients(mine, module, batch[0]).items():
                torch.testing.assert_close(grad, theirs_by_name[key], msg=lambda m, k=key: f"{k}: {m}", **tolerance)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("normaliser", ["paper", "crd"])
@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
@pytest.mark.parametrize("queue", [True, False])
def test_equals_the_equations(queue, sampling, normaliser, reduction):
    options = {"queue": queue, "sampling": sampling, "normaliser": normaliser, "negative_reduction": reduction}
    module, reference = build(temperature=0.4, **options)
    remember(module, reference, 5)
    assert_same(module, reference, draw(4), rtol=1e-9, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 5),
    negatives=st.integers(1, 12),
    pushed=st.lists(st.integers(1, 6), max_size=3),
    identities=st.integers(1, 4),
    cardinality=st.integers(1, 10**6),
    temperature=st.floats(0.05, 2),
    repeat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_equations_for_any_size(size, negatives, pushed, identities, cardinality, temperature, repeat, seed):
    module, reference = build(seed, negatives=negatives, cardinality=cardinality, temperature=temperature)
    for number, count in enumerate(pushed):
        # Sample numbers of the batch's own range: a queue holds the batch's samples again after an epoch.
        remember(module, reference, count, seed=seed + number, first=3 * number)
    student, teacher, labels, index = draw(size, seed, identities)
    if repeat:
        index = index // 2
    assert_same(module, reference, (student, teacher, labels, index), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("numbers", [1, 40, 10**9])
def test_tiles_do_not_change_the_result(monkeypatch, numbers):
    monkeypatch.setattr(contrast_module, "_TILE_CPU", numbers)
    module, reference = build(normaliser="crd", negatives=6)
    remember(module, reference, 3)
    assert_same(module, reference, draw(5), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("negatives", [1, 2, 3, 24, 64, 128, 200])
def test_folded_softplus_sum(negatives):
    """The folding of log1p depends on the number of candidates: odd, powers of two, more than six halvings."""
    values = torch.linspace(-40, 40, negatives * 3, dtype=DOUBLE).view(3, negatives)
    values[:, 0] = torch.tensor([-math.inf, -1e-3, 0.0])
    columns = values.T[None]
    total = contrast_module._sum_softplus(columns, torch.empty_like(columns))[0]
    expected = [sum(math.log1p(math.exp(-abs(v))) + max(v, 0) for v in row) for row in values.tolist()]
    torch.testing.assert_close(total, torch.tensor(expected, dtype=DOUBLE), rtol=1e-12, atol=0)


@pytest.mark.parametrize("normaliser", ["paper", "crd"])
def test_gradcheck(normaliser):
    module, reference = build(normaliser=normaliser, temperature=0.5)
    remember(module, reference, 4)
    student, teacher, labels, index = draw(4)
    module.terms(student, teacher, labels, index)
    module.eval()  # freezes Z, which is a constant of the gradient
    names = [name for name, _ in module.named_parameters()]

    def loss(student, *parameters):
        terms = torch.func.functional_call(
            _Terms(module), dict(zip(names_in(names), parameters, strict=True)), (student, teacher, labels, index)
        )
        return terms.positive, terms.negative

    assert torch.autograd.gradcheck(loss, (student, *module.parameters()))


class _Terms(torch.nn.Module):
    """``terms`` under the name that functional_call calls."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *batch):
        return self.inner.terms(*batch)


def names_in(names):
    return [f"inner.{name}" for name in names]


def test_float32_is_close_to_the_equations():
    module, reference = build(temperature=0.1, cardinality=490_623, negatives=16)
    remember(module, reference, 12)
    student, teacher, labels, index = draw(6)
    expected = reference.terms(student, teacher, labels, index)
    expected_grad = gradients(sum(expected), module, student)
    single = copy.deepcopy(module).float()
    student32 = student.detach().float().requires_grad_()
    actual = single.terms(student32, teacher.float(), labels, index)
    assert actual.positive.dtype == actual.negative.dtype == torch.float32
    for mine, theirs in zip(actual, (*expected, sum(expected)), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=2e-5, atol=1e-6)
    for name, grad in gradients(actual.total, single, student32).items():
        largest = expected_grad[name].abs().max().item()
        torch.testing.assert_close(grad.double(), expected_grad[name], rtol=1e-3, atol=2e-5 * largest)


def test_autocast_and_half_input_change_nothing():
    module, reference = build(dtype=torch.float32)
    remember(module, reference, 4)
    student, teacher, labels, index = draw(4, dtype=torch.float32)
    halves = student.detach().bfloat16().requires_grad_(), teacher.bfloat16(), labels, index
    plain = module.terms(halves[0].float(), halves[1].float(), labels, index)
    with torch.autocast("cpu", torch.bfloat16):
        actual = module.terms(*halves)
        actual.total.backward()
    assert actual.positive.dtype == actual.negative.dtype == torch.float32
    assert torch.equal(actual.positive, plain.positive)
    assert torch.equal(actual.negative, plain.negative)
    assert halves[0].grad.isfinite().all()
    assert halves[0].grad.abs().sum() > 0


def test_teacher_gets_no_gradient_and_scale_does_not_matter():
    module, reference = build()
    remember(module, reference, 3)
    student, teacher, labels, index = draw(4)
    teacher.requires_grad_()
    loss = module(student, teacher, labels, index)
    loss.backward()
    assert teacher.grad is None
    torch.testing.assert_close(module(student * 50, teacher / 30, labels, index), loss)


def test_forward_is_the_sum_of_the_terms():
    module, reference = build()
    remember(module, reference, 3)
    terms = module.terms(*draw(4))
    assert torch.equal(module(*draw(4)), terms.total)
    assert torch.equal(terms.total, terms.positive + terms.negative)


def degenerate(name):
    student, teacher, labels, index = draw(3, dtype=torch.float32)
    if name == "one sample":
        return student[:1].detach().requires_grad_(), teacher[:1], labels[:1], index[:1]
    if name == "one sample twice":
        rows = [0, 0]
        return student[rows].detach().requires_grad_(), teacher[rows], labels[rows], index[rows]
    if name == "a duplicate":
        rows = [0, 1, 0]
        return student[rows].detach().requires_grad_(), teacher[rows], labels[rows], index[rows]
    if name == "one identity":
        return student, teacher, torch.zeros_like(labels), index
    if name == "all embeddings equal":
        return torch.ones(3, 5).requires_grad_(), torch.ones(3, 6), torch.arange(3), index
    return torch.zeros(3, 5).requires_grad_(), torch.zeros(3, 6), torch.arange(3), index


@pytest.mark.parametrize("normaliser", ["paper", "crd"])
@pytest.mark.parametrize("queue", [True, False])
@pytest.mark.parametrize(
    ("case", "positive", "negative"),
    [
        ("one sample", False, False),
        ("one sample twice", False, False),
        ("a duplicate", True, False),
        ("one identity", True, False),
        ("all embeddings equal", True, True),
        ("embeddings of zeros", True, True),
    ],
)
def test_degenerate_batches(case, positive, negative, queue, normaliser):
    """A term without a valid pair is exactly 0; all is finite, can be differentiated, and leaves Z usable."""
    module, _ = build(dtype=torch.float32, queue=queue, normaliser=normaliser)
    student, *rest = degenerate(case)
    terms = module.terms(student, *rest)
    assert (terms.positive != 0).item() == positive
    assert (terms.negative != 0).item() == negative
    assert terms.total.isfinite()
    for term in terms:
        grad = torch.autograd.grad(term, [student, *module.parameters()], retain_graph=True, allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in grad)
        assert term.requires_grad
    assert module.log_z.isfinite().item() == (negative and normaliser == "crd")
    assert module(*draw(4, dtype=torch.float32, identities=40)).isfinite()


def test_empty_queue_is_no_queue():
    with_queue, _ = build(queue=True)
    without, _ = build(queue=False)
    assert torch.equal(with_queue(*draw(4)), without(*draw(4)))


def test_unfilled_slots_are_no_candidates():
    """Slots that were never filled hold sample 0, label 0: neither may matter."""
    module, reference = build(negatives=40)
    remember(module, reference, 3)
    student, teacher, labels, index = draw(4)
    assert_same(module, reference, (student, teacher, labels, index + 10), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("normaliser", ["paper", "crd"])
@pytest.mark.parametrize("negatives", [8, 512])
@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.3])
def test_sharp_temperatures_stay_finite(temperature, negatives, normaliser):
    """exp(s / tau) itself is 5e21 at tau = 0.02: students that equal their teacher, and relations that all agree."""
    torch.manual_seed(3)
    module = CRRCD(10**6, 6, 6, 4, negatives=negatives, temperature=temperature, normaliser=normaliser)
    for a, b in [(module.teacher_relation, module.cross_relation), (module.teacher_head, module.cross_head)]:
        b.load_state_dict(a.state_dict())
    teacher = torch.randn(6, 6)
    student = (teacher + 1e-4).requires_grad_()
    terms = module.terms(student, teacher, torch.arange(6), torch.arange(6))
    # The same pair on both sides has s = 1.
    expected = math.log1p(math.exp(-(1 / temperature - math.log(negatives / 10**6))))
    if normaliser == "paper":
        assert terms.positive.item() == pytest.approx(expected, rel=0.02)
    terms.total.backward()
    assert terms.total.isfinite()
    assert student.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_only_the_newest_samples_are_candidates():
    """n counts the batch: with n = 5 and a batch of 3, two queued samples matter and older ones do not."""
    module, reference = build(negatives=5)
    remember(module, reference, 5)
    batch = draw(3)
    before = module(*batch)
    module.queue.embeddings[:3] += 1  # the three oldest, pushed into an empty queue from slot 0
    assert torch.equal(module(*batch), before)
    module.queue.embeddings[3] *= -1
    assert not torch.equal(module(*batch), before)


def test_batch_larger_than_the_number_of_negatives():
    module, reference = build(negatives=2)
    remember(module, reference, 4)
    assert_same(module, reference, draw(5), rtol=1e-9, atol=1e-11)


def test_sampling_policies():
    """A candidate of j's identity is a negative under unsupervised sampling only; the samples i and j never are."""

    def negative_part(sampling, labels, numbers):
        module, _ = build(sampling=sampling, negatives=3)
        old = torch.ones(1, 5, dtype=DOUBLE)
        module.enqueue(old, torch.tensor([labels[2]]), torch.tensor([numbers[2]]))
        student, teacher, _, _ = draw(2)
        return module.terms(student, teacher, torch.tensor(labels[:2]), torch.tensor(numbers[:2])).negative.item()

    different = negative_part("supervised", [0, 0, 1], [0, 1, 2])
    assert different > 0
    assert negative_part("supervised", [0, 0, 0], [0, 1, 2]) == 0
    assert negative_part("unsupervised", [0, 0, 0], [0, 1, 2]) == different
    assert negative_part("unsupervised", [0, 0, 1], [0, 1, 1]) == 0


def test_gradient_reaches_the_batch_only():
    """Negatives out of the batch carry gradient to their student embedding; queued ones are constants."""
    module, reference = build(negatives=8)
    remember(module, reference, 5)
    student, teacher, labels, index = draw(3, identities=1)
    negative = module.terms(student, teacher, labels + 7, index).negative
    assert torch.autograd.grad(negative, student)[0].abs().sum() == 0  # one identity: only the queue has negatives
    negative = module.terms(student, teacher, index, index).negative
    assert torch.autograd.grad(negative, student)[0].abs().sum() > 0


def test_nothing_is_queued_but_by_enqueue_in_training():
    module, _ = build()
    student, teacher, labels, index = draw(3)
    module.terms(student, teacher, labels, index)
    module(student, teacher, labels, index)
    assert module.queue.filled == 0
    module.eval()
    module.enqueue(student, labels, index)
    assert module.queue.filled == 0
    module.train()
    module.enqueue(student, labels, index)
    assert module.queue.filled == 3
    assert not module.queue.embeddings.requires_grad
    build(queue=False)[0].enqueue(student, labels, index)


def test_backward_after_enqueue():
    """The queue moves on before backward is called: the graph must not see it."""
    module, reference = build()
    remember(module, reference, 7)
    student, teacher, labels, index = draw(4)
    before = gradients(module(student, teacher, labels, index), module, student)
    loss = module(student, teacher, labels, index)
    module.enqueue(student, labels, index)
    for name, grad in gradients(loss, module, student).items():
        assert torch.equal(grad, before[name])


def test_crd_normaliser_is_a_running_average():
    module, reference = build(normaliser="crd", normaliser_momentum=0.9, temperature=0.3)
    z = math.nan
    for step in range(3):
        batch = draw(4, seed=step)
        own = reference.batch_z(reference.scores(*batch)[1])
        # The first batch is normalised by its own Z; each later one by the average over the batches before it.
        z_used = own if step == 0 else z
        trial = copy.deepcopy(module)
        assert_same(trial, oracle.CRRCDOracle(trial), batch, z=z_used, rtol=1e-8, atol=1e-10)
        module.terms(*batch)
        z = own if step == 0 else 0.9 * z + 0.1 * own
        assert module.log_z.exp().item() == pytest.approx(z)
    frozen = module.log_z.clone()
    module.eval()
    module.terms(*draw(4, seed=7))
    assert torch.equal(module.log_z, frozen)


@pytest.mark.parametrize(("momentum", "kept"), [(1.0, True), (0.0, False)])
def test_crd_momentum_extremes(momentum, kept):
    module, reference = build(normaliser="crd", normaliser_momentum=momentum)
    module.terms(*draw(4, seed=1))
    module.terms(*draw(4, seed=2))
    seed = 1 if kept else 2
    expected = reference.batch_z(reference.scores(*draw(4, seed=seed))[1])
    assert module.log_z.exp().item() == pytest.approx(expected)


def test_state_dict_continues_identically():
    """Three steps, then a fresh module with the state: the same losses and queue from there on."""

    def step(module, number):
        batch = draw(4, seed=number, dtype=torch.float32, first=4 * number)
        loss = module(*batch)
        module.enqueue(batch[0], batch[2], batch[3])
        return loss

    options = {"normaliser": "crd", "negatives": 6, "dtype": torch.float32}
    module, _ = build(**options)
    for number in range(3):
        step(module, number)
    resumed, _ = build(seed=5, **options)
    resumed.load_state_dict(copy.deepcopy(module.state_dict()))
    for number in range(3, 6):
        assert torch.equal(step(resumed, number), step(module, number))
    for name, value in module.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_initial_scores_differ():
    """Were the projections smaller than the initial biases, all relations would start alike, and so all scores."""
    torch.manual_seed(0)
    module = CRRCD(1000, teacher_dim=128, student_dim=128, projected_dim=32).double()
    student, teacher = torch.randn(2, 5, 128, dtype=DOUBLE)
    _, negative = oracle.CRRCDOracle(module).scores(student, teacher, torch.arange(5), torch.arange(5))
    assert torch.tensor([s.item() for scores in negative.values() for s in scores]).std() > 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"cardinality": 0},
        {"negatives": 0},
        {"negatives": 2.5},
        {"projected_dim": 0},
        {"teacher_dim": -1},
        {"student_dim": True},
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"sampling": "random"},
        {"normaliser": "none"},
        {"negative_reduction": "max"},
        {"normaliser_momentum": 1.5},
        {"normaliser_momentum": math.nan},
    ],
)
def test_bad_arguments(change):
    (name,) = change
    with pytest.raises(LrfaceError, match=name):
        build(**change)


def test_bad_batches():
    module, _ = build()
    student, teacher, labels, index = draw(3)
    bad = {
        "student": [(student[:, :4], teacher, labels, index), (student[:0], teacher[:0], labels[:0], index[:0])],
        "teacher": [(student, teacher[:2], labels, index), (student, teacher[:, :5], labels, index)],
        "labels": [(student, teacher, labels[:2], index), (student, teacher, labels.double(), index)],
        "index": [(student, teacher, labels, index[:, None]), (student, teacher, labels, index > 0)],
    }
    for name, batches in bad.items():
        for batch in batches:
            with pytest.raises(LrfaceError, match=name):
                module.terms(*batch)
    with pytest.raises(LrfaceError, match="labels"):
        module.enqueue(student, labels[:2], index)

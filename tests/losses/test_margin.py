import math

import losses_oracle as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.errors import LrfaceError
from lrface.losses import ArcFace, CosFace

ORACLES = {ArcFace: oracle.arcface, CosFace: oracle.cosface}
BOTH = pytest.mark.parametrize("loss_class", [ArcFace, CosFace])
DOUBLE = torch.float64


def build(loss_class, classes=4, dim=5, seed=0, dtype=DOUBLE, **kwargs):
    torch.manual_seed(seed)
    return loss_class(classes, dim, **kwargs).to(dtype)


def draw(size, dim=5, classes=4, seed=1, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(seed)
    embeddings = 3 * torch.randn(size, dim, generator=generator, dtype=dtype)
    return embeddings.requires_grad_(), torch.randint(classes, (size,), generator=generator)


def reference(module, embeddings, labels):
    return ORACLES[type(module)](embeddings, labels, module.weight, module.scale, module.margin)


@BOTH
@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 5),
    dim=st.integers(2, 6),
    classes=st.integers(1, 5),
    scale=st.floats(1, 64),
    margin=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_equals_the_equations(loss_class, size, dim, classes, scale, margin, seed):
    module = build(loss_class, classes, dim, seed, scale=scale, margin=margin)
    embeddings, labels = draw(size, dim, classes, seed + 5000)  # another seed than the weights: no cosine of 1
    inputs = (embeddings, module.weight)
    actual, expected = module(embeddings, labels), reference(module, embeddings, labels)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)
    for mine, theirs in zip(torch.autograd.grad(actual, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-9)


@BOTH
def test_gradcheck(loss_class):
    module = build(loss_class, scale=4.0)
    embeddings, labels = draw(3)

    def loss(embeddings, weight):
        return torch.func.functional_call(module, {"weight": weight}, (embeddings, labels))

    assert torch.autograd.gradcheck(loss, (embeddings, module.weight))


@BOTH
def test_float32_is_close_to_the_equations(loss_class):
    module = build(loss_class, classes=20, dim=16)
    embeddings, labels = draw(8, 16, 20)
    expected = reference(module, embeddings, labels)
    (expected_grad,) = torch.autograd.grad(expected, embeddings)
    single = embeddings.detach().float().requires_grad_()
    actual = module.float()(single, labels)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(actual, single)[0].double(), expected_grad, rtol=1e-4, atol=1e-5 * expected_grad.abs().max()
    )


@BOTH
def test_autocast_and_half_input_change_nothing(loss_class):
    module = build(loss_class, dtype=torch.float32)
    embeddings, labels = draw(4, dtype=torch.float32)
    half = embeddings.detach().bfloat16().requires_grad_()
    plain, plain_logits = module(half.float(), labels), module.logits(half.float())
    with torch.autocast("cpu", torch.bfloat16):
        actual, logits = module(half, labels), module.logits(half)
        actual.backward()
    assert actual.dtype == logits.dtype == torch.float32
    assert torch.equal(actual, plain)
    assert torch.equal(logits, plain_logits)
    assert half.grad.isfinite().all()


@BOTH
def test_logits_have_no_margin(loss_class):
    module = build(loss_class, scale=10.0)
    embeddings, labels = draw(3)
    expected = [[10 * oracle.cosine(e, w).item() for w in module.weight] for e in embeddings]
    torch.testing.assert_close(module.logits(embeddings), torch.tensor(expected, dtype=DOUBLE))
    module.margin = 0.0
    cross_entropy = torch.nn.functional.cross_entropy(module.logits(embeddings), labels)
    torch.testing.assert_close(module(embeddings, labels), cross_entropy)


@pytest.mark.parametrize(("loss_class", "margin"), [(ArcFace, 0.5), (CosFace, 0.35)])
def test_default_margin_and_scale(loss_class, margin):
    module = loss_class(7)
    assert (module.margin, module.scale, tuple(module.weight.shape)) == (margin, 64.0, (7, 512))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("margin", [0.0, 0.5, math.pi / 2])
@BOTH
def test_finite_at_both_ends_of_the_cosine(loss_class, margin, dtype):
    module = build(loss_class, classes=3, dim=4, dtype=dtype, margin=min(margin, loss_class.max_margin))
    # Embeddings along and against their class weight: cosines of +-1, beyond them by rounding.
    embeddings = torch.cat([7 * module.weight, -3 * module.weight]).detach().requires_grad_()
    loss = module(embeddings, torch.arange(3).repeat(2))
    loss.backward()
    assert loss.isfinite()
    assert embeddings.grad.isfinite().all()
    assert module.weight.grad.isfinite().all()


def test_arcface_penalty_grows_with_the_angle_to_the_very_end():
    """cos(theta + m) would rise again beyond theta = pi - m: there the fallback takes over."""
    theta = torch.linspace(0.01, math.pi, 500, dtype=DOUBLE)
    penalised = build(ArcFace).with_margin(theta.cos())
    assert (penalised.diff() < 0).all()
    assert penalised[-1].item() == pytest.approx(-1 - 0.5 * math.sin(0.5))
    assert penalised[100].item() == pytest.approx(math.cos(theta[100].item() + 0.5))


@BOTH
def test_one_sample_duplicates_and_zeros(loss_class):
    module = build(loss_class)
    embeddings, labels = draw(1)
    once = module(embeddings, labels)
    twice = module(embeddings.repeat(2, 1), labels.repeat(2))
    torch.testing.assert_close(once, twice)
    zeros = torch.zeros(2, 5, dtype=DOUBLE, requires_grad=True)
    module(zeros, torch.tensor([0, 1])).backward()
    assert zeros.grad.isfinite().all()


@pytest.mark.parametrize(
    "change",
    [
        {"num_classes": 0},
        {"num_classes": 2.0},
        {"embedding_dim": 0},
        {"scale": 0},
        {"scale": math.inf},
        {"margin": -0.1},
        {"margin": 2.0},
        {"margin": math.nan},
    ],
)
@BOTH
def test_bad_arguments(loss_class, change):
    (name,) = change
    with pytest.raises(LrfaceError, match=name):
        loss_class(**({"num_classes": 3, "embedding_dim": 4} | change))


@BOTH
def test_bad_batches(loss_class):
    module = build(loss_class)
    embeddings, labels = draw(3)
    for bad in (embeddings[:, :4], embeddings[0], embeddings[:0], embeddings.long()):
        with pytest.raises(LrfaceError, match="embeddings"):
            module(bad, labels)
        with pytest.raises(LrfaceError, match="embeddings"):
            module.logits(bad)
    for bad in (labels[:2], labels.double(), labels[:, None], labels - 5, labels + 4):
        with pytest.raises(LrfaceError, match="labels"):
            module(embeddings, bad)


@BOTH
def test_state_dict_is_the_weight(loss_class):
    module = build(loss_class)
    assert list(module.state_dict()) == ["weight"]

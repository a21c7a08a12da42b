import losses_oracle as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.errors import LrfaceError
from lrface.losses import CosineRegression


def draw(size, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 4 * torch.randn(2, size, dim, generator=generator, dtype=torch.float64)
    return student.clone().requires_grad_(), teacher.clone()


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 5), dim=st.integers(2, 7), seed=st.integers(0, 1000))
def test_equals_the_equation(size, dim, seed):
    student, teacher = draw(size, dim, seed)
    actual, expected = CosineRegression()(student, teacher), oracle.cosine_regression(student, teacher)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    (mine,), (theirs,) = torch.autograd.grad(actual, student), torch.autograd.grad(expected, student)
    torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-11)


def test_gradcheck():
    student, teacher = draw(3, 4)
    assert torch.autograd.gradcheck(lambda e: CosineRegression()(e, teacher), student)


def test_ends_of_the_range():
    student, _ = draw(3, 4)
    for factor, expected in ((5.0, 0.0), (-5.0, 2.0)):
        loss = CosineRegression()(student, factor * student.detach())
        assert loss.item() == pytest.approx(expected, abs=1e-12)
        assert torch.autograd.grad(loss, student)[0].isfinite().all()


def test_float32_and_autocast():
    student, teacher = draw(3, 6)
    expected = oracle.cosine_regression(student, teacher).detach()
    actual = CosineRegression()(student.float(), teacher.float())
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-6)
    half = student.detach().bfloat16().requires_grad_()
    plain = CosineRegression()(half.float(), teacher.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        actual = CosineRegression()(half, teacher.bfloat16())
        actual.backward()
    assert actual.dtype == torch.float32
    assert torch.equal(actual, plain)
    assert half.grad.isfinite().all()


def test_zeros_and_teacher():
    zeros = torch.zeros(2, 3, requires_grad=True)
    teacher = torch.ones(2, 3, requires_grad=True)
    loss = CosineRegression()(zeros, teacher)
    loss.backward()
    assert loss.item() == 1
    assert zeros.grad.isfinite().all()
    assert teacher.grad is None


def test_bad_batches():
    student, teacher = draw(3, 4)
    for bad in (teacher[:2], teacher[:, :3], teacher[0], teacher.long()):
        with pytest.raises(LrfaceError, match="teacher"):
            CosineRegression()(student, bad)
    with pytest.raises(LrfaceError, match="student"):
        CosineRegression()(student[:0], teacher[:0])

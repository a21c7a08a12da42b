import math

import losses_oracle as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.errors import LrfaceError
from lrface.losses import KD


def draw(size, classes, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 5 * torch.randn(2, size, classes, generator=generator, dtype=dtype)
    return student.clone().requires_grad_(), teacher.clone()


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 5), classes=st.integers(1, 6), rho=st.floats(0.5, 20), seed=st.integers(0, 1000))
def test_equals_the_equation(size, classes, rho, seed):
    student, teacher = draw(size, classes, seed)
    actual, expected = KD(rho)(student, teacher), oracle.kd(student, teacher, rho)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-11)
    (mine,), (theirs,) = torch.autograd.grad(actual, student), torch.autograd.grad(expected, student)
    torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


def test_gradcheck():
    student, teacher = draw(3, 4)
    assert torch.autograd.gradcheck(lambda z: KD()(z, teacher), student)


def test_value_includes_the_entropy_of_the_teacher():
    """Equal logits: Eq. 12 gives rho^2 times the entropy, not 0."""
    _, teacher = draw(1, 5)
    target = (teacher[0] / 4).softmax(0)
    assert KD()(teacher, teacher).item() == pytest.approx(-16 * (target * target.log()).sum().item())


def test_float32_and_autocast():
    student, teacher = draw(3, 6)
    expected = oracle.kd(student, teacher, 4.0).detach()
    torch.testing.assert_close(KD()(student.float(), teacher.float()).double(), expected, rtol=1e-5, atol=1e-5)
    half = student.detach().bfloat16().requires_grad_()
    plain = KD()(half.float(), teacher.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        actual = KD()(half, teacher.bfloat16())
        actual.backward()
    assert actual.dtype == torch.float32
    assert torch.equal(actual, plain)
    assert half.grad.isfinite().all()


def test_logits_beyond_the_range_of_exp():
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = KD(1.0)(student, torch.tensor([[1e4, 0.0, -1e4]]))
    loss.backward()
    assert loss.item() == 0
    assert student.grad.isfinite().all()


def test_teacher_gets_no_gradient():
    student, teacher = draw(2, 3)
    teacher.requires_grad_()
    KD()(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("temperature", [0, -1.0, math.inf, math.nan, "4"])
def test_bad_temperature(temperature):
    with pytest.raises(LrfaceError, match="temperature"):
        KD(temperature)


def test_bad_batches():
    student, teacher = draw(3, 4)
    for bad in (teacher[:2], teacher[:, :3], teacher[0], teacher.long()):
        with pytest.raises(LrfaceError, match="teacher_logits"):
            KD()(student, bad)
    with pytest.raises(LrfaceError, match="student_logits"):
        KD()(student[:0], teacher[:0])

"""Every distillation method against its equation, against figures of reference code, and with degenerate input."""

from dataclasses import fields, replace

import methods_cases as cases
import methods_oracle as oracle
import pytest
import torch

from lrface.errors import LrfaceError
from lrface.losses.method import PARTS, Outputs, Setting, Shape, method
from lrface.losses.registry import create_method, method_class, methods

NAMES = tuple(methods())
LABELS, INDEX = cases.LABELS[cases.INDEX], cases.INDEX
DRAWING = ("crd", "crcd", "wcord")  # methods that draw negatives at random
#: Whose gradient is compared.
LEAF = {
    "fitnet": lambda s: s.maps[2], "at": lambda s: s.maps[2], "sp": lambda s: s.maps[-1], "vid": lambda s: s.maps[2],
    "ft": lambda s: s.maps[-1], "dkd": lambda s: s.logits, "sskd": lambda s: s.logits, "ab": lambda s: s.preacts[2],
    "logit_standard": lambda s: s.logits,
}  # fmt: skip
#: Value, norm of the gradient and its product with ``wave(seed=33)``, in float64, of: RepDistiller (b84f547) for all but
#: dkd: mdistiller (a08d46f); crcd: Lechatelia/CRCD (f9176f6); sskd: xuguodong03/SSKD (661b972); logit_standard:
#: sunshangquan/logit-standardization-KD (f6e5aa5). Inputs are those of ``methods_cases``.
REFERENCE = {
    "fitnet": (1.13621243508, 0.0195253563792, 0.00460610761379),
    "at": (0.0646169237548, 0.00485751173332, -0.00562361879189),
    "pkt": (0.00661484397755, 0.00559496674949, -0.00266702766597),
    "sp": (0.162159451202, 0.0281997485905, 0.0174367491765),
    "rkd": (3.45563213703, 2.15994137025, 2.10022311353),
    "cc": (116.994614884, 18.2677808145, 45.495601963),
    "vid": (1.86962535129, 0.00999401348217, -0.0192275806138),
    "ft": (0.357774335209, 0.0158490111759, 0.0150112219276),
    "dkd": (25.2007177182, 4.094643967, 7.43206245433),
    "crd": (18.1561738226, 1.55602546726, 0.618459305244),
    "crcd": (17.3191115749, 0.9386328282, 0.0323371045398),
    "sskd": (9.15546535853, 0.711093357427, 2.83494350928),
    "logit_standard": (0.747129338329, 0.0666333060318, 0.0376584500098),
}
REFERENCE_BEFORE = {
    "ab": (0.737154312347, 0.00463518696768, -0.00436172240673),
    "ft": (3.02975671447, 6.08963828868, -3.10096558404),
    "sskd": (1.97599305334, 0.11476677638, -0.0142646742008),
}
#: The banks after the step, their products with ``wave(seed=34)`` and ``wave(seed=35)``.
REFERENCE_BANKS = {"crd": (32.9904874875, 32.9709360161), "crcd": (32.9904874875, 32.9709360161)}


def leaf_of(name: str, student: Outputs) -> torch.Tensor:
    return LEAF.get(name, lambda s: s.embedding)(student)


def value_of(name: str, made, student: Outputs, teacher: Outputs) -> torch.Tensor:
    """The loss, with fixed candidates where a method draws them."""
    if name not in DRAWING:
        return made(student, teacher, LABELS, INDEX)
    chosen = cases.CHOSEN[:, 1:] if name == "wcord" else cases.CHOSEN
    return made.contrast(student.embedding, teacher.embedding.detach(), INDEX, chosen)


def figures(value: torch.Tensor, leaf: torch.Tensor) -> tuple[float, float, float]:
    (grad,) = torch.autograd.grad(value, leaf)
    return value.item(), grad.norm().item(), (grad * cases.wave(*leaf.shape, seed=33)).sum().item()


def compare(actual: torch.Tensor, expected: torch.Tensor, leaves: list[torch.Tensor], tolerance: float = 1e-9) -> None:
    """Values and gradients agree."""
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=1e-12)
    ours = torch.autograd.grad(actual, leaves, allow_unused=True)
    theirs = torch.autograd.grad(expected, leaves, allow_unused=True)
    assert any(each is not None for each in theirs)
    for one, other, leaf in zip(ours, theirs, leaves, strict=True):
        zero = torch.zeros_like(leaf)
        one, other = (zero if each is None else each for each in (one, other))
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * max(float(other.abs().max()), 1e-9))


def leaves_of(name: str, made, student: Outputs) -> list[torch.Tensor]:
    return [leaf_of(name, student), *made.parameters()]


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(oracle, name)])
def test_equals_the_equation(name):
    made, (student, teacher) = cases.build(name).eval(), cases.pair(name)
    arguments = (made, student, teacher.detach(), LABELS, INDEX)
    expected = getattr(oracle, name)(*arguments, *([cases.CHOSEN] if name in DRAWING else []))
    for fixed in ("paraphraser", "teacher_head"):  # what the stage before has trained
        getattr(made, fixed, torch.nn.Identity()).requires_grad_(False)
    leaves = [leaf for leaf in leaves_of(name, made, student) if leaf.requires_grad]
    # PKT has 1e-7 under its logarithms, RKD 1e-12 under a root, and a sum of exponentials is taken on logarithms.
    compare(value_of(name, made, student, teacher), expected, leaves, 1e-5 if name == "pkt" else 1e-8)


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(oracle, f"{name}_before")])
def test_stage_before_equals_the_equation(name):
    made, (student, teacher) = cases.build(name).eval(), cases.pair(name)
    expected = getattr(oracle, f"{name}_before")(made, student, teacher.detach(), LABELS, INDEX)
    compare(made.before(student, teacher, LABELS, INDEX), expected, leaves_of(name, made, student))


@pytest.mark.parametrize("name", REFERENCE)
def test_equals_the_reference(name):
    made, (student, teacher) = cases.build(name), cases.pair(name)
    found = figures(value_of(name, made, student, teacher), leaf_of(name, student))
    # The reference keeps Z in float32.
    assert found == pytest.approx(REFERENCE[name], rel=1e-6 if name in DRAWING else 1e-9)
    if name in REFERENCE_BANKS:
        made.remember()
        banks = made.banks if name == "crd" else made.banks[0]
        for bank, seed, expected in zip((banks.student, banks.teacher), (34, 35), REFERENCE_BANKS[name], strict=True):
            assert (bank * cases.wave(*bank.shape, seed=seed)).sum().item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", REFERENCE_BEFORE)
def test_stage_before_equals_the_reference(name):
    made, (student, teacher) = cases.build(name), cases.pair(name)
    if name == "sskd":  # the teacher's outputs carry no gradient; its head does
        made.teacher_head.register_forward_pre_hook(lambda module, args: (args[0].requires_grad_(),))
        seen = []
        made.teacher_head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    value = made.before(student, teacher, LABELS, INDEX)
    leaf = {"ab": lambda: student.preacts[2], "ft": lambda: next(made.paraphraser.parameters())}.get(
        name, lambda: seen[0]
    )()
    assert figures(value, leaf) == pytest.approx(REFERENCE_BEFORE[name], rel=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [("at", {"paper": True}), ("at", {"p": 3}), ("pkt", {"paper": True}), ("cc", {"paper": True}),
     ("ft", {"paper": True}), ("crcd", {"gradient": True})],
)  # fmt: skip
def test_variants_differ_and_can_be_differentiated(name, options):
    student, teacher = cases.pair(name)
    torch.manual_seed(0)
    plain = cases.build(name)(student, teacher, LABELS, INDEX)
    torch.manual_seed(0)
    other = cases.build(name, **options)(student, teacher, LABELS, INDEX)
    assert not torch.isclose(plain, other)
    assert torch.autograd.grad(other, leaf_of(name, student))[0].norm() > 0


def test_crcd_gradients_are_those_of_the_cross_entropy():
    from lrface.losses.crcd import _slopes

    student, _ = cases.pair("crcd")
    embedding = student.embedding.detach().requires_grad_()
    value = torch.nn.functional.cross_entropy(embedding @ student.classifier.T, LABELS)
    (expected,) = torch.autograd.grad(value, embedding)
    found = _slopes("student", replace(student, logits=embedding @ student.classifier.T), LABELS)
    torch.testing.assert_close(found, expected)


def one_sample(outputs: Outputs, name: str) -> Outputs:
    times = 4 if method_class(name).rotated else 1
    return outputs.convert(lambda tensor: tensor.detach()[: times if tensor.ndim == 2 else 1])


def degenerate(kind: str, name: str) -> tuple[Outputs, Outputs, torch.Tensor, torch.Tensor]:
    pair = [each.detach().convert(torch.Tensor.float) for each in cases.pair(name)]
    labels, index = LABELS, INDEX
    if kind == "one sample":
        pair, labels, index = [one_sample(each, name) for each in pair], labels[:1], index[:1]
    elif kind == "zeros":
        pair = [each.convert(torch.zeros_like) for each in pair]
    elif kind == "all equal":
        pair = [each.convert(lambda tensor: tensor[:1].expand_as(tensor).clone()) for each in pair]
    elif kind == "student is teacher":
        pair = [pair[0], pair[0]]
    elif kind == "huge logits":
        pair = [replace(each, logits=each.logits * 1e4) for each in pair]
    student = pair[0].convert(lambda tensor: tensor.clone().requires_grad_())
    return student, pair[1], labels, index


@pytest.mark.parametrize("kind", ["one sample", "zeros", "all equal", "student is teacher", "huge logits"])
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_batches_stay_finite(name, kind):
    student, teacher, labels, index = degenerate(kind, name)
    torch.manual_seed(0)
    place = Setting(Shape.of(student), Shape.of(teacher), cases.LABELS)
    made = create_method(name, place, cases.SMALL.get(name)).eval()  # batch norm wants two samples
    for loss in [made, made.before] if made.staged else [made]:
        value = loss(student, teacher, labels, index)
        assert value.isfinite()
        assert value.requires_grad
        leaves = [leaf_of(name, student), *made.parameters()]
        grads = torch.autograd.grad(value, leaves, allow_unused=True)
        assert all(grad is None or bool(grad.isfinite().all()) for grad in grads)
    made.remember()
    if kind == "student is teacher" and name in ("at", "pkt", "sp", "rkd", "dkd"):
        assert made(student, teacher, labels, index).abs() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_float32_half_and_autocast(name):
    made = cases.build(name).float()
    student, teacher = (each.detach().convert(torch.Tensor.bfloat16) for each in cases.pair(name))
    state = {key: value.clone() for key, value in made.state_dict().items()}
    call = made.before if name == "ab" else made

    def value(student, teacher):
        made.load_state_dict(state)
        torch.manual_seed(1)
        return call(student, teacher, LABELS, INDEX)

    plain = value(student.convert(torch.Tensor.float), teacher.convert(torch.Tensor.float))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = value(student, teacher)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)


@pytest.mark.parametrize("name", NAMES)
def test_teacher_gets_no_gradient(name):
    made, (student, teacher) = cases.build(name), cases.pair(name)
    (made.before if name == "ab" else made)(student, teacher, LABELS, INDEX).backward()
    tensors = [teacher.logits, teacher.embedding, *teacher.maps, *teacher.preacts]
    assert all(tensor.grad is None for tensor in tensors)
    assert leaf_of(name, student).grad.norm() > 0


def test_the_usual_methods_are_there_with_the_weights_of_their_code():
    weights = {name: kind.weight for name, kind in methods().items()}
    expected = {
        "fitnet": 100,
        "at": 1000,
        "pkt": 30_000,
        "sp": 3000,
        "rkd": 1,
        "cc": 0.02,
        "vid": 1,
        "ab": 1,
        "ft": 200,
    }
    expected |= {"crd": 0.8, "crcd": 1, "wcord": 1, "dkd": 1, "sskd": 1, "logit_standard": 9}
    assert expected.items() <= weights.items()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fitnt", {}, "unknown distillation method 'fitnt': did you mean 'fitnet'"),
        ("fitnet", {"stag": 1}, "method fitnet has no option 'stag': did you mean 'stage'"),
        ("fitnet", {"stage": 4}, r"fitnet: the student has no stage 4: its stages are 0 \(the stem\) to 3"),
        ("at", {"p": 0}, "p is 0: give a finite number above 0"),
        ("ft", {"rate": 0.01}, "ft: rate 0.01 of 12 channels leaves none"),
        ("crd", {"momentum": 1}, "momentum is 1: give a number from 0 to below 1"),
        ("crd", {"dim": 10**12}, "two banks of 30 x 1000000000000 need .* GiB"),
        ("sskd", {"keep_pretext": 2}, "keep_pretext is 2"),
        ("vid", {"variance": "x"}, "variance is 'x'"),
    ],
)
def test_a_mistake_is_one_clear_line(name, options, message):
    with pytest.raises(LrfaceError, match=message) as caught:
        create_method(name, cases.setting("at"), options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_network_does_not_give_is_named(name):
    made, (student, teacher) = cases.build(name), cases.pair(name)
    missing = made.needs[0]
    with pytest.raises(LrfaceError, match=f"{name} needs the teacher's {missing}, which it does not give"):
        made(student, replace(teacher, **{missing: None}), LABELS, INDEX)


def test_wrong_shapes_are_named():
    made, (student, teacher) = cases.build("dkd"), cases.pair("dkd")
    with pytest.raises(LrfaceError, match=r"the teacher's logits is .* expected floats of shape \[B, 5\]"):
        made(student, replace(teacher, logits=torch.zeros(6, 4)), LABELS, INDEX)
    made, (student, teacher) = cases.build("at"), cases.pair("at")
    with pytest.raises(LrfaceError, match=r"the teacher's maps\[0\] is .* \[6, channels, height, width\]"):
        made(student, replace(teacher, maps=(torch.zeros(6, 4),)), LABELS, INDEX)


def test_one_class_has_no_negatives():
    place = replace(cases.setting("crd"), labels=torch.zeros(9, dtype=torch.int64))
    with pytest.raises(LrfaceError, match="the training set has one class only"):
        create_method("crd", place)


def test_negatives_are_of_other_classes_and_all_of_them():
    from lrface.losses.bank import Negatives

    labels = torch.tensor([2, 0, 1, -1, 1, 2, 4, 4, -1, 4])  # a class without a sample in between, and two unknown ones
    torch.manual_seed(0)
    drawn = Negatives(labels, 4000)(torch.tensor([1, 4, 7, 3]))
    for sample, row in zip((1, 4, 7, 3), drawn, strict=True):
        counts = torch.bincount(row, minlength=10)
        others = torch.arange(10) != sample if labels[sample] < 0 else labels != labels[sample]
        assert (counts[~others] == 0).all()
        share = counts[others] / counts.sum() * others.sum()
        assert ((share > 0.8) & (share < 1.2)).all()


def test_banks_change_in_training_only_and_are_in_the_state():
    made, (student, teacher) = cases.build("crd"), cases.pair("crd")
    assert {"banks.student", "banks.teacher", "log_z"} <= set(made.state_dict())
    before = made.banks.student.clone()
    made.eval()
    made(student, teacher, LABELS, INDEX)
    made.remember()
    assert torch.equal(made.banks.student, before)
    made.train()
    made(student, teacher, LABELS, INDEX)
    assert torch.equal(made.banks.student, before)
    made.remember()
    changed = (made.banks.student != before).any(1)
    assert changed.nonzero()[:, 0].tolist() == sorted(INDEX.tolist())


def test_the_parts_that_a_method_may_need_are_those_that_networks_give():
    assert {field.name for field in fields(Outputs)} == set(PARTS)


def test_two_methods_of_one_name_are_refused():
    with pytest.raises(LrfaceError, match="two methods are called at"):

        @method("at")
        class Another(method_class("at")):
            pass

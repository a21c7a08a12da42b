"""The sum of Eq. 13 and the classifier of a teacher without one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lrface import losses
from lrface.errors import LrfaceError
from lrface.models import create
from lrface.train.batches import Batch
from lrface.train.objective import Objective, class_mean_classifier
from lrface.train.recipe import LossSection
from lrface.train.split import Split

CLASSES, IMAGES, DIM, ROWS = 5, 40, 6, 8
TERMS = {
    "classification": {"kind": "cosface", "weight": 0.7, "scale": 8, "margin": 0.1},
    "kd": {"weight": 0.5, "temperature": 3},
    "crrcd": {"weight": 2.0, "negatives": 12, "projected_dim": 4},
    "cosine": {"weight": 1.5},
}
NAMES = {"crrcd": {"crrcd_positive", "crrcd_negative"}}


def batch(seed=0, teacher=True):
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        torch.randn(ROWS, 3, 16, 16, generator=generator),
        torch.randint(CLASSES, (ROWS,), generator=generator),
        torch.randperm(IMAGES, generator=generator)[:ROWS],
        torch.randn(ROWS, DIM, generator=generator) if teacher else None,
    )


def objective(**terms):
    torch.manual_seed(1)
    student = create("resnet18", width=2, embedding_dim=DIM)
    classifier = F.normalize(torch.randn(CLASSES, DIM)) if "kd" in terms else None
    return Objective(student, LossSection(**terms), CLASSES, IMAGES, DIM, classifier)


def test_the_sum_is_that_of_the_parts():
    whole, given = objective(**TERMS), batch()
    whole.remember(torch.randn(ROWS, DIM), torch.arange(ROWS), torch.arange(100, 100 + ROWS))
    terms, embeddings = whole(given)

    torch.manual_seed(1)
    student = create("resnet18", width=2, embedding_dim=DIM)
    assert torch.equal(embeddings, student(given.pixels))
    head = losses.CosFace(CLASSES, DIM, 8, 0.1)
    head.load_state_dict(whole.head.state_dict())
    crrcd = losses.CRRCD(IMAGES, DIM, DIM, projected_dim=4, negatives=12, normaliser="crd")
    crrcd.load_state_dict(whole.crrcd.state_dict())
    crrcd.log_z.fill_(float("nan"))  # before the first batch
    parts = crrcd.terms(embeddings, given.teacher, given.labels, given.index)
    logits = 8 * F.normalize(given.teacher) @ whole.teacher_classifier.T
    expected = {
        "classification": head(embeddings, given.labels),
        "kd": losses.KD(3)(head.logits(embeddings), logits),
        "crrcd_positive": parts.positive,
        "crrcd_negative": parts.negative,
        "cosine": losses.CosineRegression()(embeddings, given.teacher),
    }
    assert set(terms) == {"loss", *expected}
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)
    weights = {"classification": 0.7, "kd": 0.5, "crrcd_positive": 2.0, "crrcd_negative": 2.0, "cosine": 1.5}
    total = sum(weight * float(expected[name].detach()) for name, weight in weights.items())
    assert float(terms["loss"].detach()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_there_only_where_it_is_named(name):
    terms, _ = objective(**{name: TERMS[name]})(batch())
    assert set(terms) == {"loss", *NAMES.get(name, {name})}
    weight = TERMS[name]["weight"]
    rest = sum(float(value.detach()) for key, value in terms.items() if key != "loss")
    assert float(terms["loss"].detach()) == pytest.approx(weight * rest, rel=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_every_parameter_learns_from_every_term(name):
    """Several processes would wait for the gradient of one that does not."""
    trained = objective(**{name: TERMS[name]})
    trained(batch())[0]["loss"].backward()
    idle = [key for key, value in trained.named_parameters() if value.grad is None]
    assert idle == []


def test_what_is_remembered_is_in_the_queue_once():
    trained = objective(crrcd=TERMS["crrcd"])
    given = batch()
    _, embeddings = trained(given)
    assert int(trained.crrcd.queue.filled) == 0
    trained.remember(embeddings, given.labels, given.index)
    newest = trained.crrcd.queue.newest(ROWS)
    assert newest.filled.all()
    assert newest.index.tolist() == given.index.tolist()[::-1]
    assert torch.equal(newest.embeddings, embeddings.detach().flip(0))


def test_embeddings_of_another_length_cannot_be_regressed():
    student = create("resnet18", width=2, embedding_dim=DIM)
    with pytest.raises(LrfaceError, match=r"the teacher's have 7, the student's 6; set model\.kw\.embedding_dim"):
        Objective(student, LossSection(cosine={}), CLASSES, IMAGES, 7)


def test_mixed_precision_leaves_the_targets_alone():
    """Whatever the wrapper converts on the way in, teachers and losses stay float32."""
    from lightning_fabric import Fabric

    seen = []
    trained = objective(**TERMS)
    forward = trained.cosine.forward
    trained.cosine.forward = lambda student, teacher: seen.append((student.dtype, teacher)) or forward(student, teacher)
    module = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed").setup_module(trained)
    given = batch()
    terms, embeddings = module(given)
    assert seen[0][0] == torch.bfloat16
    assert torch.equal(seen[0][1], given.teacher)
    assert all(value.dtype == torch.float32 for value in [*terms.values(), embeddings])
    exact, _ = objective(**TERMS)(given)
    assert float(terms["loss"].detach()) == pytest.approx(float(exact["loss"].detach()), rel=0.1)


def test_class_means_are_directions_of_both_views():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(2, 9, DIM)).astype(np.float32) * rng.uniform(0.1, 9, (2, 9, 1)).astype(np.float32)
    split = Split(np.array([1, 2, 4, 7, 8]), np.array([0, 2, 0, 1, 2]), 3, np.array([0]), np.array([5]))
    expected = np.zeros((3, DIM))
    for image, label in zip(split.train, split.labels, strict=True):
        for view in embeddings.astype(np.float64):
            expected[label] += view[image] / np.linalg.norm(view[image])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = class_mean_classifier(embeddings, split)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("width", "layout"), [(2, torch.contiguous_format), (16, torch.channels_last)])
def test_the_layout_changes_nothing_but_the_speed(width, layout):
    """And narrow networks keep the plain one, in which their gradients can be computed without a crash."""
    torch.manual_seed(2)
    student = create("resnet18", width=width, embedding_dim=DIM)
    plain = create("resnet18", width=width, embedding_dim=DIM)
    plain.load_state_dict(student.state_dict())
    trained = Objective(student, LossSection(cosine={}), CLASSES, IMAGES, DIM)
    assert trained.student.layer2[0].conv1.weight.is_contiguous(memory_format=layout)
    given = batch()
    trained(given)[0]["loss"].backward()
    losses.CosineRegression()(plain(given.pixels), given.teacher).backward()
    for (name, one), other in zip(student.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name)

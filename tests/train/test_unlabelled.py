"""Faces of nobody in particular: they train the terms that need no labels, and no other."""

import numpy as np
import pytest
import torch

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.sources import open_source
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.finetune.people import from_store
from lrface.losses import CosineRegression
from lrface.losses.method import Outputs
from lrface.models import create
from lrface.train.batches import Batch
from lrface.train.objective import Objective
from lrface.train.recipe import DataSection, LossSection
from lrface.train.run import train
from lrface.train.split import split_store
from lrface.train.whiten import chosen_images

DIM = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two images each of three people, and four of nobody, as a source and a store."""
    root = tmp_path_factory.mktemp("root")
    for name, people in {"ann": [0, 0], "bob": [1, 1], "cat": [2, 2], "-1": [3, 4, 5, 6]}.items():
        (root / "source" / name).mkdir(parents=True)
        for number, person in enumerate(people):
            (root / "source" / name / f"{number}.png").write_bytes(encode_image(face(person, number, seed=1), "png"))
    prepare(root / "source", root / "faces", Settings(detector="none"), progress=False)
    return root


def test_the_folder_of_nobody_has_the_label_below_0(root):
    items = list(open_source(root / "source").items(0, 4))
    assert {item.identity: item.label for item in items} == {"-1": -1, "ann": 1, "bob": 2, "cat": 3}
    store = Store(root / "faces")
    assert store.labels.tolist() == [-1] * 4 + [0, 0, 1, 1, 2, 2]
    assert store.identities == 3
    again = open_source(root / "faces" / "shard-00000-of-00001")
    assert {item.label for item in again.items(0, 4) if item.identity == "-1"} == {-1}


def test_nobody_is_held_out_and_all_are_trained_on_unless_said_otherwise(root):
    store = Store(root / "faces")
    split = split_store(store, DataSection(store="faces", holdout_identities=1))
    assert split.classes == 2
    assert sorted(split.labels.tolist()) == [-1] * 4 + [0, 0, 1, 1]
    assert (store.labels[split.train] < 0).tolist() == (split.labels < 0).tolist()
    assert (split.holdout_labels >= 0).all()
    fewer = split_store(store, DataSection(store="faces", holdout_identities=1, unlabelled=False))
    assert (fewer.labels >= 0).all()
    assert fewer.holdout.tolist() == split.holdout.tolist()
    assert (split.labels[chosen_images(split.labels)] >= 0).all()


def objective():
    torch.manual_seed(1)
    section = LossSection(classification={}, kd={}, crrcd={"negatives": 12, "projected_dim": 4}, cosine={})
    classifier = torch.nn.functional.normalize(torch.randn(3, DIM))
    return Objective(create("resnet18", width=2, embedding_dim=DIM), section, 3, 20, DIM, classifier)


def batch(labels):
    torch.manual_seed(2)
    count = len(labels)
    return Batch(torch.randn(count, 3, 16, 16), torch.tensor(labels), torch.arange(count), torch.randn(count, DIM))


def test_each_term_sees_whom_it_can_use():
    mixed = batch([0, -1, 2, -1, 1, 0])
    terms, embeddings = objective()(mixed)
    reference = objective()
    known = mixed.labels >= 0
    torch.testing.assert_close(
        terms["classification"], reference.head(embeddings[known], mixed.labels[known]), rtol=1e-4, atol=1e-4
    )
    logits = reference.head.scale * torch.nn.functional.normalize(mixed.teacher[known]) @ reference.teacher_classifier.T
    torch.testing.assert_close(
        terms["kd"], reference.kd(reference.head.logits(embeddings[known]), logits), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(terms["cosine"], CosineRegression()(embeddings, mixed.teacher), rtol=1e-4, atol=1e-4)
    apart = batch([0, 7, 2, 8, 1, 0])  # CRRCD takes each of nobody's faces for a person of its own
    found = reference.crrcd.terms(embeddings, mixed.teacher, apart.labels, mixed.index)
    torch.testing.assert_close(terms["crrcd_negative"], found.negative, rtol=1e-4, atol=1e-4)
    terms["loss"].backward()


def with_methods(*names):
    torch.manual_seed(1)
    classifier = torch.nn.functional.normalize(torch.randn(3, DIM))
    section = LossSection(classification={}, methods={name: {} for name in names})
    labels = torch.arange(20) % 4 - 1
    return Objective(create("resnet18", width=2, embedding_dim=DIM), section, 3, 20, DIM, classifier, labels)


def test_methods_of_logits_see_known_people_alone_and_the_others_see_all():
    made, mixed = with_methods("dkd", "logit_standard", "rkd"), batch([0, -1, 2, -1, 1, 0])
    terms, embeddings = made(mixed)
    known = mixed.labels >= 0
    outputs = made._outputs(embeddings[known], mixed.teacher[known])
    for name in ("dkd", "logit_standard"):
        expected = made.methods[name](*outputs, mixed.labels[known], mixed.index[known])
        torch.testing.assert_close(terms[name], expected)
    expected = made.methods["rkd"](
        Outputs(embedding=embeddings), Outputs(embedding=mixed.teacher), mixed.labels, mixed.index
    )
    torch.testing.assert_close(terms["rkd"], expected)
    terms["loss"].backward()


def test_methods_of_logits_are_0_in_a_batch_of_nobody():
    made = with_methods("dkd", "logit_standard")
    terms, _ = made(batch([-1, -1, -1]))
    assert terms["dkd"].item() == terms["logit_standard"].item() == 0
    terms["loss"].backward()
    assert torch.isfinite(made.student.fc.weight.grad).all()


def test_a_batch_of_nobody_still_trains():
    made = objective()
    terms, embeddings = made(batch([-1, -1, -1]))
    assert terms["classification"].item() == terms["kd"].item() == 0
    terms["loss"].backward()
    made.remember(embeddings.detach(), torch.tensor([-1, -1, -1]), torch.arange(3))
    assert torch.isfinite(made.student.fc.weight.grad).all()


def test_a_recipe_that_needs_labels_is_refused(root, recipe, tmp_path):
    only = recipe(data={"holdout_identities": 0}, teacher=None, loss={"crrcd": None})
    with pytest.raises(LrfaceError, match=r"4 faces of nobody.*data\.unlabelled=false"):
        train(only, tmp_path / "run", root, "cpu")
    assert not (tmp_path / "run").exists()


def test_people_cannot_be_learnt_from_nobody(root):
    with pytest.raises(LrfaceError, match="of nobody in particular"):
        from_store(root / "faces")


def test_low_pixels_can_be_made_at_another_side(root):
    store = Store(root / "faces", 24)
    low = store.low(np.array([3, 0]))
    assert low.shape == (2, 24, 24, 3)
    np.testing.assert_array_equal(low[1], store.degradation(store.crop(0)))
    assert store.low().shape == (10, 24, 24, 3)
    np.testing.assert_array_equal(Store(root / "faces", 16).low(), Store(root / "faces").low())

"""Finetuning a network: what changes, what stays, and that stopping changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lrface.data.crop import Settings
from lrface.data.face_list import read_identities
from lrface.data.synthetic import generate
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.finetune import backbone
from lrface.finetune.backbone import finetune_backbone, state_digest
from lrface.finetune.labelled_images import from_list, read_people
from lrface.finetune.run import _pairs
from lrface.finetune.unfreeze import BackboneSettings
from lrface.models import create
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.runtimes.torch import TorchNetwork
from lrface.train import loop

SETTINGS = BackboneSettings(unfreeze="last", epochs=2, batch_size=8, lr=0.005, distil=1.0)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Six drawn people with five images each."""
    root = tmp_path_factory.mktemp("people")
    generate(root, 6, 5, seed=1, size=48, progress=False)
    return from_list(read_identities(root), Settings(detector="none"))


@pytest.fixture(scope="module")
def embedder(people):
    """A network with random weights, whose batch norms have seen these faces, as those of a trained one have."""
    torch.manual_seed(0)
    network = create("resnet18", width=4, embedding_dim=8, dropout=0.2)
    embedder = Embedder(TorchNetwork(network), Preprocessing(16, degradation=Degradation(16)), "digest", {})
    pixels = embedder.preprocessing.batch(read_people(people, embedder, pixels=True, progress=False).low)
    with torch.no_grad():
        for _ in range(20):
            network.train()(torch.from_numpy(pixels))
    network.eval()
    return embedder


@pytest.fixture(scope="module")
def faces(embedder, people):
    return read_people(people, embedder, pixels=True, source_size=64, progress=False)


@pytest.fixture
def tune(embedder, faces, tmp_path):
    """``tune(run="run", settings=SETTINGS, **options)``: finetune; by default the last image of each person is held out."""

    def run(name="run", settings=SETTINGS, **options):
        held = np.arange(len(faces.labels)) % 5 == 4
        return finetune_backbone(embedder, faces, settings, tmp_path / name, **({"held": held} | options))

    return run


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("part", ["none", "last", "all"])
def test_frozen_weights_and_statistics_stay_to_the_bit(tune, embedder, part):
    before = weights(embedder.network.module)
    tuned = tune(settings=replace(SETTINGS, unfreeze=part))
    after = weights(tuned.module)
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    stages = {"none": set(), "last": {"layer4"}, "all": {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}}[part]
    assert changed == {"fc", "features"} | stages
    for name in before:
        if "running" in name or "num_batches" in name:
            assert torch.equal(before[name], after[name]), name
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(embedder.network.module).items())


def test_it_learns_the_people(tune, embedder, faces):
    """Faces of a person come nearer to each other than those of two."""

    def margin(network):
        embeddings = network.embed(list(faces.low))
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        same = faces.labels[:, None] == faces.labels
        similarity = embeddings @ embeddings.T
        return similarity[same & ~np.eye(len(same), dtype=bool)].mean() - similarity[~same].mean()

    tuned = tune(settings=replace(SETTINGS, unfreeze="all", epochs=10, distil=0.0))
    assert margin(tuned.embedder) > margin(embedder) + 0.05


def test_distillation_keeps_the_embeddings_near(tune, embedder, faces, monkeypatch):
    monkeypatch.setattr(backbone, "LOW_SIDE", 0)  # flips alone: random views are far from these random weights' faces

    def distance(tuned):
        a, b = (network.embed(list(faces.low)).astype(np.float64) for network in (embedder, tuned.embedder))
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        return 1 - cosine.mean()

    free, kept = (distance(tune(str(weight), replace(SETTINGS, epochs=6, distil=weight))) for weight in (0.0, 50.0))
    assert 0 < kept < 0.5 * free


def test_a_teacher_to_stay_near(tune, faces):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=faces.views.shape).astype(np.float32)
    tuned = tune(targets=targets, teacher="another")
    assert tuned.recipe["teacher"]["model"] == "another"
    assert state_digest(tuned.module) != state_digest(tune("own").module)
    with pytest.raises(LrfaceError, match="have 5 numbers and the model's 8"):
        tune("short", targets=targets[:, :, :5])


def test_the_seed_decides(tune):
    digests = [
        state_digest(tune(name, replace(SETTINGS, seed=seed)).module) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_resumed_run_ends_as_the_uninterrupted_one(tune, monkeypatch):
    whole = tune("whole")
    step = loop.Loop._step

    def interrupting(self, batch, log):
        step(self, batch, log)
        if self.progress.step == 4:
            import signal

            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_step", interrupting)
    assert tune("cut") is None
    monkeypatch.setattr(loop.Loop, "_step", step)
    resumed = tune("cut", resume=True)
    assert state_digest(resumed.module) == state_digest(whole.module)


def test_held_out_people_choose_the_epoch_and_give_thresholds(tune, faces):
    held = np.isin(faces.labels, [1, 3])
    tuned = tune(held=held, pairs=_pairs(faces, held), strangers_held=True)
    assert [entry["epoch"] for entry in tuned.history] == [0, 1, 2]
    accuracies = [entry["accuracy"] for entry in tuned.history]
    assert tuned.epoch == int(np.argmax(accuracies))
    assert set(tuned.thresholds) == {"0.1"}  # 25 pairs of different held-out people
    embeddings = tuned.embedder.embed(list(faces.low)) + tuned.embedder.embed(list(faces.low), flip=True)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    scores = (embeddings[faces.labels == 1] @ embeddings[faces.labels == 3].T).ravel()
    assert np.mean(scores > tuned.thresholds["0.1"] + 1e-6) <= 0.1


def test_the_model_as_it_was_can_win(tune, faces, embedder, monkeypatch):
    held = np.isin(faces.labels, [1, 3])
    scores = iter([0.9, 0.8, 0.7])
    real = backbone.validate

    def scored(network, pairs):
        return replace(real(network, pairs), accuracy=next(scores))

    monkeypatch.setattr(backbone, "validate", scored)
    monkeypatch.setattr(loop, "validate", scored)
    tuned = tune(held=held, pairs=_pairs(faces, held))
    assert tuned.epoch == 0
    assert state_digest(tuned.module) == state_digest(embedder.network.module)


def test_a_run_is_not_begun_twice_nor_gone_on_with_otherwise(tune, tmp_path):
    with pytest.raises(LrfaceError, match="nothing to resume"):
        tune(resume=True)
    tune()
    with pytest.raises(LrfaceError, match="holds a run that has not ended: --resume"):
        tune()
    with pytest.raises(LrfaceError, match="begun with other seed"):
        tune(settings=replace(SETTINGS, seed=9), resume=True)
    with pytest.raises(LrfaceError, match="begun with other held"):
        tune(held=np.zeros(30, bool), resume=True)
    with pytest.raises(LrfaceError, match="begun with other unfreeze, distil"):
        tune(settings=replace(SETTINGS, unfreeze="all", distil=0.0), resume=True)
    longer = tune(settings=replace(SETTINGS, epochs=3), resume=True)
    assert longer.epoch == 3


def test_a_run_that_was_killed_at_once_leaves_nothing_behind(tune, tmp_path):
    """Its first candidate, the model as it was, must not be taken for the best epoch of another run."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.ckpt").write_bytes(b"of another run")
    assert tune().epoch == 2
    assert not (tmp_path / "run" / "best.ckpt").exists()


def test_what_cannot_be_finetuned(tune, embedder, faces, tmp_path, monkeypatch):
    frozen = Embedder(lambda batch: batch, embedder.preprocessing, "digest", {})
    with pytest.raises(LrfaceError, match="only models of lrface"):
        finetune_backbone(frozen, faces, SETTINGS, tmp_path / "run", held=np.zeros(30, bool))
    with pytest.raises(LrfaceError, match="1 images are left"):
        tune(held=np.arange(30) > 0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(LrfaceError, match="one process"):
        tune()


def test_a_loss_that_is_not_finite_stops_and_writes_no_checkpoint(tune, tmp_path):
    with pytest.raises(LrfaceError, match="not finite"):
        tune(settings=replace(SETTINGS, lr=1e30, unfreeze="all"))
    assert not (tmp_path / "run" / "last.ckpt").exists()

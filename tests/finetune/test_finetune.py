"""From people to a classifier, or to a model: what is written, and what is not."""

import json
import shutil

import numpy as np
import pytest
import safetensors
import torch

from lrface.data.crop import Settings
from lrface.data.face_list import read_identities
from lrface.data.synthetic import generate
from lrface.errors import LrfaceError
from lrface.eval.identification import evaluate
from lrface.faces.degrade import Degradation
from lrface.finetune.labelled_images import from_folder, from_list
from lrface.finetune.run import ClassifierSettings, make_classifier, make_model, run_folder, score_people
from lrface.finetune.softmax_layer import cosines
from lrface.finetune.unfreeze import BackboneSettings, open_backbone
from lrface.models import create
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.weights import save_model
from lrface.recognition.classifier import FaceClassifier
from lrface.recognition.encoder import FaceEncoder
from lrface.train import loop

ALIGNMENT = {"detector": "none", "face": "largest-central"}
BACKBONE = BackboneSettings(unfreeze="last", epochs=2, batch_size=8, lr=0.002)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    preprocessing = Preprocessing(16, degradation=Degradation(16)).as_dict()
    card = {"preprocessing": preprocessing, "name": "small", "licence": "research"}
    save_model(path, create("resnet18", width=4, embedding_dim=16), card, half=True)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """12 drawn people with 4 images each."""
    root = tmp_path_factory.mktemp("people")
    generate(root, 12, 4, seed=1, size=48, progress=False)
    return root


@pytest.fixture
def embedder(model):
    return open_backbone(model)


@pytest.fixture
def people(root, embedder):
    return from_folder(root, FaceEncoder(embedder, "none"), ALIGNMENT)


def card_of(path):
    with safetensors.safe_open(path, framework="np") as file:
        return json.loads(file.metadata()["lrface-classifier"])


def interrupt_at(monkeypatch, step_number):
    """Ctrl-C after this step."""
    import signal

    step = loop.Loop._step

    def interrupting(self, batch, log):
        step(self, batch, log)
        if self.progress.step == step_number:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_step", interrupting)
    return lambda: monkeypatch.setattr(loop.Loop, "_step", step)


def test_a_frozen_classifier(embedder, model, people, root, tmp_path):
    out = tmp_path / "new" / "people.safetensors"
    made = make_classifier(embedder, str(model), people, out, progress=False)
    assert made.path == out
    assert made.before is None
    assert [path.name for path in out.parent.iterdir()] == ["people.safetensors"]
    classifier = FaceClassifier.load(out, "none")
    assert classifier.names == tuple(f"{number:05d}" for number in range(12))
    similarity = cosines(made.faces.embeddings, classifier.weight)
    assert evaluate(similarity, made.faces.labels).top[1] > 0.5
    answers = classifier.identify(people.paths, top=2, threshold=-1)
    assert [answer.name for answer in answers] == [classifier.names[best] for best in similarity.argmax(1)]
    card = classifier.card
    assert card["finetuned_from"]["fingerprint"] == embedder.fingerprint
    assert card["finetuned_from"]["card"] == {"name": "small", "licence": "research"}
    assert card["data"] == {
        "fingerprint": made.faces.fingerprint, "people": 12, "images": 48, "left_out": 0, "people_left_out": [],
    }  # fmt: skip
    assert card["unfreeze"] == "none"
    assert card["finetune"]["seed"] == 5
    assert card["alignment"] == ALIGNMENT
    assert card["check"] == made.check.as_dict()
    assert classifier.thresholds == {float(rate): value for rate, value in made.check.thresholds.items()}
    assert classifier.scale == made.check.scale


def test_the_same_seed_writes_the_same_bytes(embedder, people, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_classifier(embedder, "m", people, tmp_path / name, ClassifierSettings(seed=seed), progress=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_classifier_over_a_finetuned_network(embedder, model, people, tmp_path):
    out = tmp_path / "people.safetensors"
    made = make_classifier(embedder, str(model), people, out, ClassifierSettings(backbone=BACKBONE), progress=False)
    assert made.before is not None
    assert made.check.images == made.before.images == 12  # one of the four images of each person
    classifier = FaceClassifier.load(out, "none")
    frozen = embedder.network.module.state_dict()
    tuned = classifier.encoder.embedder.network.module.state_dict()
    changed = {name.split(".")[0] for name in frozen if not torch.equal(frozen[name], tuned[name])}
    assert changed == {"layer4", "fc", "features"}
    assert card_of(out)["recipe"]["loss"]["cosine"]["weight"] == BACKBONE.distil
    assert card_of(out)["unfreeze"] == "last"
    assert card_of(out)["check_before"]["top1"] == made.before.top1
    left = {path.name for path in run_folder(out).iterdir()}
    assert {"log.jsonl", "finetune.json"} <= left
    assert not [name for name in left if name.endswith(".ckpt")]
    make_classifier(embedder, str(model), people, out, ClassifierSettings(backbone=BACKBONE), progress=False)  # anew


def test_an_interrupted_classifier_goes_on_and_ends_the_same(embedder, people, tmp_path, monkeypatch):
    settings = ClassifierSettings(backbone=BACKBONE)
    make_classifier(embedder, "m", people, tmp_path / "whole", settings, progress=False)
    undo = interrupt_at(monkeypatch, 3)
    assert make_classifier(embedder, "m", people, tmp_path / "cut", settings, progress=False) is None
    assert not (tmp_path / "cut").exists()
    undo()
    make_classifier(embedder, "m", people, tmp_path / "cut", settings, resume=True, progress=False)
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_test_images(embedder, people, root, tmp_path):
    """Somebody whom the classifier does not know, and an image that cannot be read, count as wrong."""
    test = tmp_path / "test"
    for name in ("00000", "00001", "00002"):
        shutil.copytree(root / name, test / name)
    (test / "00001" / "9.jpg").write_text("not a picture")
    (test / "00002").rename(test / "nobody")
    encoder = FaceEncoder(embedder, "none")
    made = make_classifier(
        embedder, "m", people, tmp_path / "out", test=from_folder(test, encoder, ALIGNMENT), progress=False
    )
    assert made.test.images == 13
    assert made.test.classes == 12
    classifier = FaceClassifier.load(tmp_path / "out", "none")
    right = [
        answer.candidates[0].name == path.parent.name
        for path in sorted(test.glob("0*/0*.jpg"))
        for answer in classifier.identify([path])
    ]
    assert len(right) == 8
    assert made.test.top[1] == pytest.approx(sum(right) / 13)
    alone = from_folder(test, encoder, ALIGNMENT)
    assert score_people(embedder, classifier.weight, ["x"] * 12, alone, progress=False).top[1] == 0


def test_a_model(embedder, model, people, tmp_path):
    out = tmp_path / "tuned.safetensors"
    made = make_model(embedder, str(model), people, out, BACKBONE, share=0.9, progress=False)
    assert made.held_people == 0  # two people have to be left
    assert not made.history
    tuned = open_embedder(out, runtime="torch")
    np.testing.assert_array_equal(tuned.embed(list(made.faces.low)), made.embedder.embed(list(made.faces.low)))
    assert np.abs(tuned.embed(list(made.faces.low)) - embedder.embed(list(made.faces.low))).max() > 1e-3
    assert tuned.preprocessing == embedder.preprocessing
    assert tuned.card["unfreeze"] == "last"
    assert tuned.card["distil"] == {"weight": BACKBONE.distil, "of": "the model itself"}
    assert tuned.card["finetuned_from"]["fingerprint"] == embedder.fingerprint
    assert tuned.card["thresholds"] == {}
    with pytest.raises(LrfaceError, match="a model, and not a classifier"):
        FaceClassifier.load(out)


def test_a_model_with_people_held_out_and_a_teacher(embedder, model, root, tmp_path):
    people = from_list(read_identities(root), Settings(detector="none"))
    torch.manual_seed(1)
    other = tmp_path / "teacher.safetensors"
    save_model(
        other,
        create("iresnet18", input_size=32, width=2, embedding_dim=16),
        {"preprocessing": Preprocessing(32).as_dict()},
    )
    out = tmp_path / "tuned.safetensors"
    made = make_model(
        embedder,
        str(model),
        people,
        out,
        BACKBONE,
        share=10 / 12,
        teacher=("other", open_embedder(other)),
        progress=False,
    )
    assert made.held_people == 10
    assert [entry["epoch"] for entry in made.history] == list(range(len(made.history)))
    tuned = open_embedder(out, runtime="torch")
    assert set(tuned.card["thresholds"]) == {"0.1", "0.01"}
    assert tuned.card["distil"]["of"] == "other"
    assert tuned.card["held_people"] == 10


def test_nothing_half_written(embedder, people, root, tmp_path):
    out = tmp_path / "people.safetensors"
    out.write_bytes(b"yesterday's")
    single = tmp_path / "single"
    for name in ("00000", "00001"):
        (single / name).mkdir(parents=True)
        shutil.copy(root / name / "0000.jpg", single / name)
    for source, words in ((single, "nobody has two images"), (single / "00000", "holds no folders")):
        with pytest.raises(LrfaceError, match=words):
            make_classifier(
                embedder, "m", from_folder(source, FaceEncoder(embedder, "none"), ALIGNMENT), out, progress=False
            )
    assert out.read_bytes() == b"yesterday's"
    assert {path.name for path in tmp_path.iterdir()} == {"people.safetensors", "single"}


def test_what_makes_no_sense(embedder, people, tmp_path):
    with pytest.raises(LrfaceError, match="nothing to resume with a frozen backbone"):
        make_classifier(embedder, "m", people, tmp_path / "out", resume=True, progress=False)
    with pytest.raises(LrfaceError, match="it is a folder"):
        make_classifier(embedder, "m", people, tmp_path, progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(LrfaceError, match="cannot write"):
        make_classifier(embedder, "m", people, tmp_path / "file" / "out", progress=False)
    with pytest.raises(LrfaceError, match=r"0\.7 of the images"):
        ClassifierSettings(share=0.7)


def test_training_that_is_not_installed(embedder, people, tmp_path, monkeypatch):
    from lrface.finetune import run as finetune

    monkeypatch.setattr(finetune, "find_spec", lambda name: None)
    make_classifier(embedder, "m", people, tmp_path / "frozen", progress=False)
    with pytest.raises(LrfaceError, match=r"pip install 'lrface\[train\]'"):
        make_model(embedder, "m", people, tmp_path / "out", BACKBONE, progress=False)

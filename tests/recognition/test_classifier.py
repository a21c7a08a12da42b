"""Who is it: the answers, and the file that they come from."""

import json
import shutil

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image
from lrface.models import create
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.weights import load_model, save_model
from lrface.recognition.classifier import FaceClassifier
from lrface.recognition.classifier_files import CARD_KEY, load_classifier, save_classifier
from lrface.recognition.encoder import FaceEncoder, ImageError
from lrface.recognition.identify_files import identify_files
from lrface.runtimes.torch import TorchNetwork

NAMES = ("anna", "bert", "carla")
THRESHOLDS = {"0.1": 0.3, "0.05": 0.5}


@pytest.fixture(scope="module")
def embedder():
    torch.manual_seed(0)
    network = create("resnet18", width=4, embedding_dim=8).eval()
    return Embedder(TorchNetwork(network), Preprocessing(16, degradation=Degradation(16)), "digest", {})


@pytest.fixture(scope="module")
def crops():
    return [face(identity, 0, seed=1) for identity in range(5)]


@pytest.fixture(scope="module")
def weight(embedder, crops):
    """The people are the first three faces themselves."""
    return FaceEncoder(embedder, "none").embed_crops(crops)[:3]


@pytest.fixture
def file(embedder, weight, tmp_path):
    path = tmp_path / "people.safetensors"
    save_classifier(path, embedder, "the model", weight, NAMES, 12.5, THRESHOLDS, {"more": [1]})
    return path


@pytest.fixture
def classifier(embedder, weight):
    return FaceClassifier(FaceEncoder(embedder, "none"), weight, NAMES, 12.5, {"thresholds": THRESHOLDS})


def test_answers_by_hand(classifier, embedder, weight, crops):
    embedding = FaceEncoder(embedder, "none").embed_crops(crops)[4].astype(np.float64)
    cosines = weight.astype(np.float64) @ embedding
    chances = np.exp(12.5 * cosines) / np.exp(12.5 * cosines).sum()
    (answer,) = classifier.identify(crops[4:], top=2, threshold=-0.9)
    order = np.argsort(-cosines)
    assert [candidate.name for candidate in answer.candidates] == [NAMES[person] for person in order[:2]]
    for candidate, person in zip(answer.candidates, order, strict=False):
        assert candidate.similarity == pytest.approx(cosines[person], abs=1e-6)
        assert candidate.probability == pytest.approx(chances[person], abs=1e-5)
    assert (answer.name, answer.far, answer.threshold) == (NAMES[order[0]], None, -0.9)
    assert (answer.similarity, answer.probability) == (
        answer.candidates[0].similarity,
        answer.candidates[0].probability,
    )
    everybody = classifier.identify(crops[4:], top=99)[0]
    assert sum(candidate.probability for candidate in everybody.candidates) == pytest.approx(1)


def test_who_is_not_above_the_threshold_is_unknown(classifier, crops):
    answers = classifier.identify(crops[:3])
    assert [answer.name for answer in answers] == list(NAMES)
    assert all(answer.known and answer.similarity == pytest.approx(1, abs=1e-5) for answer in answers)
    similarity = classifier.identify(crops[4:], threshold=0)[0].similarity
    below, above = (classifier.identify(crops[4:], threshold=similarity + step)[0] for step in (-1e-4, 1e-4))
    assert below.known
    assert (above.known, above.name) == (False, None)
    assert above.candidates == below.candidates


def test_the_threshold_follows_the_rate(classifier):
    assert classifier.threshold() == (0.5, 0.05)
    assert classifier.threshold(0.1) == (0.3, 0.1)
    with pytest.raises(
        LrfaceError, match=r"not calibrated for 0\.01 .* choose a share from 0\.05 to 0\.1, or give a --threshold"
    ):
        classifier.threshold(0.01)
    classifier.card = {"thresholds": {"0.33": 0.7, "0.5": 0.1}}
    assert classifier.threshold() == (0.7, 0.33)


@pytest.mark.parametrize("threshold", [2, -1.5, float("nan")])
def test_a_threshold_that_is_no_cosine(classifier, crops, threshold):
    with pytest.raises(LrfaceError, match="makes no sense"):
        classifier.identify(crops, threshold=threshold)


def test_many_images_are_read_in_parts(classifier, crops, monkeypatch):
    whole = classifier.identify(crops)
    monkeypatch.setattr("lrface.recognition.classifier.BATCH", 2)
    assert [answer.name for answer in classifier.identify(crops)] == [answer.name for answer in whole]
    with pytest.raises(LrfaceError, match="no images"):
        classifier.identify([])


class Blind:
    """A detector that finds nothing."""

    name = "blind"

    def detect(self, image):
        return []


def test_tiny_faces_are_noted_and_broken_images_named(embedder, weight, crops, tmp_path, monkeypatch):
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device, **options: Blind())
    classifier = FaceClassifier(FaceEncoder(embedder, "auto"), weight, NAMES, 12.5, {"thresholds": THRESHOLDS})
    (tmp_path / "tiny.png").write_bytes(encode_image(Degradation(16)(crops[0]), "png"))
    (answer,) = classifier.identify([tmp_path / "tiny.png"])
    assert answer.name == "anna"
    assert "16 x 16 pixels, taken as the face itself" in answer.notes[0]
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ImageError, match=r"text\.jpg"):
        classifier.identify([tmp_path / "text.jpg"])


def test_a_file_gives_back_what_was_written(file, embedder, weight, crops):
    loaded = FaceClassifier.load(file, "none")
    assert loaded.names == NAMES
    np.testing.assert_array_equal(loaded.weight, weight)
    assert (loaded.scale, loaded.thresholds, loaded.card["more"]) == (12.5, {0.1: 0.3, 0.05: 0.5}, [1])
    assert loaded.card["fingerprint"] == embedder.fingerprint
    assert loaded.encoder.embedder.preprocessing == embedder.preprocessing
    np.testing.assert_array_equal(loaded.encoder.embedder.embed(crops), embedder.embed(crops))
    assert [answer.name for answer in loaded.identify(crops[:3])] == list(NAMES)


def test_a_file_written_in_half_precision_stays_small(weight, tmp_path, crops):
    """Weights that were stored as float16 lose nothing by it; others stay float32."""
    network = create("resnet18", width=4, embedding_dim=8)
    preprocessing = Preprocessing(16, degradation=Degradation(16))
    save_model(tmp_path / "half.safetensors", network, {"preprocessing": preprocessing.as_dict()}, half=True)
    sizes = {}
    for name, embedder in (
        ("half", open_embedder(tmp_path / "half.safetensors", runtime="torch")),
        ("full", Embedder(TorchNetwork(network), preprocessing, "digest", {})),
    ):
        save_classifier(tmp_path / name, embedder, "m", weight, NAMES, 1.0, THRESHOLDS, {})
        sizes[name] = (tmp_path / name).stat().st_size
        loaded = FaceClassifier.load(tmp_path / name, "none").encoder.embedder
        np.testing.assert_array_equal(loaded.embed(crops), embedder.embed(crops))
    assert sizes["half"] < 0.7 * sizes["full"]


def rewrite(path, change):
    """Write the file again with ``change(tensors, card)`` done to it."""
    with safetensors.safe_open(path, framework="np") as source:
        card = json.loads(source.metadata()[CARD_KEY])
        tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
    change(tensors, card)
    path.write_bytes(safetensors.numpy.save(tensors, metadata={CARD_KEY: json.dumps(card)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors, card: card.update(format=2), "classifier of format 2; this version reads 1"),
        (lambda tensors, card: card["people"].reverse(), "changed since it was written"),
        (lambda tensors, card: card["thresholds"].update({"0.05": -1.0}), "changed since it was written"),
        (lambda tensors, card: card.pop("digest"), "changed since it was written"),
        (
            lambda tensors, card: tensors.update({"layer.weight": -tensors["layer.weight"]}),
            "changed since it was written",
        ),
        (lambda tensors, card: tensors.pop("backbone.fc.weight"), "changed since it was written"),
    ],
)
def test_another_version_and_what_was_tampered_with(file, change, words):
    rewrite(file, lambda tensors, card: None)
    load_classifier(file)
    rewrite(file, change)
    with pytest.raises(LrfaceError, match=words):
        load_classifier(file)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors, card: tensors.pop("layer.weight"), "not a whole classifier"),
        (lambda tensors, card: card["people"].pop(), "not a whole classifier"),
        (lambda tensors, card: card.update(thresholds={}), "not a whole classifier"),
        (lambda tensors, card: card.update(scale="12"), "not a whole classifier"),
        (lambda tensors, card: card["model"].update(name="resnet"), "unknown model 'resnet'"),
        (lambda tensors, card: card["model"]["kw"].update(width=8), "of another architecture"),
        (lambda tensors, card: card.update(preprocessing={}), "preprocessing record that cannot be used"),
    ],
)
def test_a_file_that_was_made_by_other_hands(file, change, words):
    from lrface.recognition import classifier_files

    def sealed(tensors, card):
        change(tensors, card)
        card.pop("digest")
        card["digest"] = classifier_files._digest({name: torch.from_numpy(t) for name, t in tensors.items()}, card)

    rewrite(file, sealed)
    with pytest.raises(LrfaceError, match=words):
        load_classifier(file)


def test_files_that_are_no_classifiers(file, tmp_path, embedder):
    with pytest.raises(LrfaceError, match=r"no classifier at .*nowhere"):
        load_classifier(tmp_path / "nowhere")
    (tmp_path / "cut").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(LrfaceError, match="not a whole safetensors file"):
        load_classifier(tmp_path / "cut")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(LrfaceError, match="not a whole safetensors file"):
        load_classifier(tmp_path / "text")
    save_model(tmp_path / "model", embedder.network.module, {"preprocessing": embedder.preprocessing.as_dict()})
    with pytest.raises(LrfaceError, match="a model, and not a classifier"):
        load_classifier(tmp_path / "model")
    (tmp_path / "other").write_bytes(safetensors.numpy.save({"a": np.zeros(1)}))
    with pytest.raises(LrfaceError, match="no classifier of lrface's"):
        load_classifier(tmp_path / "other")
    with pytest.raises(LrfaceError, match="is a classifier of people: use it with `lrface identify"):
        load_model(file)


def test_weights_that_are_not_finite_are_not_written(embedder, weight, tmp_path):
    with pytest.raises(LrfaceError, match=r"not finite .* first in layer\.weight"):
        save_classifier(tmp_path / "out", embedder, "m", weight * np.nan, NAMES, 1.0, THRESHOLDS, {})
    with pytest.raises(LrfaceError, match="does not fit JSON"):
        save_classifier(tmp_path / "out", embedder, "m", weight, NAMES, float("inf"), THRESHOLDS, {})
    assert not list(tmp_path.iterdir())


@pytest.fixture
def onnx_file(tmp_path):
    """A network of others: 16 numbers of the image."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    matrix = numpy_helper.from_array(rng.normal(size=(768, 16)).astype(np.float32), "matrix")
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "matrix"], ["y"])]
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])], [matrix],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    entry = model.metadata_props.add()
    entry.key, entry.value = "lrface", json.dumps({"input_size": 16})
    path = tmp_path / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_network_of_others_is_named_and_not_copied(onnx_file, crops, tmp_path):
    embedder = open_embedder(onnx_file)
    weight = FaceEncoder(embedder, "none").embed_crops(crops)[:3]
    path = tmp_path / "people.safetensors"
    save_classifier(path, embedder, str(onnx_file), weight, NAMES, 1.0, THRESHOLDS, {})
    assert path.stat().st_size < 5000
    assert [answer.name for answer in FaceClassifier.load(path, "none").identify(crops[:3])] == list(NAMES)
    moved = shutil.move(onnx_file, tmp_path / "moved.onnx")
    with pytest.raises(LrfaceError, match=r"needs the model that it was made with \(--model\)"):
        FaceClassifier.load(path)
    assert FaceClassifier.load(path, "none", model=moved).identify(crops[:1])[0].name == "anna"
    save_model(
        tmp_path / "ours.safetensors", create("resnet18", width=2), {"preprocessing": Preprocessing(16).as_dict()}
    )
    with pytest.raises(LrfaceError, match="made with another model than"):
        FaceClassifier.load(path, model=tmp_path / "ours.safetensors")


def test_a_model_beside_the_one_inside(file, tmp_path):
    with pytest.raises(LrfaceError, match="carries its own backbone"):
        FaceClassifier.load(file, model=tmp_path / "model.safetensors")


def test_files_and_folders_of_photos(classifier, crops, tmp_path):
    for number, crop in enumerate(crops[:3]):
        (tmp_path / f"{number}.png").write_bytes(encode_image(crop, "png"))
    (tmp_path / "1.jpg").write_text("not a picture")
    report = identify_files(classifier, [tmp_path, tmp_path / "2.png"], top=1, batch_size=2)
    assert [(path, answer.name) for path, answer in report.found] == [
        (str(tmp_path / "0.png"), "anna"), (str(tmp_path / "1.png"), "bert"),
        (str(tmp_path / "2.png"), "carla"), (str(tmp_path / "2.png"), "carla"),
    ]  # fmt: skip
    assert [path for path, _ in report.refused] == [str(tmp_path / "1.jpg")]
    assert all(len(answer.candidates) == 1 for _, answer in report.found)
    with pytest.raises(LrfaceError, match="no such file"):
        identify_files(classifier, [tmp_path / "nowhere.png"])

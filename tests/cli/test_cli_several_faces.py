"""Photos of several people, and photos that lie on their side, by the commands that meet them."""

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.align import TEMPLATE
from lrface.faces.detect import Face
from lrface.faces.images import encode_image

#: Corners of the faces in the scene, and their sides.
GROUP = ((20, 30, 112), (150, 20, 100), (280, 40, 90), (300, 160, 20))


class Corners:
    """Finds faces where the scene has them, in a scene with its mark in the upper left corner."""

    name = "corners"

    def __init__(self, places):
        self.places = places

    def detect(self, image):
        if image[0, 0, 0] != 255:
            return []
        return [
            Face(np.float32([x, y, x + side, y + side]), (TEMPLATE * (side / 112) + [x, y]).astype(np.float32), 0.9)
            for x, y, side in self.places
        ]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """``scene(places, turns)``: a photo with drawn faces at these places, and a detector that finds them."""
    import cv2

    def build(places, turns=0):
        image = np.full((200, 400, 3), 90, np.uint8)
        image[:2, :2] = 255
        for number, (x, y, side) in enumerate(places):
            drawn = face(number, 0, seed=1)
            image[y : y + side, x : x + side] = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)
        path = tmp_path / f"scene{len(places)}-{turns}.png"
        path.write_bytes(encode_image(np.ascontiguousarray(np.rot90(image, turns)), "png"))
        monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Corners(places))
        return path

    return build


@pytest.fixture
def gallery(lrface, model, tmp_path, monkeypatch):
    monkeypatch.delenv("LRFACE_GALLERY", raising=False)
    named = ("--gallery", tmp_path / "gallery", "--model", model, "--detector", "mtcnn", "--json")
    return lambda *arguments: lrface("gallery", *arguments, *named)


def test_a_group_is_not_enrolled_as_one_person(gallery, scene):
    group = scene(GROUP)
    outcome = gallery("add", "Group", group)
    assert (outcome.status, outcome.json["added"]) == (2, 0)
    assert "shows 3 faces of like size" in outcome.json["left_out"][0]["reason"]
    assert "--face" in outcome.json["left_out"][0]["reason"]


@pytest.mark.parametrize("option", [["--face", "largest"], ["--face", "largest-central"], ["--force"]])
def test_unless_it_is_said_which(gallery, scene, option):
    outcome = gallery("add", "Group", scene(GROUP), *option)
    assert (outcome.status, outcome.json["added"]) == (0, 1)
    assert "2 other faces of like size" in outcome.json["notes"][0]


def test_a_small_face_in_the_background_does_not_count(gallery, scene):
    outcome = gallery("add", "Anna", scene((GROUP[0], GROUP[3])))
    assert (outcome.status, outcome.json["added"], outcome.json["notes"]) == (0, 1, [])


def test_others_are_mentioned(gallery, lrface, scene, model, tmp_path):
    group = scene(GROUP)
    assert gallery("add", "Anna", group, "--force").status == 0
    told = [
        gallery("search", group).json["notes"][0],
        lrface("verify", group, group, "--model", model, "--detector", "mtcnn", "--json").json["notes"][1],
    ]
    embedded = lrface("embed", group, "--model", model, "--detector", "mtcnn", "--out", tmp_path / "e.npz")
    told.append(embedded.err)
    for text in told:
        assert "2 other faces of like size in it; the largest-central one was taken (--face)" in text


def test_identify_mentions_others(lrface, scene, model, face_folder, tmp_path):
    people = tmp_path / "people.safetensors"
    made = lrface("finetune", face_folder, "--detector", "none", "--model", model, "--out", people, "--epochs", 3)
    assert made.status == 0, made
    outcome = lrface("identify", scene(GROUP), "--classifier", people, "--detector", "mtcnn", "--json")
    assert "2 other faces of like size" in outcome.json["found"][0]["notes"][0]


def test_a_photo_on_its_side_is_turned(lrface, scene, model):
    upright, sideways = scene(GROUP[:1]), scene(GROUP[:1], 1)
    options = ("--model", model, "--detector", "mtcnn")
    outcome = lrface("verify", upright, sideways, *options, "--json")
    assert outcome.status == 0
    assert outcome.json["similarity"] > 0.999
    (note,) = outcome.json["notes"]
    assert (
        note == f"{sideways}: no face was found for sure upright, and a better one in the photo turned by 270 degrees"
    )
    assert lrface("verify", upright, sideways, *options, "--no-turn").refused("scene1-1.png", "found no face")


def test_prepare_counts_what_it_turned(lrface, scene, tmp_path, monkeypatch):
    import pandas as pd

    upright, sideways = scene(GROUP[:1]), scene(GROUP[:1], 1)
    (tmp_path / "people" / "anna").mkdir(parents=True)
    for path in (upright, sideways):
        path.rename(tmp_path / "people" / "anna" / path.name)
    monkeypatch.setattr("lrface.data.workers.create_detector", lambda *given, **more: Corners(GROUP[:1]))
    options = ("--detector", "mtcnn", "--workers", "1")
    outcome = lrface("prepare", tmp_path / "people", "--out", tmp_path / "store", *options)
    assert outcome.status == 0, outcome
    assert "2 images: 2 ok" in outcome.out
    assert "1 of them had no upright face and were turned" in outcome.out
    manifest = pd.read_parquet(next((tmp_path / "store").glob("*/manifest.parquet"))).sort_values("path")
    assert manifest["reason"].fillna("").tolist() == ["", "turned by 270 degrees"]
    outcome = lrface("prepare", tmp_path / "people", "--out", tmp_path / "other", *options, "--no-turn")
    assert "1 ok, 1 no face" in outcome.out


def test_prepare_takes_what_works_here(lrface, scene, tmp_path, monkeypatch):
    """Without --detector: what ``auto`` stands for, never a download; and the store says which it was."""
    upright, made = scene(GROUP[:1]), []
    (tmp_path / "people" / "anna").mkdir(parents=True)
    upright.rename(tmp_path / "people" / "anna" / upright.name)
    monkeypatch.setattr("lrface.data.crop.automatic_detector", lambda: "mtcnn")
    monkeypatch.setattr(
        "lrface.data.workers.create_detector", lambda name, **more: made.append(name) or Corners(GROUP[:1])
    )
    outcome = lrface("prepare", tmp_path / "people", "--out", tmp_path / "store", "--workers", "1")
    assert outcome.status == 0, outcome
    assert set(made) == {"mtcnn"}
    assert '"detector": "mtcnn"' in next((tmp_path / "store").glob("*/shard.json")).read_text()

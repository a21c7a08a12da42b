"""``lrface verify`` with several photos a side, and with every face of a photo."""

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.align import TEMPLATE
from lrface.faces.detect import Face
from lrface.faces.images import encode_image


@pytest.fixture
def photos(tmp_path):
    for identity, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(encode_image(face(identity, number, seed=1), "png"))
    return tmp_path


@pytest.fixture
def verify(lrface, model, photos):
    return lambda *arguments: lrface("verify", *arguments, "--model", model, "--detector", "none", "--threshold", "0.9")


def test_a_folder_is_its_photos(verify, photos):
    folder = verify(photos / "a", photos / "b" / "0.png", "--json").json
    listed = verify(
        ",".join(str(photos / "a" / f"{number}.png") for number in range(3)), photos / "b" / "0.png", "--json"
    ).json
    assert folder["similarity"] == listed["similarity"]
    assert "3 x 1 faces: the best pair" in folder["notes"][0]
    assert folder["probability"] is None
    same = verify(photos / "a", f"{photos}/a/0.png, {photos}/a/1.png")
    assert (same.status, same.out.startswith("same")) == (0, True)
    assert "note: 3 x 2 faces" in same.out


def test_the_answer_is_that_of_the_templates_and_the_best_pair(verify, photos, model):
    from lrface.recognition.encoder import FaceEncoder

    rows = FaceEncoder.load(model, "none").embed([photos / side / f"{n}.png" for side in "ab" for n in (0, 1, 2)])
    a, b = rows[:3], rows[3:]
    left, right = a.sum(0), b.sum(0)
    template = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    answer = verify(photos / "a", photos / "b", "--json").json
    assert answer["similarity"] == pytest.approx(((a @ b.T).max() + template) / 2, abs=1e-5)


def test_a_comma_in_a_name_is_no_list(verify, photos):
    odd = photos / "Smith, Ann.png"
    odd.write_bytes((photos / "a" / "0.png").read_bytes())
    (photos / "x,y").mkdir()
    (photos / "x,y" / "0.png").write_bytes(odd.read_bytes())
    assert verify(odd, photos / "x,y", "--json").json["similarity"] == pytest.approx(1, abs=1e-5)


def test_photos_that_cannot_be_used(verify, photos):
    (photos / "a" / "text.jpg").write_text("not a picture")
    answer = verify(photos / "a", photos / "b" / "0.png", "--json").json
    assert "left out" in answer["notes"][0]
    assert "text.jpg" in answer["notes"][0]
    (photos / "none").mkdir()
    assert verify(photos / "none", photos / "b").refused("none holds no images")
    assert verify(f"{photos}/a/0.png,{photos}/nobody.png", photos / "b").refused("nobody.png")
    assert verify(f"{photos}/a/0.png,", photos / "b").refused("between two commas")
    assert verify(photos / "a" / "text.jpg", photos / "b").refused("text.jpg", "not an image")
    assert verify(photos / "a", photos / "b", "--explain", photos / "x.png").refused("--explain draws one photo a side")


def test_every_face_of_a_photo(lrface, model, tmp_path, monkeypatch):
    places = ((20, 30, 112), (150, 20, 100), (280, 40, 90))

    class Corners:
        name = "corners"

        def detect(self, image):
            return [
                Face(np.float32([x, y, x + side, y + side]), (TEMPLATE * (side / 112) + [x, y]).astype(np.float32), 0.9)
                for x, y, side in (places if image.shape[1] == 400 else places[:1])
            ]

    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device, **options: Corners())
    import cv2

    group, single = np.full((200, 400, 3), 90, np.uint8), np.full((200, 200, 3), 90, np.uint8)
    for number, (x, y, side) in enumerate(places):
        group[y : y + side, x : x + side] = cv2.resize(
            face(number, 0, seed=1), (side, side), interpolation=cv2.INTER_AREA
        )
    single[30:142, 20:132] = face(2, 0, seed=1)
    for name, image in (("group", group), ("single", single)):
        (tmp_path / f"{name}.png").write_bytes(encode_image(image, "png"))
    options = ("--model", model, "--detector", "mtcnn", "--face", "all", "--json")
    answer = lrface("verify", tmp_path / "group.png", tmp_path / "single.png", *options).json
    assert "the best of 3 x 1 pairs of faces" in answer["notes"][0]
    assert "group.png at 280,40 to 370,130" in answer["notes"][0]
    assert "3 pairs are compared: at a false accept rate of 0.01 each" in answer["notes"][1]
    one = lrface("verify", tmp_path / "group.png", tmp_path / "single.png", *options[:-3], "--json").json
    assert answer["similarity"] > one["similarity"]

"""``lrface finetune`` and ``lrface identify``, one after the other as a user has them."""

import shutil

import numpy as np
import pytest

from lrface.data.synthetic import generate
from lrface.faces.images import encode_image
from lrface.models.embedder import open_embedder
from lrface.recognition.classifier import FaceClassifier


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Eight drawn people with four images each. Not to be changed."""
    root = tmp_path_factory.mktemp("people")
    generate(root, 8, 4, seed=1, size=48, progress=False)
    return root


@pytest.fixture
def finetune(lrface, model, tmp_path):
    """``finetune(data, *options)``: on crops, with the small model, to ``out.safetensors``."""

    def run(data, *options):
        return lrface("finetune", data, "--model", model, "--out", tmp_path / "out.safetensors", *options)

    return run


def test_a_classifier_and_whom_it_finds(lrface, finetune, people, tmp_path):
    out = tmp_path / "out.safetensors"
    made = finetune(people, "--detector", "none", "--seed", "3")
    assert made.status == 0
    lines = made.out.splitlines()
    assert lines[0] == "32 images of 8 people, 0 left out"
    assert lines[1].startswith("held out: ")
    assert lines[2].startswith("32 images of strangers")
    rows = [line.split() for line in lines[4:-1]]
    assert [row[0] for row in rows] == ["20%", "10%", "5%"]
    classifier = FaceClassifier.load(out)
    assert [float(row[1]) for row in rows] == [
        pytest.approx(value, abs=1e-4) for value in classifier.thresholds.values()
    ]
    assert lines[-1] == f"classifier: {out}"
    assert classifier.card["finetune"]["seed"] == 3
    assert classifier.card["alignment"] == {"detector": "none", "face": "largest-central"}
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]

    photo = people / "00003" / "0001.jpg"
    found = lrface("identify", photo, "--classifier", out, "--detector", "none", "--threshold", "-1", "--top", "3")
    assert found.status == 0
    name = classifier.names[
        int(np.argmax(classifier.similarities(FaceClassifier.load(out, "none").encoder.embed([photo]))))
    ]
    lines = found.out.splitlines()
    assert lines[0].startswith(f"{photo}: {name}: similarity ")
    assert lines[0].endswith("above threshold -1.0000 (given)")
    assert len(lines) == 4
    assert lines[1].split()[0] == name
    unknown = lrface("identify", photo, "--classifier", out, "--detector", "none", "--threshold", "1")
    assert unknown.status == 1
    assert unknown.out.startswith(f"{photo}: unknown: similarity ")
    assert len(unknown.out.splitlines()) == 6
    assert "takes 10 % of strangers for somebody" in (
        lrface("identify", photo, "--classifier", out, "--detector", "none", "--far", "0.1").out
    )


def test_json(lrface, finetune, people, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    finetune(people, "--detector", "none")
    (tmp_path / "broken.png").write_bytes(b"")
    arguments = ("--detector", "none", "--json", "--threshold", "-1")
    both = lrface("identify", people / "00000", tmp_path / "broken.png", "--classifier", out, *arguments)
    assert both.status == 2
    assert len(both.json["found"]) == 4
    first = both.json["found"][0]
    assert first["photo"] == str(people / "00000" / "0000.jpg")
    assert (first["known"], first["threshold"], first["far"], first["notes"]) == (True, -1, None, [])
    assert first["name"] == first["candidates"][0]["name"]
    assert first["probability"] == first["candidates"][0]["probability"]
    assert len(first["candidates"]) == 5
    assert both.json["refused"][0]["photo"] == str(tmp_path / "broken.png")
    assert both.refused("broken.png", "empty")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.safetensors").rename(tmp_path / "people.safetensors")
    assert lrface("identify", people / "00000" / "0000.jpg", *arguments).json["classifier"] == "people.safetensors"


def test_images_that_cannot_be_used_are_counted(finetune, people, tmp_path):
    root = tmp_path / "people"
    shutil.copytree(people, root)
    (root / "00001" / "text.jpg").write_text("not a picture")
    (root / "nobody").mkdir()
    (root / "nobody" / "empty.jpg").write_bytes(b"")
    for number in (1, 2, 3):
        (root / "00002" / f"{number:04d}.jpg").unlink()
    made = finetune(root, "--detector", "none")
    assert made.status == 0
    assert made.out.splitlines()[0] == (
        "29 images of 8 people, 2 left out, 1 of them with one image, which is learnt and not held out"
    )
    assert f"left out {root / '00001' / 'text.jpg'}: " in made.err
    assert f"left out {root / 'nobody' / 'empty.jpg'}: " in made.err
    assert "left out nobody: no image of theirs can be used" in made.err


def test_a_finetuned_network(finetune, people, tmp_path):
    made = finetune(people, "--detector", "none", "--unfreeze", "last", "--epochs", "1", "--batch-size", "8")
    assert made.status == 0
    assert any(line.startswith("with the network as it was, ") for line in made.out.splitlines())
    assert (tmp_path / "out.safetensors.run" / "log.jsonl").exists()
    assert FaceClassifier.load(tmp_path / "out.safetensors").card["unfreeze"] == "last"


def test_tinyface_makes_a_model(finetune, people, model, tmp_path):
    shutil.copytree(people, tmp_path / "tinyface" / "Training_Set")
    made = finetune(tmp_path / "tinyface", "--epochs", "1", "--batch-size", "8", "--distil", "0", "--unfreeze", "none")
    assert made.status == 0
    assert made.out.splitlines()[-1] == f"model: {tmp_path / 'out.safetensors'}"
    assert "too few people to hold any out" in made.out
    tuned, before = open_embedder(tmp_path / "out.safetensors"), open_embedder(model)
    image = np.full((16, 16, 3), 90, np.uint8)
    assert np.abs(tuned.embed([image]) - before.embed([image])).max() > 0
    assert tuned.card["unfreeze"] == "none"
    assert tuned.card["distil"]["weight"] == 0
    assert tuned.card["alignment"]["detector"] == "none"


def test_a_model_says_what_it_gained(finetune, tmp_path):
    generate(tmp_path / "many", 20, 3, seed=2, size=48, progress=False)
    options = ("--detector", "none", "--as", "model", "--epochs", "1", "--val", "0.5")
    made = finetune(tmp_path / "many", *options)
    assert made.status == 0
    card = open_embedder(tmp_path / "out.safetensors").card
    before, after = (entry["accuracy"] for entry in card["validation"]["history"])
    better = after > before + 1e-6
    assert (card["held_people"], card["validation"]["epoch"]) == (10, int(better))
    told = (
        f"pairs of 10 held-out people: {100 * before:.2f} % right before, "
        f"{100 * max(before, after):.2f} % at the best epoch, {int(better)}"
    )
    assert told in made.out.splitlines()
    assert ("no epoch does better" in made.out) == (not better)


def test_uccs_is_tested_on_its_test_images(finetune, people, tmp_path):
    shutil.copytree(people, tmp_path / "uccs")
    rows = ["path,subject_id,split"]
    rows += [
        f"{person:05d}/{n:04d}.jpg,{person},{'test' if n == 3 else 'train'}" for person in range(8) for n in range(4)
    ]
    (tmp_path / "uccs" / "split.csv").write_text("\n".join(rows) + "\n")
    made = finetune(tmp_path / "uccs", "--detector", "none")
    assert made.status == 0
    assert made.out.splitlines()[0].startswith("24 images of 8 people")
    line = next(line for line in made.out.splitlines() if "test images" in line)
    test = FaceClassifier.load(tmp_path / "out.safetensors").card["test"]
    assert line == f"8 test images: top-1 {100 * test['top']['1']:.2f} %, top-5 {100 * test['top']['5']:.2f} %"
    assert "split: given" in made.err


def test_interrupted_and_gone_on_with(finetune, people, tmp_path, monkeypatch):
    import signal

    from lrface.train import loop

    step = loop.Loop._step
    options = ("--detector", "none", "--unfreeze", "last", "--epochs", "2", "--batch-size", "8")

    def interrupting(self, batch, log):
        step(self, batch, log)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_step", interrupting)
    assert finetune(people, *options).status == 130
    assert not (tmp_path / "out.safetensors").exists()
    monkeypatch.setattr(loop.Loop, "_step", step)
    again = finetune(people, *options)
    assert again.status == 2
    assert "error: " in again.err.splitlines()[-1]
    assert "--resume goes on with it" in again.err.splitlines()[-1]
    assert finetune(people, *options, "--resume").status == 0


def test_mistakes(lrface, finetune, people, model, tmp_path):
    none = ("--detector", "none")
    assert finetune(tmp_path / "nowhere", *none).refused("no such folder")
    (tmp_path / "empty").mkdir()
    assert finetune(tmp_path / "empty", *none).refused("holds no folders")
    shutil.copytree(people / "00000", tmp_path / "one" / "adam")
    assert finetune(tmp_path / "one", *none).refused("1 person: 2 or more are needed")
    for name in ("adam", "berta"):
        (tmp_path / "single" / name).mkdir(parents=True)
        shutil.copy(people / "00000" / "0000.jpg", tmp_path / "single" / name)
    assert finetune(tmp_path / "single", *none).refused("nobody has two images")
    assert finetune(people, *none, "--resume").refused("nothing to resume")
    assert finetune(people, *none, "--teacher", model).refused("--teacher", "--as model")
    assert finetune(people, *none, "--as", "model", "--epochs", "0").refused("--epochs 0")
    assert not (tmp_path / "out.safetensors").exists()
    photo = people / "00000" / "0000.jpg"
    assert lrface("identify", photo, "--classifier", tmp_path / "none").refused("no classifier at", "lrface finetune")
    assert lrface("identify", photo, "--classifier", model).refused("a model, and not a classifier")
    assert finetune(people, *none).status == 0
    made = tmp_path / "out.safetensors"
    assert lrface("identify", photo, "--classifier", made, "--far", "0.3").refused(
        "not calibrated for 0.3", "from 0.05 to 0.2"
    )
    assert lrface("identify", tmp_path / "gone.jpg", "--classifier", made).refused("no such file", "gone.jpg")
    assert lrface("verify", photo, photo, "--model", made).refused("is a classifier of people", "lrface identify")
    made.write_bytes(made.read_bytes()[:5000])
    assert lrface("identify", photo, "--classifier", made).refused("not a whole safetensors file")


def test_a_detector_that_finds_nothing(lrface, finetune, people, tmp_path, monkeypatch):
    class Blind:
        name = "blind"

        def detect(self, image):
            return []

    finetune(people, "--detector", "none")
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device, **options: Blind())
    photo = encode_image(np.zeros((200, 200, 3), np.uint8), "png")
    for name in ("adam", "berta"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "photo.png").write_bytes(photo)
    arguments = ("--classifier", tmp_path / "out.safetensors", "--detector", "mtcnn")
    asked = lrface("identify", tmp_path / "photos" / "adam" / "photo.png", *arguments)
    assert asked.refused("photo.png", "blind found no face")
    assert finetune(tmp_path / "photos", "--detector", "mtcnn").refused(
        "2 images", "0 can be used", "blind found no face"
    )

"""``lrface gallery``: the answer of ``search`` is its exit status."""

import json
import re
import sys

import click
import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.images import encode_image


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder per person of drawn crops, and beside it what is no photo."""
    root = tmp_path_factory.mktemp("photos")
    for identity, name in enumerate(("anna", "bert")):
        (root / "people" / name).mkdir(parents=True)
        for number in range(2):
            path = root / "people" / name / f"{number}.png"
            path.write_bytes(encode_image(face(identity, number, seed=1), "png"))
    (root / "stranger.png").write_bytes(encode_image(face(9, 0, seed=1), "png"))
    (root / "text.jpg").write_text("not a picture")
    return root


@pytest.fixture
def gallery(lrface, model, tmp_path, monkeypatch):
    """``gallery(command, ...)`` with a folder of its own."""
    monkeypatch.delenv("LRFACE_GALLERY", raising=False)

    def run(command, *arguments, model=model):
        named = (
            ["--model", model, "--detector", "none"]
            if command in ("add", "import", "search")
            else ["--model", model] * (command == "check")
        )
        return lrface("gallery", command, *arguments, *named, "--gallery", tmp_path / "gallery")

    return run


def test_add_search_list_remove(gallery, photos):
    people = photos / "people"
    added = gallery("add", "Anna", people / "anna")
    assert (added.status, added.err) == (0, "")
    assert added.out == "2 images: 2 faces enrolled, 0 there already, 0 left out\n"
    assert gallery("add", "Bert", people / "bert" / "0.png", people / "bert" / "1.png").status == 0
    assert gallery("add", "Bert", people / "bert" / "0.png").out.startswith(
        "1 images: 0 faces enrolled, 1 there already"
    )

    known = gallery("search", people / "bert" / "1.png", "--threshold", "0.98")
    assert known.status == 0
    lines = known.out.splitlines()
    assert lines[0] == "Bert"
    assert re.match(r"  \* Bert  similarity 0\.99\d\d, threshold 0\.9800, risk of a stranger above 3\.9 %  /", lines[1])
    assert lines[1].endswith("bert/1.png")
    assert lines[3] == "2 people, 4 faces, exact search, given threshold"
    unknown = gallery("search", photos / "stranger.png", "--threshold", "0.99999", "--top", "1")
    assert unknown.status == 1
    assert unknown.out.splitlines()[0] == "unknown"
    assert len(unknown.out.splitlines()) == 3

    assert gallery("list").out == (
        "     2  Anna\n     2  Bert\n"
        "2 people, 4 faces; risk of a stranger up to 0.4 % at a false accept rate of 0.001 a comparison\n"
    )
    assert gallery("remove", "Bert").out == "Bert removed, 2 faces\n"
    assert gallery("search", people / "bert" / "1.png", "--threshold", "0.99999").status == 1
    assert gallery("remove", "Bert").refused("nobody", "called Bert")
    assert gallery("remove", "Ana").refused("did you mean Anna?")


def test_json(gallery, photos):
    people = photos / "people"
    assert gallery("add", "Anna", people / "anna" / "0.png", "--json").json == {
        "name": "Anna", "images": 1, "added": 1, "known": 0, "left_out": [], "notes": [],
    }  # fmt: skip
    answer = gallery("search", people / "anna" / "0.png", "--json").json
    assert answer["name"] == "Anna"
    assert answer["photo"] == str(people / "anna" / "0.png")
    (match,) = answer["matches"]
    assert match.pop("similarity") == pytest.approx(1, abs=1e-4)
    assert match.pop("resolution") > 8
    photo = str(people / "anna" / "0.png")
    assert match == {"name": "Anna", "threshold": 0.9995, "same": True, "photo": photo, "risk": pytest.approx(0.001),
                     "risk_bound": "below"}  # fmt: skip
    assert {key: answer[key] for key in ("far", "people", "faces", "method", "notes", "warnings")} == {
        "far": 0.001, "people": 1, "faces": 1, "method": "exact", "notes": [], "warnings": [],
    }  # fmt: skip
    assert gallery("list", "--json").json == {
        "people": {"Anna": 1}, "risk": pytest.approx(0.001), "risk_far": 0.001,
    }  # fmt: skip
    facts = gallery("info", "--json", "--check").json
    assert (facts["people"], facts["faces"], facts["dim"], facts["faults"]) == (1, 1, 32, [])
    assert gallery("remove", "Anna", "--json").json == {"name": "Anna", "removed": 1}
    empty = gallery("search", people / "anna" / "0.png", "--json")
    assert (empty.status, empty.json["name"], empty.json["notes"]) == (1, None, ["the gallery is empty"])


def test_import_and_info(gallery, photos):
    outcome = gallery("import", photos / "people", "--exact-limit", "500")
    assert outcome.status == 0
    assert "4 images: 4 faces enrolled, 0 there already, 0 left out" in outcome.out
    assert "4 images: 0 faces enrolled, 4 there already" in gallery("import", photos / "people").out
    assert gallery("import", photos / "people", "--json").json["people"] == 2
    text = gallery("info", "--check").out
    assert "people   2\n" in text
    assert "exact up to 500 faces" in text
    assert text.endswith("checked: every file is sound, and they agree\n")
    assert gallery("import", photos / "none").refused("cannot list", "none")


def test_photos_that_cannot_be_used(gallery, photos):
    anna = photos / "people" / "anna"
    some = gallery("add", "Anna", photos / "text.jpg", anna / "0.png")
    assert some.status == 0
    assert some.err.startswith(f"left out {photos / 'text.jpg'}: the file is not an image")
    assert some.out == "2 images: 1 faces enrolled, 0 there already, 1 left out\n"
    none = gallery("add", "Anna", photos / "text.jpg", "--json")
    assert none.status == 2
    assert none.json["left_out"][0]["image"] == str(photos / "text.jpg")
    assert gallery("search", photos / "text.jpg").refused("text.jpg", "not an image")
    assert gallery("add", "Anna", photos / "nothing.jpg").refused("no such file", "nothing.jpg")
    assert gallery("add", " ", anna).refused("name")


def test_unusable_faces_want_force(gallery, photos, tmp_path):
    flat = (128 + face(3, 0, seed=1) / 64).astype(np.uint8)
    (tmp_path / "flat.png").write_bytes(encode_image(flat, "png"))
    refused = gallery("add", "Carl", tmp_path / "flat.png")
    assert refused.status == 2
    assert refused.err.startswith(f"left out {tmp_path / 'flat.png'}: the image is flat")
    assert "--force" in refused.err
    forced = gallery("add", "Carl", tmp_path / "flat.png", "--force")
    assert forced.status == 0
    assert forced.err.startswith(f"note: {tmp_path / 'flat.png'}: the image is flat")
    found = gallery("search", tmp_path / "flat.png")
    assert found.out.splitlines()[-1].startswith(f"warning: {tmp_path / 'flat.png'}: the image is flat")
    (tmp_path / "people" / "dora").mkdir(parents=True)
    (tmp_path / "people" / "dora" / "0.png").write_bytes(encode_image(flat, "png"))
    assert gallery("import", tmp_path / "people").status == 2
    assert gallery("import", tmp_path / "people", "--force").status == 0


def test_without_a_gallery(gallery, photos, tmp_path):
    for arguments in (("search", photos / "stranger.png"), ("list",), ("remove", "Anna"), ("info",)):
        assert gallery(*arguments).refused("no gallery at", str(tmp_path), "gallery add NAME")
    assert not (tmp_path / "gallery").exists()


def test_another_model(gallery, photos, tmp_path):
    import torch

    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_model(other, create("resnet18", width=8, embedding_dim=32), {"preprocessing": Preprocessing(16).as_dict()})
    photo = photos / "people" / "anna" / "0.png"
    assert gallery("add", "Anna", photo).status == 0
    assert gallery("search", photo, "--threshold", "0.5", model=other).refused("made with the model", "--model")
    assert gallery("add", "Anna", photo, model=other).refused("made with the model", "--model")


def test_faiss_is_missing(gallery, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    photo = photos / "people" / "anna" / "0.png"
    for command in ("add", "search", "import"):
        assert gallery(command, *(["Anna"] if command == "add" else []), photo).refused(
            "faiss-cpu", "faiss-gpu", "never"
        )


def test_damage_is_reported(gallery, photos, tmp_path):
    import sqlite3

    gallery("add", "Anna", photos / "people" / "anna")
    with sqlite3.connect(tmp_path / "gallery" / "gallery.sqlite") as handle:
        handle.execute("UPDATE meta SET value = 9 WHERE key = 'faces'")
    handle.close()
    outcome = gallery("info", "--check")
    assert outcome.status == 2
    assert "fault: gallery.sqlite" in outcome.out
    (tmp_path / "gallery" / "gallery.sqlite").write_bytes(b"no database" * 1000)
    assert gallery("list").refused("gallery.sqlite is damaged")


def test_the_folder_may_come_from_the_environment(lrface, gallery, photos, tmp_path, monkeypatch):
    gallery("add", "Anna", photos / "people" / "anna")
    monkeypatch.setenv("LRFACE_GALLERY", str(tmp_path / "gallery"))
    assert json.loads(lrface("gallery", "list", "--json").out)["people"] == {"Anna": 2}


def test_listing_loads_neither_faiss_nor_a_network(start, gallery, photos, tmp_path):
    gallery("add", "Anna", photos / "people" / "anna")
    script = (
        "import sys; from lrface.recognition.gallery import Gallery\n"
        f"assert Gallery.open({str(tmp_path / 'gallery')!r}).people()[0].name == 'Anna'\n"
        "print([name for name in ('faiss', 'torch', 'onnxruntime') if name in sys.modules])"
    )
    outcome = start("-c", script)
    assert outcome.stdout.strip() == "[]", outcome.stderr


def test_what_somebody_else_has_is_left_out(gallery, photos):
    photo = photos / "people" / "anna" / "0.png"
    assert gallery("add", "George", photo).status == 0
    wrong = gallery("add", "Wrong", photo, "--json")
    assert (wrong.status, wrong.json["added"]) == (2, 0)
    assert "this very image is enrolled as George already (--force" in wrong.json["left_out"][0]["reason"]
    assert "there already" in gallery("add", " george", photo).out
    forced = gallery("add", "Wrong", photo, "--force", "--json").json
    assert (forced["added"], len(forced["notes"])) == (1, 2)
    assert gallery("list", "--json").json["people"] == {"George": 1, "Wrong": 1}


def test_rename_merge_and_remove_a_photo(gallery, photos):
    people = photos / "people"
    gallery("import", people)
    assert gallery("rename", "anna", "Anna B.").out == "anna is called Anna B., 2 faces\n"
    assert gallery("rename", "Anne", "Carl").refused("nobody", "Anne")
    assert gallery("rename", "bert", "ANNA  b.").refused("somebody called Anna B. already", "--yes")
    merged = gallery("rename", "bert", "Anna B.", "--yes", "--json")
    assert merged.json == {"name": "bert", "new": "Anna B.", "faces": 2}
    assert gallery("list", "--json").json["people"] == {"Anna B.": 4}
    photo = people / "bert" / "0.png"
    assert gallery("remove", "anna b.", "--photo", photo).out == f"1 face of anna b. removed: {photo}\n"
    assert gallery("remove", "Anna B.", "--photo", photo).refused("has no face of", str(photo))
    assert gallery("info", "--check", "--json").json["faces"] == 3


def test_a_merger_is_asked_for(gallery, photos, monkeypatch):
    gallery("import", photos / "people")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter([False, True])

    def confirm(text, abort):
        assert "Merge bert" in text
        if not next(answers):
            raise click.Abort

    monkeypatch.setattr(click, "confirm", confirm)
    assert gallery("rename", "bert", "anna").status == 130
    assert len(gallery("list", "--json").json["people"]) == 2
    assert gallery("rename", "bert", "anna").status == 0
    assert gallery("list", "--json").json["people"] == {"anna": 4}


def test_check_lists_faces_to_look_at(gallery, photos, tmp_path):
    for identity, name in enumerate(("anna", "bert")):
        for number in range(6):
            path = tmp_path / "people" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_image(face(identity, number, seed=1), "png"))
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    (tmp_path / "people" / "anna" / "5.png").write_bytes(encode_image(noise, "png"))
    imported = gallery("import", tmp_path / "people", "--force", "--json")
    assert any("`lrface gallery check` lists them" in note for note in imported.json["notes"]), imported
    checked = gallery("check", "--json")
    assert checked.status == 1
    assert "anna/5.png" in " ".join(each["photo"] for each in checked.json["suspects"])
    assert checked.json["faces"] == 12
    text = gallery("check").out
    assert "anna/5.png: resembles " in text
    assert text.endswith("to look at\n")
    assert gallery("list", "--json").json["people"] == {"anna": 6, "bert": 6}  # nothing is deleted

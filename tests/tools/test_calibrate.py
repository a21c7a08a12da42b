"""One command calibrates a model file by quality."""

import sys

import calibrate as tool
import numpy as np
import pytest
import torch

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.calibration import Calibration
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image
from lrface.models import create
from lrface.models.card import read_header, write_card
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.weights import save_model

PEOPLE, IMAGES = 16, 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    for person in range(PEOPLE):
        (root / f"person{person}").mkdir()
        for image in range(IMAGES):
            name = f"person{person}_{image + 1:04d}.jpg"
            (root / f"person{person}" / name).write_bytes(encode_image(face(person, image, seed=2)))
    out = tmp_path_factory.mktemp("stores") / "people"
    prepare(root, out, Settings(detector="none"), progress=False)
    return out


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    lines = ["8"]
    lines += [f"person{p}\t1\t2" for p in range(8)] + [f"person{p}\t1\tperson{p + 1}\t3" for p in range(8)]
    path = tmp_path_factory.mktemp("lists") / "pairsDevTrain.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def model(store, tmp_path):
    torch.manual_seed(0)
    card = {
        "preprocessing": Preprocessing(16, degradation=Degradation(16)).as_dict(),
        "recipe": {"data": {"store": "people", "holdout_identities": 10}},
        "data": {"fingerprint": Store(store).fingerprint},
        "teacher": "kept",
    }
    path = tmp_path / "model.safetensors"
    save_model(path, create("resnet18", width=8, embedding_dim=16), card)
    return path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["calibrate.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        tool.main()
    return stop.value.code or 0, capsys.readouterr()


def test_the_card_gains_the_tables_and_nothing_else_changes(model, store, pairs, monkeypatch, capsys):
    before, places = read_header(model)
    crop = face(99, 0, seed=1)
    embedding = open_embedder(model, runtime="torch").embed([crop])
    status, output = run(
        monkeypatch, capsys, model, "--store", store, "--images", store, "--pairs", pairs, "--faces", 600
    )
    assert status == 0, output.err
    after, moved = read_header(model)
    assert {key: after[key] for key in before} == before
    assert {name: place[:2] for name, place in moved.items()} == {name: place[:2] for name, place in places.items()}
    np.testing.assert_array_equal(open_embedder(model, runtime="torch").embed([crop]), embedding)
    found = Calibration.from_card(after)
    assert [source["people"] for source in found.facts["sources"]] == [10, 9]
    assert found.facts["sources"][1]["pairs"] == ["pairsDevTrain.txt"]
    for far, value in after["thresholds"].items():
        assert value == pytest.approx(float(found.threshold(float(far), 24, 24)), abs=1e-4)
    assert set(after["thresholds"]) == {"0.1", "0.01", "0.001", "0.0001"}


def test_it_can_be_run_again(model, store, monkeypatch, capsys):
    results = []
    for _ in range(2):
        assert run(monkeypatch, capsys, model, "--store", store, "--faces", 600)[0] == 0
        results.append(model.read_bytes())
    assert results[0] == results[1]


def test_mistakes(model, store, pairs, tmp_path, monkeypatch, capsys):
    def refused(*arguments):
        content = model.read_bytes()
        status, output = run(monkeypatch, capsys, model, *arguments)
        assert status == 2
        assert model.read_bytes() == content
        assert output.err.startswith("error: ")
        return output.err

    assert "name faces" in refused()
    assert "belong together" in refused("--images", store)
    card, _ = read_header(model)
    write_card(model, {**card, "data": {"fingerprint": "other"}})
    assert "another store" in refused("--store", store)
    write_card(model, {**card, "recipe": {"data": {"store": "people"}}})
    assert "held no identities out" in refused("--store", store)
    write_card(model, card)
    graph = model.with_name("model.graph.onnx")
    graph.write_bytes(b"")
    assert "belongs to" in refused("--store", store)
    graph.unlink()
    assert "too few pairs" in refused("--store", store, "--faces", "30")


def test_a_new_card(model, tmp_path):
    card, _ = read_header(model)
    for wrong in ({**card, "x": float("nan")}, {**card, "x": {1}}):
        with pytest.raises(LrfaceError, match="does not fit JSON"):
            write_card(model, wrong)
    with pytest.raises(LrfaceError, match="preprocessing"):
        write_card(model, {"format": 1})
    assert read_header(model)[0] == card
    write_card(model, {**card, "long": "ä" * 1000})
    assert read_header(model)[0]["long"] == "ä" * 1000
    (tmp_path / "half.safetensors").write_bytes(model.read_bytes()[:1000])
    with pytest.raises(LrfaceError, match="not a whole safetensors file"):
        write_card(tmp_path / "half.safetensors", card)

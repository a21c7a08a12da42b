"""The package's own models: by name, whole, and unchanged."""

import json
import shutil
from pathlib import Path

import pytest
import tomllib

from lrface.errors import LrfaceError
from lrface.files import file_digest, write_json
from lrface.models import shipped
from lrface.models.card import read_header, write_card
from lrface.models.embedder import open_embedder


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A package that ships ``good`` and, for whom nobody listed it, has ``own.safetensors`` in the folder."""
    import torch

    from lrface.models import create, save_model
    from lrface.models.preprocessing import Preprocessing

    torch.manual_seed(0)
    folder = tmp_path / "weights"
    path = folder / "good.safetensors"
    save_model(path, create("resnet18", width=4, embedding_dim=8), {"preprocessing": Preprocessing(16).as_dict()})
    shutil.copy(path, folder / "own.safetensors")
    listing = {"format": 1, "default": "good", "models": {"good": path.name, "lost": "lost.safetensors"}}
    write_json(folder / "shipped.json", listing | {"sha256": {path.name: file_digest(path)}})
    monkeypatch.setattr(shipped, "WEIGHTS", folder)
    return folder


def test_models_open_by_name_and_by_default(weights):
    assert shipped.names() == ["good", "lost"]
    assert shipped.default() == "good"
    by_file = open_embedder(weights / "good.safetensors")
    assert open_embedder("good").fingerprint == open_embedder().fingerprint == by_file.fingerprint


def test_a_missing_file_is_named(weights):
    with pytest.raises(LrfaceError, match=r"lost\.safetensors, the shipped model lost, is missing"):
        open_embedder("lost")
    with pytest.raises(LrfaceError, match=r"no model at goood .*: give good, lost, "):
        open_embedder("goood")


@pytest.mark.parametrize("how", ["good", "weights/good.safetensors", "link/good.safetensors", "mine.safetensors"])
def test_a_tampered_file_is_refused_by_name(weights, how, tmp_path, monkeypatch):
    path = weights / "good.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(weights)
    (tmp_path / "mine.safetensors").symlink_to(path)
    with pytest.raises(LrfaceError, match=r"\w+\.safetensors has been changed since it was shipped"):
        open_embedder(how)
    assert len(shipped.faults()) == 1


def test_a_tampered_graph_is_refused_by_name(weights):
    graph = weights / "good.graph.onnx"
    graph.write_bytes(b"evil")
    listing = json.loads((weights / "shipped.json").read_text())
    listing["sha256"]["good.graph.onnx"] = "0" * 64
    write_json(weights / "shipped.json", listing)
    with pytest.raises(LrfaceError, match=r"good\.graph\.onnx has been changed since it was shipped"):
        open_embedder("good")


def test_files_that_are_not_shipped_may_change(weights, tmp_path):
    copied = Path(shutil.copy(weights / "own.safetensors", tmp_path / "good.safetensors"))
    for path in (weights / "own.safetensors", copied):
        write_card(path, {**read_header(path)[0], "trained": "a little longer"})
        open_embedder(path)
    assert shipped.faults() == []


def test_missing_files_are_faults(weights):
    (weights / "good.safetensors").unlink()
    assert len(shipped.faults()) == 1


def test_an_installation_without_models(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    assert shipped.names() == []
    assert shipped.find("good") is None
    with pytest.raises(LrfaceError, match="carries no model"):
        shipped.default()


def test_a_listing_of_another_version(weights):
    write_json(weights / "shipped.json", {"format": 2})
    with pytest.raises(LrfaceError, match=r"shipped\.json is of another version"):
        open_embedder("good")


def test_what_this_package_ships_is_whole():
    assert shipped.default() in shipped.names()
    assert shipped.faults() == []
    for name in shipped.names():
        assert shipped.find(name).is_file()
        assert shipped.find(name).name in shipped.listing()["sha256"]


def test_what_is_listed_gets_into_the_wheel():
    root = Path(__file__).parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["lrface"]
    for file in [shipped.LISTING, *shipped.listing()["sha256"]]:
        assert any(Path("weights", file).match(pattern) for pattern in patterns), f"package-data leaves out {file}"

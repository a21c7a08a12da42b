"""``lrface train`` and ``lrface prepare``: what they say to wrong input. What they do is tested with the library."""

import pytest
import yaml

RECIPE = {"name": "small", "data": {"store": "faces"}, "loss": {"classification": {}}, "optim": {"epochs": 1}}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.epoch=3", ["optim.epoch", "did you mean 'epochs'"]),
        ("optim.epochs=many", ["optim.epochs", "many"]),
        ("optim.epochs", ["--set optim.epochs", "section.key=value"]),
        ("=3", ["--set =3", "section.key=value"]),
        ("optim.epochs=[1", ["--set optim.epochs=[1", "YAML"]),
    ],
)
def test_wrong_overrides(lrface, recipe, tmp_path, override, words):
    assert lrface("train", recipe, "--set", override, "--out", tmp_path / "run").refused(*words)
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_is_not_there(lrface, tmp_path):
    assert lrface("train", tmp_path / "none.yaml").refused("no such recipe", "none.yaml")


def test_a_data_set_that_is_not_there(lrface, recipe, tmp_path):
    outcome = lrface("train", recipe, "--data", tmp_path / "nowhere", "--out", tmp_path / "run", "--device", "cpu")
    assert outcome.refused("no store at", str(tmp_path / "nowhere" / "faces"), "lrface prepare")


def test_a_store_from_the_environment(lrface, recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("LRFACE_DATA", str(tmp_path / "elsewhere"))
    outcome = lrface("train", recipe, "--out", tmp_path / "run", "--device", "cpu")
    assert outcome.refused("no store at", str(tmp_path / "elsewhere" / "faces"))


@pytest.mark.parametrize("shard", ["3", "a/b", "1/2/3", "", "/", "1.5/2"])
def test_a_malformed_shard(lrface, face_folder, tmp_path, shard):
    arguments = ("prepare", face_folder, "--out", tmp_path / "store", "--detector", "none", "--shard", shard)
    assert lrface(*arguments).refused(f"--shard {shard}", "3/8")


@pytest.mark.parametrize("shard", ["2/2", "-1/2", "0/0"])
def test_a_shard_that_cannot_be(lrface, face_folder, tmp_path, shard):
    arguments = ("prepare", face_folder, "--out", tmp_path / "store", "--detector", "none", "--shard", shard)
    assert lrface(*arguments).refused("shard")
    assert not (tmp_path / "store").exists()


def test_an_empty_folder(lrface, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = ("prepare", tmp_path / "empty", "--out", tmp_path / "store", "--detector", "none")
    assert lrface(*arguments).refused("empty", "no folders")
    (tmp_path / "empty" / "somebody").mkdir()
    assert lrface(*arguments).refused("empty", "no images")
    assert not (tmp_path / "store").exists()


def test_options_that_do_not_go_together(lrface, face_folder, tmp_path):
    arguments = ("prepare", face_folder, "--out", tmp_path / "store")
    assert lrface(*arguments, "--detector", "landmarks").refused("--landmarks")
    assert lrface(*arguments, "--detector", "none", "--landmarks", "a.csv").refused("--landmarks")
    assert lrface(*arguments, "--detector", "eyes").refused("eyes")
    assert lrface(*arguments, "--detector", "eyes", "--eyes", "1,2,3").refused("--eyes 1,2,3", "X1,Y1,X2,Y2")
    assert lrface(*arguments, "--detector", "none", "--device", "tpu").refused("--device tpu")


def test_prepare_counts_what_it_made(lrface, face_folder, tmp_path):
    arguments = ("prepare", face_folder, "--out", tmp_path / "store", "--detector", "none", "--workers", 1)
    outcome = lrface(*arguments)
    assert outcome.status == 0
    assert "10 images: 10 ok" in outcome.out
    assert "4 identities, 1 of them with a single image" in outcome.out
    assert lrface(*arguments).out == outcome.out

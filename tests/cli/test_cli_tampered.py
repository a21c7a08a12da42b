"""Files that were changed or cut short: every command refuses them, and names the file."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.images import encode_image
from lrface.files import read_json, write_json
from lrface.models import shipped

NAME = "lrface-small-16px"

#: What is damaged -> the model that needs it.
NEEDED = {
    f"{NAME}.safetensors": NAME,
    f"{NAME}.graph.onnx": NAME,
    f"{NAME}-int8.onnx": f"{NAME}-int8",
}


def flip(path):
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 4
    path.write_bytes(content)


def flip_first(path):
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


DAMAGES = [flip, flip_first, cut, empty]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of a package that ships the small model alone."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in NEEDED:
        shutil.copy(shipped.WEIGHTS / file, folder / file)
    listing = read_json(shipped.WEIGHTS / shipped.LISTING)
    listing |= {"default": NAME, "models": {model: file for file, model in NEEDED.items() if "graph" not in file}}
    listing |= {"families": {}, "family": None}
    write_json(folder / shipped.LISTING, listing)
    monkeypatch.setattr(shipped, "WEIGHTS", folder)
    return folder


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode_image(face(0, 0, seed=1), "png"))
    return path


@pytest.fixture
def commands(lrface, photo, tmp_path, monkeypatch):
    """``commands(*options)``: the outcome of every command that opens a model, by name."""
    monkeypatch.delenv("LRFACE_GALLERY", raising=False)

    def run(*options):
        options = (*options, "--detector", "none")
        gallery = (*options, "--gallery", tmp_path / "gallery")
        return {
            "verify": lrface("verify", photo, photo, *options),
            "embed": lrface("embed", photo, "--out", tmp_path / "out.npz", *options),
            "gallery add": lrface("gallery", "add", "Anna", photo, *gallery),
            "gallery search": lrface("gallery", "search", photo, *gallery),
        }

    return run


@pytest.mark.parametrize(("file", "damage"), [*((file, flip) for file in NEEDED), (f"{NAME}.safetensors", cut)])
def test_a_shipped_file(package, commands, file, damage, tmp_path):
    sound = commands("--model", NEEDED[file])
    assert {name: outcome.status for name, outcome in sound.items()} == dict.fromkeys(sound, 0)
    (tmp_path / "out.npz").unlink()
    damage(package / file)
    for options in (("--model", NEEDED[file]), ()) if NEEDED[file] == NAME else (("--model", NEEDED[file]),):
        for name, outcome in commands(*options).items():
            assert outcome.refused(str(package / file), "changed since it was shipped"), name
    assert not (tmp_path / "out.npz").exists()


@pytest.fixture(scope="module")
def linked(model, tmp_path_factory):
    """A model of one's own with a graph, which says at which byte each weight lies, and would take whatever lies there."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    from lrface.export.linked import write_graph

    path = Path(shutil.copy(model, tmp_path_factory.mktemp("linked") / "mine.safetensors"))
    write_graph(path)
    return path


@pytest.fixture
def mine(linked, tmp_path):
    return Path(shutil.copytree(linked.parent, tmp_path / "mine"), linked.name)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_of_ones_own_beside_their_graph(lrface, photo, mine, damage, runtime):
    arguments = ("verify", photo, photo, "--model", mine, "--detector", "none", "--runtime", runtime)
    if damage is flip:
        assert lrface(*arguments).status == 0
    damage(mine)
    outcome = lrface(*arguments)
    assert outcome.refused(str(mine))
    if damage is flip:
        assert "has been changed since it was written" in outcome.err


@pytest.mark.parametrize("damage", [cut, empty, lambda path: path.write_bytes(b"no graph" * 99)])
def test_a_graph_of_ones_own(lrface, photo, mine, damage):
    graph = mine.with_name("mine.graph.onnx")
    damage(graph)
    assert lrface("verify", photo, photo, "--model", mine, "--detector", "none").refused(str(graph))


def test_a_graph_of_another_layout(lrface, photo, mine):
    from lrface.models.card import read_header, write_card

    write_card(mine, {**read_header(mine)[0], "note": "moves what comes after the card"})
    outcome = lrface("verify", photo, photo, "--model", mine, "--detector", "none")
    assert outcome.refused("mine.graph.onnx was not made for", str(mine))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_classifier(lrface, photo, model, tmp_path, damage, face_folder):
    path = tmp_path / "people.safetensors"
    made = lrface("finetune", face_folder, "--out", path, "--model", model, "--detector", "none")
    assert made.status == 0, made.err
    arguments = ("identify", photo, "--classifier", path, "--detector", "none")
    assert lrface(*arguments).status in (0, 1)
    damage(path)
    assert lrface(*arguments).refused(str(path))


@pytest.fixture
def gallery(lrface, photo, model, tmp_path):
    """A gallery of one person, and ``run(command)`` on it."""
    folder = tmp_path / "gallery"

    def run(command, *arguments):
        named = ("--model", model, "--detector", "none") if command in ("add", "search") else ()
        return lrface("gallery", command, *arguments, *named, "--gallery", folder)

    assert run("add", "Anna", photo).status == 0
    with sqlite3.connect(folder / "gallery.sqlite") as handle:
        handle.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    handle.close()
    run.path = folder / "gallery.sqlite"
    return run


@pytest.mark.parametrize("damage", [cut, flip_first, lambda path: path.write_bytes(b"text" * 9000)])
def test_the_database_of_a_gallery(gallery, photo, damage):
    damage(gallery.path)
    for command in (("search", photo), ("add", "Anna", photo), ("list",), ("info", "--check"), ("remove", "Anna")):
        outcome = gallery(*command)
        if damage is flip_first and not outcome.err:  # a byte that SQLite does not use
            continue
        assert outcome.refused("gallery.sqlite"), command


def test_a_database_that_is_spoilt_anywhere(gallery, photo):
    """SQLite has no checksums: what is spoilt may be found or not, but never ends in a traceback."""
    whole, rng = gallery.path.read_bytes(), np.random.default_rng(0)
    told = 0
    for _ in range(12):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 5))):
            start = int(rng.integers(0, len(content)))
            content[start : start + 20] = rng.bytes(min(20, len(content) - start))
        gallery.path.write_bytes(content)
        for suffix in ("-wal", "-shm"):
            Path(f"{gallery.path}{suffix}").unlink(missing_ok=True)
        for command in (("search", photo), ("list",), ("info", "--check"), ("add", "Bert", photo), ("remove", "Anna")):
            outcome = gallery(*command)
            assert "Traceback" not in outcome.err, outcome.err
            assert outcome.status in (0, 1, 2)
            told += outcome.status == 2
    assert told

"""``lrface gallery copy`` and ``reembed``, and galleries in PostgreSQL from the command line."""

import re
import shutil

import pytest

from lrface.data.synthetic import face
from lrface.faces.images import encode_image
from lrface.recognition.gallery import Gallery

NAMES = ("anna", "bert")


@pytest.fixture
def people(tmp_path):
    """A folder per person of drawn crops."""
    root = tmp_path / "people"
    for identity, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(2):
            (root / name / f"{number}.png").write_bytes(encode_image(face(identity, number, seed=1), "png"))
    return root


@pytest.fixture
def other(model, tmp_path):
    """Another model."""
    import torch

    from lrface.models.weights import load_model, save_model

    network, card = load_model(model)
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    path = tmp_path / "other.safetensors"
    save_model(path, network, card)
    return path


@pytest.fixture
def run(lrface, model, monkeypatch):
    monkeypatch.delenv("LRFACE_GALLERY", raising=False)

    def call(command, *arguments, model=model, detector="none"):
        takes = command in ("add", "import", "search", "reembed")
        named = ["--model", model, "--detector", detector] if takes else []
        return lrface("gallery", command, *arguments, *named)

    return call


def test_copy_says_what_it_checked(run, people, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    assert run("import", people, "--gallery", old).status == 0
    copied = run("copy", old, new)
    assert copied.status == 0
    first, second = copied.out.splitlines()
    assert first == f"2 people, 4 faces copied from {old} to {new}"
    assert re.fullmatch(
        r"checked, equal on both sides: people, faces, model \S+ \(\w{12}\), sum of all embeddings -?\d+\.\d{6}, and each "
        r"face's name, image, source, date, detail and embedding \(SHA-256 \w{12}\)", second,
    )  # fmt: skip
    assert run("list", "--gallery", new).out == run("list", "--gallery", old).out
    assert run("copy", old, new).refused("has people of its own")
    assert run("copy", tmp_path / "none", tmp_path / "x").refused("no gallery at")
    facts = run("copy", old, tmp_path / "again", "--json").json
    assert (facts["people"], facts["faces"], len(facts["digest"])) == (2, 4, 64)


def test_reembed_lists_what_is_lacking(run, people, other, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    run("import", people, "--gallery", old)
    assert run("reembed", new, "--gallery", old).refused("of this very model")
    shutil.rmtree(new)
    (people / "bert" / "1.png").unlink()
    moved = run("reembed", new, "--gallery", old, model=other)
    assert moved.status == 1
    assert moved.out.splitlines() == [
        "4 faces of 2 people: 3 embedded, 0 of them from kept crops, 0 there already, 1 lacking",
        "     1  neither a kept crop nor this file is there",
    ]
    assert f"lacking bert: {people / 'bert' / '1.png'}: neither a kept crop nor this file is there" in moved.err
    (people / "bert" / "1.png").write_bytes(encode_image(face(1, 1, seed=1), "png"))
    facts = run("reembed", new, "--gallery", old, "--json", model=other).json
    assert (facts["added"], facts["known"], facts["lacking"]) == (1, 3, [])
    assert run("reembed", new, "--gallery", tmp_path / "none", model=other).refused("no gallery at")


def test_the_same_commands_on_postgresql(run, people, postgres, tmp_path):
    place = postgres.address()
    answers = []
    for gallery in (tmp_path / "gallery", place):
        named = ("--gallery", gallery)
        lines = [run("import", people, *named).out]
        lines.append(run("search", people / "anna" / "1.png", "--threshold", "0.99", *named).out)
        lines += [run("list", *named).out, run("rename", "anna", "Anna B", *named).out]
        lines += [
            run("remove", "bert", "--photo", people / "bert" / "0.png", *named).out,
            run("remove", "bert", *named).out,
        ]
        answers.append([*lines, run("list", *named).out])
    assert answers[0] == answers[1]
    facts = run("info", "--check", "--gallery", place)
    assert facts.out.endswith("checked: every file is sound, and they agree\n")
    assert re.search(r"MB in postgresql://postgres@/postgres\?host=\S+, begun", facts.out)
    copied = run("copy", place, tmp_path / "copy")
    assert copied.out.startswith("1 people, 2 faces copied from postgresql://postgres@/postgres?host=")
    with Gallery.open(tmp_path / "copy") as gallery:
        assert [person.name for person in gallery.people()] == ["Anna B"]


def test_a_password_is_never_printed(run, people, tmp_path):
    pytest.importorskip("psycopg")
    for address in (
        f"postgresql://ann:s3cret@/faces?host={tmp_path}",
        "postgresql://ann:s3@cret@localhost/faces",
        "postgresql://ann:s3/cret@localhost/faces",
        "postgresql://ann@127.0.0.1:1/faces?password=s3cret",
    ):
        for arguments in (("list",), ("add", "a", people), ("copy", address, tmp_path / "x")):
            ended = run(*arguments, *([] if "copy" in arguments else ["--gallery", address]))
            assert ended.refused("postgresql://")
            assert not re.search("s3|cret", ended.out + ended.err)

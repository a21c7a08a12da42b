"""``lrface embed``: every image is in the file or in the report."""

import shutil

import cv2
import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.recognition.embed_files import embed_files, list_images
from lrface.recognition.encoder import FaceEncoder


@pytest.fixture
def folder(face_folder, tmp_path):
    """Three drawn crops in two folders, a text called .jpg, an empty image, and a file that is not called an image."""
    root = tmp_path / "images"
    shutil.copytree(face_folder / "berta", root / "berta")
    (root / "bad").mkdir()
    (root / "bad" / "text.jpg").write_text("not a picture")
    (root / "bad" / "empty.png").write_bytes(b"")
    (root / "notes.txt").write_text("not looked at")
    return root


def test_what_can_be_used_is_written_and_the_rest_is_named(lrface, model, folder, tmp_path):
    out = tmp_path / "new" / "faces.npz"
    outcome = lrface("embed", folder, folder / "berta" / "0.jpg", "--out", out, "--model", model, "--detector", "none")
    assert outcome.status == 0
    assert outcome.out == f"4 faces embedded, 2 images left out: {out}\n"
    refused = [line for line in outcome.err.splitlines() if line.startswith("left out")]
    assert refused == [
        f"left out {folder / 'bad' / 'empty.png'}: the file is empty (0 bytes)",
        next(line for line in refused if "text.jpg" in line),
    ]
    paths = [str(folder / "berta" / f"{number}.jpg") for number in (0, 1, 2, 0)]
    encoder = FaceEncoder.load(model, "none")
    with np.load(out, allow_pickle=False) as content:
        assert content["paths"].tolist() == paths
        assert content["embeddings"].dtype == np.float32
        np.testing.assert_allclose(content["embeddings"], encoder.embed(paths), atol=1e-6)
        assert str(content["model"]) == encoder.embedder.fingerprint
    assert [path.name for path in out.parent.iterdir()] == ["faces.npz"]


def test_batches_give_the_same_and_hold_little(model, face_folder, tmp_path):
    encoder = FaceEncoder.load(model, "none")
    for size in (1, 3, 64):
        report = embed_files(encoder, [face_folder], tmp_path / f"{size}.npz", size, progress=False)
        assert (report.embedded, report.refused, report.notes) == (10, [], [])
    arrays = [np.load(tmp_path / f"{size}.npz")["embeddings"] for size in (1, 3, 64)]
    np.testing.assert_allclose(arrays[0], arrays[2], atol=1e-6)
    np.testing.assert_allclose(arrays[1], arrays[2], atol=1e-6)


def test_nothing_usable_is_an_error_and_writes_nothing(lrface, model, folder, tmp_path):
    out = tmp_path / "faces.npz"
    out.write_bytes(b"yesterday's")
    outcome = lrface("embed", folder / "bad", "--out", out, "--model", model, "--detector", "none")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: none of 2 images can be used; the first one: ")
    assert out.read_bytes() == b"yesterday's"
    assert not list(tmp_path.glob(".faces*"))


def test_images_without_a_face_are_rows(lrface, model, tmp_path, monkeypatch):
    class Blind:
        name = "blind"

        def detect(self, image):
            return []

    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Blind())
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((400, 400, 3), 90 + number, np.uint8))
    outcome = lrface("embed", tmp_path, "--out", tmp_path / "a.npz", "--model", model, "--detector", "dlib")
    assert outcome.status == 2
    assert "none of 2 images can be used" in outcome.err
    assert "blind found no face" in outcome.err


def test_a_detector_that_cannot_be_had_is_an_error_at_once(model, face_folder, tmp_path, monkeypatch):
    """And not a row for every image of a million."""
    calls = []

    def create(name, device):
        calls.append(name)
        raise LrfaceError("no network")

    monkeypatch.setattr("lrface.recognition.encoder.create_detector", create)
    with pytest.raises(LrfaceError, match=r"^no network$"):
        embed_files(FaceEncoder.load(model, "insightface"), [face_folder], tmp_path / "a.npz", progress=False)
    assert calls == ["insightface"]


@pytest.mark.parametrize("name", ["faces.npy", "faces", "faces.npz.gz"])
def test_the_file_is_called_what_it_is(lrface, model, face_folder, tmp_path, name):
    arguments = ("embed", face_folder, "--out", tmp_path / name, "--model", model, "--detector", "none")
    assert lrface(*arguments).refused(name, ".npz")
    assert not list(tmp_path.iterdir())


def test_sources_that_are_not_there(lrface, model, tmp_path):
    arguments = ("--out", tmp_path / "a.npz", "--model", model, "--detector", "none")
    assert lrface("embed", tmp_path / "nowhere", *arguments).refused("no such file or folder", "nowhere")
    (tmp_path / "hollow").mkdir()
    assert lrface("embed", tmp_path / "hollow", *arguments).refused("hollow", "holds no images")


def test_a_file_that_cannot_be_written_is_found_out_first(model, face_folder, tmp_path, monkeypatch):
    (tmp_path / "wall").write_text("a file, no folder")
    encoder = FaceEncoder.load(model, "none")
    monkeypatch.setattr(encoder, "crop", lambda image: pytest.fail("an image was read"))
    with pytest.raises(LrfaceError, match="cannot write"):
        embed_files(encoder, [face_folder], tmp_path / "wall" / "a.npz", progress=False)


def test_folders_are_searched_in_order(folder):
    names = [path.removeprefix(f"{folder}/") for path in list_images([folder, folder / "notes.txt"])]
    assert names == ["bad/empty.png", "bad/text.jpg", "berta/0.jpg", "berta/1.jpg", "berta/2.jpg", "notes.txt"]

"""What is read for finetuning, and what becomes of images that cannot be used."""

import shutil

import numpy as np
import pytest
import torch

from lrface.data.crop import Settings
from lrface.data.face_list import FaceList, read_identities
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image, read_image
from lrface.finetune.labelled_images import from_folder, from_images, from_list, from_store, read_people
from lrface.models import create
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.recognition.encoder import FaceEncoder
from lrface.runtimes.torch import TorchNetwork

ALIGNMENT = {"detector": "none", "face": "largest-central"}


@pytest.fixture(scope="module")
def embedder():
    torch.manual_seed(0)
    network = create("resnet18", width=4, embedding_dim=8).eval()
    return Embedder(TorchNetwork(network), Preprocessing(16, degradation=Degradation(16)), "digest", {})


@pytest.fixture
def encoder(embedder):
    return FaceEncoder(embedder, "none")


@pytest.fixture
def folder(face_folder, tmp_path):
    """The people of ``face_folder``; a file of doris's is no image, emil has nothing else, and fritz has no files."""
    root = tmp_path / "people"
    shutil.copytree(face_folder, root)
    (root / "doris" / "9.jpg").write_text("not a picture")
    (root / "emil").mkdir()
    (root / "emil" / "0.png").write_bytes(b"")
    (root / "fritz").mkdir()
    return root


def test_a_folder_and_what_is_wrong_with_it(folder, encoder):
    faces = read_people(from_folder(folder, encoder, ALIGNMENT), encoder.embedder, progress=False)
    assert faces.names == ("adam", "berta", "carl", "doris")
    assert faces.labels.tolist() == [0] * 4 + [1] * 3 + [2] + [3] * 2
    assert faces.lost == ("emil",)
    assert [path for path, _ in faces.refused] == [str(folder / "doris/9.jpg"), str(folder / "emil/0.png")]
    assert "not an image" in faces.refused[0][1]
    assert "empty" in faces.refused[1][1]
    assert len(faces.labels) + len(faces.refused) == 12
    assert faces.kept.tolist() == [*range(10)]
    assert faces.alignment == ALIGNMENT
    assert faces.low.size == faces.source.size == 0


def test_embeddings_are_those_that_identify_will_make(face_folder, encoder):
    people = from_folder(face_folder, encoder, ALIGNMENT)
    faces = read_people(people, encoder.embedder, progress=False)
    np.testing.assert_allclose(faces.embeddings, encoder.embed(people.paths), atol=1e-6)
    crops = [read_image(path) for path in people.paths]
    np.testing.assert_allclose(faces.views[0], encoder.embedder.embed(crops), atol=1e-5)
    np.testing.assert_allclose(faces.views[1], encoder.embedder.embed(crops, flip=True), atol=1e-5)


def test_pixels_are_kept_for_training(face_folder, encoder):
    people = from_folder(face_folder, encoder, ALIGNMENT)
    faces = read_people(people, encoder.embedder, pixels=True, source_size=32, progress=False)
    assert faces.low.shape == (10, 16, 16, 3)
    assert faces.source.shape == (10, 32, 32, 3)
    crop = read_image(people.paths[6])
    np.testing.assert_array_equal(faces.low[6], Degradation(16)(crop))
    np.testing.assert_array_equal(faces.source[6], Degradation(32)(crop))


def test_batches_do_not_matter(face_folder, encoder, monkeypatch):
    people = from_folder(face_folder, encoder, ALIGNMENT)
    whole = read_people(people, encoder.embedder, pixels=True, progress=False)
    monkeypatch.setattr("lrface.finetune.labelled_images.BATCH", 3)
    parts = read_people(people, encoder.embedder, pixels=True, progress=False)
    np.testing.assert_allclose(parts.views, whole.views, atol=1e-5)
    np.testing.assert_array_equal(parts.low, whole.low)
    assert parts.fingerprint == whole.fingerprint


def test_the_fingerprint_names_people_and_pixels_and_not_the_place(face_folder, encoder, tmp_path):
    def fingerprint(root):
        return read_people(from_folder(root, encoder, ALIGNMENT), encoder.embedder, progress=False).fingerprint

    before = fingerprint(face_folder)
    shutil.copytree(face_folder, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy") == before
    (tmp_path / "copy" / "carl").rename(tmp_path / "copy" / "cesar")
    assert fingerprint(tmp_path / "copy") != before
    (tmp_path / "copy" / "cesar").rename(tmp_path / "copy" / "carl")
    shutil.copy(face_folder / "doris" / "0.jpg", tmp_path / "copy" / "carl" / "0.jpg")
    assert fingerprint(tmp_path / "copy") != before


def test_a_store(tiny_store, face_folder, encoder):
    people = from_store(tiny_store)
    assert people.names == ("adam", "berta", "carl", "doris")
    stored = read_people(people, encoder.embedder, progress=False)
    loose = read_people(from_folder(face_folder, encoder, ALIGNMENT), encoder.embedder, progress=False)
    np.testing.assert_allclose(stored.embeddings, loose.embeddings, atol=1e-6)
    assert stored.labels.tolist() == loose.labels.tolist()


def test_a_list_with_landmarks(face_folder, embedder, tmp_path):
    """Two faces in one photo, told apart by their landmarks."""
    crops = [read_image(face_folder / name / "0.jpg") for name in ("adam", "berta")]
    photo = np.zeros((150, 280, 3), np.uint8)
    photo[20:132, 10:122], photo[30:142, 150:262] = crops
    (tmp_path / "photo.png").write_bytes(encode_image(photo, "png"))
    points = np.stack([TEMPLATE + np.array(corner) for corner in ((10, 20), (150, 30), (np.nan, 0))])
    faces = FaceList((tmp_path / "photo.png",) * 3, np.array([0, 1, 1]), points)
    read = read_people(from_list(faces, Settings(detector="landmarks")), embedder, pixels=True, progress=False)
    assert read.names == ("0", "1")
    assert len(read.refused) == 1
    assert "landmarks" in read.refused[0][1]
    for low, crop in zip(read.low, crops, strict=True):
        assert np.abs(low.astype(int) - Degradation(16)(crop)).max() <= 2


def test_tiny_images_are_the_face_itself_and_are_counted(face_folder, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lrface.recognition.encoder.create_detector",
        lambda name, device, **options: pytest.fail("no detector is needed"),
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(
            encode_image(Degradation(7)(read_image(face_folder / "adam/0.jpg")), "png")
        )
    people = from_folder(tmp_path, FaceEncoder(embedder, "mtcnn"), ALIGNMENT)
    faces = read_people(people, embedder, progress=False)
    assert faces.notes == ("2 small images without a detected face are taken as the face itself",)


def test_too_few_people(folder, encoder, tmp_path):
    def read(root):
        return read_people(from_folder(root, encoder, ALIGNMENT), encoder.embedder, progress=False)

    with pytest.raises(LrfaceError, match="no such folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LrfaceError, match="holds no folders"):
        read(tmp_path / "empty")
    (tmp_path / "empty" / "adam").mkdir()
    with pytest.raises(LrfaceError, match="holds no images"):
        read(tmp_path / "empty")
    for name in ("berta", "carl", "doris", "emil"):
        shutil.rmtree(folder / name)
    with pytest.raises(LrfaceError, match="shows 1 person: 2 or more are needed"):
        read(folder)
    (folder / "emil").mkdir()
    (folder / "emil" / "0.png").write_bytes(b"")
    with pytest.raises(LrfaceError, match=r"5 images .* 4 can be used, of 1 people.*emil/0.png"):
        read(folder)


def test_faces_of_nobody_are_no_people(face_folder):
    faces = read_identities(face_folder)
    with pytest.raises(LrfaceError, match="nobody in particular"):
        from_list(FaceList(faces.paths, faces.ids - 1), Settings(detector="none"))


def test_names_that_are_not_utf8_can_be_written(face_folder, encoder):
    faces = read_identities(face_folder)
    people = from_images(faces, ["a\udcff", "b", "c", "d"], encoder, ALIGNMENT, "here")
    assert people.names == ("a\\udcff", "b", "c", "d")


def test_a_model_that_gives_nan(face_folder, embedder):
    broken = Embedder(lambda batch: np.full((len(batch), 8), np.nan, np.float32), embedder.preprocessing, "digest", {})
    people = from_folder(face_folder, FaceEncoder(broken, "none"), ALIGNMENT)
    with pytest.raises(LrfaceError, match="NaN or infinity"):
        read_people(people, broken, progress=False)

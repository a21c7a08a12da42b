"""What lies there decides how it is read."""

import shutil

import numpy as np
import pytest

from lrface.data.face_list import FaceList
from lrface.data.sets.uccs import Uccs, write_split
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE
from lrface.finetune.finetune_data import open_data
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing


@pytest.fixture
def embedder():
    return Embedder(lambda batch: batch.reshape(len(batch), -1)[:, :8], Preprocessing(16), "digest", {})


def crops(people):
    return [outcome[0].shape if isinstance(outcome, tuple) else outcome for outcome in people.crops()]


def test_a_folder(embedder, face_folder):
    data = open_data(face_folder, embedder, "none")
    assert (data.kind, data.test, data.notes) == ("folder", None, ())
    assert data.people.names == ("adam", "berta", "carl", "doris")
    assert data.people.alignment == {"detector": "none", "face": "largest-central"}
    assert crops(data.people) == [(112, 112, 3)] * 10


def test_a_store(embedder, tiny_store):
    data = open_data(tiny_store, embedder)
    assert data.kind == "store"
    assert data.people.alignment["detector"] == "none"
    with pytest.raises(LrfaceError, match="leave --detector out"):
        open_data(tiny_store, embedder, "mtcnn")


def test_tinyface_is_taken_as_it_is(embedder, face_folder, tmp_path):
    shutil.copytree(face_folder, tmp_path / "tinyface" / "Training_Set")
    (tmp_path / "tinyface" / "REHEARSAL.json").write_text("{}")
    data = open_data(tmp_path / "tinyface", embedder)
    assert data.kind == "tinyface"
    assert data.people.names == ("adam", "berta", "carl", "doris")
    assert data.people.alignment["detector"] == "none"
    assert open_data(tmp_path / "tinyface", embedder, "dlib").people.alignment["detector"] == "dlib"


@pytest.fixture
def split(face_folder, tmp_path):
    """``split(landmarks=None)``: a UCCS split of ``face_folder``; the first images of each person are for training."""

    def write(landmarks=None):
        parts = []
        for numbers in ((0, 1), (2, 3)):
            paths = [
                face_folder / name / f"{number}.jpg"
                for name in ("adam", "berta")
                for number in numbers
                if (face_folder / name / f"{number}.jpg").exists()
            ]
            ids = np.array([path.parent.name == "berta" for path in paths], np.int64)
            points = None if landmarks is None else np.repeat(landmarks[None], len(paths), 0)
            parts.append(FaceList(tuple(paths), ids, points))
        file = tmp_path / "split.csv"
        write_split(Uccs(*parts, 2, "given", ("adam", "berta")), file, face_folder)
        for name in ("adam", "berta"):
            shutil.copytree(face_folder / name, tmp_path / name)
        return file

    return write


def test_uccs(embedder, split):
    file = split()
    for source in (file, file.parent):
        data = open_data(source, embedder, "none")
        assert data.kind == "uccs"
        assert data.people.names == data.test.names == ("adam", "berta")
        assert data.people.labels.tolist() == [0, 0, 1, 1]
        assert data.test.labels.tolist() == [0, 0, 1]
        assert any(note.startswith("split: given") for note in data.notes)
        assert crops(data.test) == [(112, 112, 3)] * 3


def test_the_landmarks_of_uccs_are_used(embedder, split):
    data = open_data(split(TEMPLATE.astype(np.float32)), embedder)
    assert data.people.alignment["detector"] == "landmarks"
    assert crops(data.people) == [(112, 112, 3)] * 4
    assert open_data(data.people.source, embedder, "none").people.alignment["detector"] == "none"


def test_nothing_of_the_kind(embedder, tmp_path):
    with pytest.raises(LrfaceError, match="no such folder"):
        open_data(tmp_path / "nowhere", embedder, "none")
    with pytest.raises(LrfaceError, match="holds no folders"):
        open_data(tmp_path, embedder, "none")
    with pytest.raises(LrfaceError, match="no such split"):
        open_data(tmp_path / "no.csv", embedder)

"""Whoever names a path that is not there is told where it was looked for, and what LRFACE_DATA is."""

from pathlib import Path

import pytest

from lrface.data.recordio import RecordReader
from lrface.data.sets.bins import read_bin
from lrface.data.sets.matlists import read_mat
from lrface.data.sets.pairs import read_pairs
from lrface.data.sources import open_source, read_landmarks
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.faces.images import read_image
from lrface.files import file_digest, looked_in, read_json
from lrface.finetune.people import from_folder
from lrface.models.embedder import open_embedder
from lrface.models.teacher_map import TeacherMap
from lrface.models.weights import load_model
from lrface.recognition.classifier_files import load_classifier
from lrface.recognition.embed_files import list_images
from lrface.suite.peers import parse_models
from lrface.sweep.spec import load_sweep
from lrface.train.recipe import load_recipe

OPENERS = {
    "store": Store, "teacher map": TeacherMap.load, "images": lambda path: list_images([path]), "image": read_image,
    "people": lambda path: from_folder(path, None, {}), "pairs": read_pairs, "pack": read_bin, "model": open_embedder,
    "weights": load_model, "recipe": load_recipe, "sweep": load_sweep, "source": open_source, "landmarks": read_landmarks,
    "classifier": load_classifier, "peer": lambda path: parse_models([f"a={path}"]), "JSON": read_json, "file": file_digest,
    "MATLAB list": read_mat, "record": lambda path: RecordReader(Path(path)).keys,
}  # fmt: skip


@pytest.mark.parametrize("what", OPENERS)
def test_a_missing_path_tells_where_it_was_looked_for(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LRFACE_DATA", raising=False)
    with pytest.raises(LrfaceError) as error:
        OPENERS[what]("gone.thing")
    assert f"looked in {tmp_path}; " in str(error.value)
    assert "LRFACE_DATA, which is not set" in str(error.value)
    assert "\n" not in str(error.value)


def test_lrface_data_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LRFACE_DATA", "/data")
    assert looked_in(tmp_path / "x") == (
        f"looked in {tmp_path}; a recipe's paths start at --data or LRFACE_DATA, which is /data"
    )


def test_a_folder_that_is_not_there_either_is_said(tmp_path):
    assert f"looked in {tmp_path / 'no'}, a folder that does not exist;" in looked_in(tmp_path / "no" / "x")

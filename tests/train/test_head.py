"""A classifier goes with its model and its identities, or not at all."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.losses import ArcFace
from lrface.train.head import FILE, load_head, save_head
from lrface.train.recipe import DataSection
from lrface.train.split import split_store


@pytest.fixture
def store(tiny_store):
    return Store(tiny_store)


def split(store, **kw):
    return split_store(store, DataSection(store="tiny", **kw))


@pytest.fixture
def model(store, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    save_head(path, ArcFace(4, 6).weight.detach(), store, split(store))
    return path


def test_it_comes_back_at_unit_length(store, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    head = ArcFace(4, 6)
    save_head(path, head.weight.detach(), store, split(store))
    assert torch.equal(load_head(path, store, split(store)), F.normalize(head.weight.detach()))


def test_without_one_there_is_none(store, tmp_path):
    assert load_head(tmp_path / "model.safetensors", store, split(store)) is None


def test_it_is_not_for_other_identities(store, model):
    assert load_head(model, store, split(store, min_images=2)) is None


def test_it_is_not_for_other_faces(store, model):
    other = Store(store.path)
    other.fingerprint = "another"
    assert load_head(model, other, split(other)) is None


def test_it_is_not_for_another_model_in_the_same_folder(store, model):
    other = model.with_name("other.onnx")
    other.write_bytes(b"other weights")
    assert load_head(other, store, split(store)) is None
    assert load_head(model.with_name("insightface:buffalo_l"), store, split(store)) is None


def test_a_copy_of_both_files_is_as_good(store, model, tmp_path):
    (tmp_path / "copy").mkdir()
    for file in (model, model.with_name(FILE)):
        shutil.copy(file, tmp_path / "copy")
    assert load_head(tmp_path / "copy" / model.name, store, split(store)) is not None


def test_a_damaged_one_is_an_error(store, model):
    model.with_name(FILE).write_bytes(b"\x07" * 40)
    with pytest.raises(LrfaceError, match=r"head\.safetensors is not a classifier"):
        load_head(model, store, split(store))

"""Pixels of detail of a store's crops, and recipes that ask for the least."""

import numpy as np
import pytest
import yaml

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.degrade import resize
from lrface.faces.detail import crop_detail
from lrface.faces.images import encode_image
from lrface.train.recipe import DataSection
from lrface.train.split import split_store
from lrface.train.store_detail import store_detail


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A store of four people with a sharp and a blurred crop each, and of two faces of nobody, one of them blurred."""
    root = tmp_path_factory.mktemp("root")
    for name, people in {"ann": [0, 0], "bob": [1, 1], "cat": [2, 2], "dan": [3, 3], "-1": [4, 5]}.items():
        (root / "source" / name).mkdir(parents=True)
        for number, person in enumerate(people):
            crop = face(person, number, seed=1)
            crop = resize(resize(crop, 24), 112) if number else crop
            (root / "source" / name / f"{number}.png").write_bytes(encode_image(crop, "png"))
    prepare(root / "source", root / "faces", Settings(detector="none"), progress=False)
    return root


def test_it_is_estimated_once_for_each_crop(root, monkeypatch):
    store = Store(root / "faces")
    found = store_detail(store, progress=False)
    assert found.tolist() == [np.float32(crop_detail(store.crop(image))) for image in range(len(store))]
    monkeypatch.setattr("lrface.train.store_detail.crop_detail", lambda crop: 1 / 0)
    assert store_detail(Store(root / "faces"), progress=False).tolist() == found.tolist()


def test_training_faces_have_the_least_detail_and_held_out_ones_any(root):
    store = Store(root / "faces")
    detail = store_detail(store, progress=False)
    every = split_store(store, DataSection(store="faces", holdout_identities=1))
    split = split_store(store, DataSection(store="faces", holdout_identities=1, least_detail=40))
    assert split.train.tolist() == [image for image in every.train if detail[image] >= 40]
    assert (split.classes, split.labels.tolist(), split.blurred) == (3, [0, 1, 2, -1], 4)
    said = "training on 4 images of 3 identities, 1 of them of nobody in particular, 4 with too little detail left out"
    assert str(split) == said
    assert str(every) == "training on 8 images of 3 identities, 2 of them of nobody in particular"
    assert split.holdout.tolist() == every.holdout.tolist()
    assert detail[split.holdout].min() < 40


def test_too_much_detail_leaves_nobody(root, monkeypatch):
    monkeypatch.setattr("lrface.train.split.store_detail", lambda store: np.full(len(store), 30.0))
    store, section = Store(root / "faces"), DataSection(store="faces", least_detail=45)
    with pytest.raises(LrfaceError, match=r"0 identities .* are left .* only 0 of 8 images have 45 pixels of detail"):
        split_store(store, section)


def test_recipes_without_it_are_written_as_they_were():
    section = DataSection(store="faces")
    assert "least_detail" not in section.model_dump(mode="json")
    with_it = DataSection(store="faces", least_detail=40)
    again = DataSection(**yaml.safe_load(yaml.safe_dump(with_it.model_dump(mode="json"))))
    assert again == with_it

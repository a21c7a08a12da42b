"""A trained student's file before and after."""

import csv

import numpy as np
import pytest
import refit_metric
import torch
from click.testing import CliRunner

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.eval.embeddings import flip_sum
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image
from lrface.models import create, save_model
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.train.recipe import DataSection
from lrface.train.split import split_store
from lrface.train.teacher_metric import teacher_metric

DIM = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Five people with three images each, of which the index names the first two of each; a student and a teacher."""
    root = tmp_path_factory.mktemp("root")
    rows = []
    for person in range(5):
        for number in range(3):
            path = root / "joined" / f"{person:05d}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_image(face(person, number, seed=1), "png"))
            if number < 2:
                rows.append((f"celeba/{person}/{number}.webp", person))
    prepare(root / "joined", root / "store", Settings(detector="none"), progress=False)
    (root / "sharp").mkdir()
    with open(root / "sharp" / "index.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "identity"), *rows])
    torch.manual_seed(0)
    student = create("resnet18", width=4, embedding_dim=DIM)
    facts = {"name": "s", "preprocessing": Preprocessing(16, degradation=Degradation(16)).as_dict(), "thresholds": {}}
    save_model(root / "student.safetensors", student.eval(), facts)
    teacher = create("iresnet18", input_size=32, width=2, embedding_dim=6)
    save_model(
        root / "teacher.safetensors", teacher.eval(), {"name": "t", "preprocessing": Preprocessing(32).as_dict()}
    )
    return root


def refit(root, out, *options):
    arguments = [root / "student.safetensors", "--store", root / "store", "--sharp", root / "sharp", "--holdout", 1]
    arguments += ["--teacher", root / "teacher.safetensors", "--out", out, *options]
    return CliRunner().invoke(refit_metric.main, list(map(str, arguments)))


def training_images(root):
    """Two of each of the four people who are not held out."""
    store = Store(root / "store")
    train = split_store(store, DataSection(store="s", holdout_identities=1)).train
    images = np.sort([image for image in train if image % 3 < 2])
    assert len(images) == 8
    return store, images


def test_the_file_is_refitted(root, tmp_path):
    result = refit(root, tmp_path / "out.safetensors", "--weight", 0.25)
    assert result.exit_code == 0, result.output
    before, after = (
        open_embedder(file, runtime="torch") for file in (root / "student.safetensors", tmp_path / "out.safetensors")
    )
    store, images = training_images(root)
    crops = [store.crop(int(image)) for image in images]
    teacher = open_embedder(root / "teacher.safetensors")
    small = [before.preprocessing.fit(crop) for crop in crops]
    matrix = teacher_metric(flip_sum(before, small), teacher.embed(crops), 0.1, 0.25)
    expected = before.embed(small) @ matrix
    np.testing.assert_allclose(after.embed(small), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert after.card["metric"] | {"fingerprint": ""} == {
        "teacher": str(root / "teacher.safetensors"), "fingerprint": "", "images": 8, "ridge": 0.1, "weight": 0.25,
    }  # fmt: skip


def test_an_index_of_other_images_is_refused(root, tmp_path):
    (tmp_path / "index.csv").write_text("path,identity\ncelebs/9.webp,9\n")
    result = refit(root, tmp_path / "out.safetensors", "--sharp", tmp_path)
    assert result.exit_code == 2
    assert "names no image of" in result.output
    assert not (tmp_path / "out.safetensors").exists()

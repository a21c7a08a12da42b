"""From two sets of crops to a shipped family."""

import json

import fit_family
import join_faces
import numpy as np
import pytest
import ship_family
import torch
from click.testing import CliRunner

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation, resize
from lrface.faces.images import encode_image
from lrface.models import create, save_model, shipped
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.teacher_map import TeacherMap
from lrface.recognition.encoder import FaceEncoder

DIM = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A blurred part of four people and a sharp one with an index, models of 16 and 32 px, and two teachers."""
    root = tmp_path_factory.mktemp("root")
    for person in range(4):
        for number in range(2):
            _write(root / "blurred" / f"{person:05d}" / f"{number}.png", face(person, number, seed=1))
    prepare(root / "blurred", root / "blurred_store", Settings(detector="none"), progress=False)
    rows = [("00001/1", 1), ("00001/7", 1), ("unknown/a", -1)]
    for name, person in rows:
        _write(root / "sharp" / f"{name}.png", face(person + 1, 5, seed=2))
    lines = ["path,identity,also_in_celeba", *(f"{name}.png,{person},0" for name, person in rows)]
    (root / "sharp" / "index.csv").write_text("\n".join(lines) + "\n")
    torch.manual_seed(0)
    for side in (16, 32):
        model = create("resnet18", width=4, embedding_dim=DIM, stride=side // 16, input_size=side)
        _save(root / f"of{side}.safetensors", model, Preprocessing(side, degradation=Degradation(side)))
    for name, dim in (("one", 6), ("two", 5)):
        teacher = create("iresnet18", input_size=32, width=2, embedding_dim=dim)
        _save(root / f"{name}.safetensors", teacher, Preprocessing(32))
    _save(root / "short.safetensors", create("resnet18", width=4, embedding_dim=4), Preprocessing(16))
    return root


def _save(path, model, preprocessing):
    save_model(path, model.eval(), {"name": path.stem, "preprocessing": preprocessing.as_dict()})


def _write(path, crop):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(crop, "png"))


def test_the_sharp_image_is_preferred(root, tmp_path):
    assert join_faces.join(root / "blurred_store", root / "sharp", tmp_path / "joined", True) == (3, 7)
    names = sorted(str(path.relative_to(tmp_path / "joined")) for path in (tmp_path / "joined").rglob("*.png"))
    people = [f"{person:05d}/{number}.png" for person in range(4) for number in range(2)]
    assert names == sorted([*people, "00001/7.png", "-1/a.png"])
    assert (tmp_path / "joined/00001/1.png").read_bytes() == (root / "sharp/00001/1.png").read_bytes()
    assert join_faces.join(root / "blurred_store", root / "sharp", tmp_path / "named", False) == (2, 7)
    assert not (tmp_path / "named" / "-1").exists()
    with pytest.raises(LrfaceError, match=r"index\.csv is missing"):
        join_faces.sharp_images(root / "blurred", False)


def test_a_map_is_fitted_on_the_training_faces(root):
    store = Store(root / "blurred_store")
    teachers = [str(root / f"{name}.safetensors") for name in ("one", "two")]
    mapping = fit_family.make_map(str(root / "of16.safetensors"), store, teachers, 1, 1.0, 1.0, 1)
    assert mapping.fingerprints == tuple(open_embedder(teacher).fingerprint for teacher in teachers)
    assert mapping.matrix.shape == (DIM, 11)
    assert mapping.facts["images"] == 6  # of three of the four people


def test_the_way_back_can_be_fitted_on_the_sharp_faces_alone(root, tmp_path):
    join_faces.join(root / "blurred_store", root / "sharp", tmp_path / "joined", True)
    prepare(tmp_path / "joined", tmp_path / "store", Settings(detector="none"), progress=False)
    store = Store(tmp_path / "store")
    assert join_faces.sharp_among(store, root / "sharp").sum() == 3
    student, teachers = str(root / "of16.safetensors"), [str(root / "one.safetensors")]
    arguments = (student, store, teachers, 0, 1.0, 1.0, 1, 0.5, (0.5, 0.5))
    every, sharp = fit_family.make_map(*arguments), fit_family.make_map(*arguments, root / "sharp")
    np.testing.assert_array_equal(every.matrix, sharp.matrix)
    assert every.back.shape == sharp.back.shape == (6, DIM + 1)
    assert not np.allclose(every.back, sharp.back)
    with pytest.raises(LrfaceError, match="names no image"):
        join_faces.sharp_among(Store(root / "blurred_store"), _index(tmp_path / "other"))


def _index(folder):
    folder.mkdir()
    (folder / "index.csv").write_text("path,identity\nnobody.png,77\n")
    return folder


def test_the_command_writes_the_map_that_its_options_say(root, tmp_path):
    joined, out = tmp_path / "joined", tmp_path / "two.map.safetensors"
    join_faces.join(root / "blurred_store", root / "sharp", joined, True)
    prepare(joined, tmp_path / "store", Settings(detector="none"), progress=False)
    options = ["--store", tmp_path / "store", "--teacher", root / "two.safetensors", "--holdout", 0, "--ridge", 0.5,
               "--power", 0.2, "--back", 0.1, "--sharp", root / "sharp", "--weights", 0.5, 0.7, "--threads", 1]  # fmt: skip
    command = [str(word) for word in (root / "of16.safetensors", *options, "--out", out)]
    result = CliRunner().invoke(fit_family.main, command)
    assert result.exit_code == 0, result.exception or result.output
    assert f"{out} written" in result.output
    mapping = TeacherMap.load(out)
    assert (mapping.weights, mapping.facts["ridge"], mapping.facts["power"]) == ((0.5, 0.7), 0.5, 0.2)
    assert mapping.back is not None
    command[command.index(str(root / "sharp"))] = str(root / "nowhere")
    result = CliRunner().invoke(fit_family.main, command)
    assert (result.exit_code, "index.csv is missing" in result.output) == (2, True), result.output


def test_a_family_is_installed_and_opens(root, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(
        ship_family, "calibrated", lambda family, *_: {"thresholds": {"0.01": len(family.members) / 10}}
    )
    (tmp_path / "weights").mkdir()
    teachers = [str(root / f"{name}.safetensors") for name in ("one", "two")]
    mapping = fit_family.make_map(str(root / "of16.safetensors"), Store(root / "blurred_store"), teachers, 1, 1, 1, 1)
    mapping.save(tmp_path / "both.map.safetensors")
    alone = fit_family.make_map(
        str(root / "of16.safetensors"), Store(root / "blurred_store"), teachers[1:], 1, 1, 1, 1, 0.5, (0.4, 0.6)
    )
    alone.save(tmp_path / "two.map.safetensors")
    arguments = ["ladder", "--store", root / "blurred_store", "--holdout", 1]
    arguments += ["--top", tmp_path / "both.map.safetensors", 40, ",".join(teachers)]
    arguments += ["--top", tmp_path / "two.map.safetensors", 50, teachers[1]]
    arguments += [
        part for side, least in ((16, 0), (32, 20)) for part in ("--member", f"{root}/of{side}.safetensors:{least}")
    ]
    result = CliRunner().invoke(ship_family.main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert shipped.faults() == []
    crop = face(0, 0, seed=1)
    plain, sharp = FaceEncoder.load(None, "none"), FaceEncoder.load(None, "none", sharp=teachers)
    assert plain.thresholds == {0.01: 0.2}
    assert sharp.thresholds == {0.01: pytest.approx(0.3)}
    assert plain.embed_crops([crop]).shape == (1, DIM)
    one = FaceEncoder.load(None, "none", sharp=teachers[1:])
    assert one.embed_crops([crop]).shape == (1, DIM + 5)
    small = resize(crop, 30)  # the teachers get it enlarged as an aligner does it
    as_aligned = one.embed_crops([resize(small, 112, "bicubic")], resolutions=[60.0])
    np.testing.assert_allclose(one.embed_crops([small], resolutions=[60.0])[:, DIM:], as_aligned[:, DIM:], atol=1e-6)
    larger = one.embedder.member(60.0).preprocessing.fit(resize(crop, 200))
    np.testing.assert_array_equal(larger, resize(resize(crop, 200), 112))
    read = TeacherMap.load(tmp_path / "weights" / "ladder.both.map.safetensors")
    np.testing.assert_array_equal(read.matrix, mapping.matrix)
    assert read.back is None
    read = TeacherMap.load(tmp_path / "weights" / "ladder.two.map.safetensors")
    np.testing.assert_array_equal(read.back, alone.back)
    assert read.weights == (0.4, 0.6)
    (tmp_path / "weights" / "ladder.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(LrfaceError, match="has been changed"):
        FaceEncoder.load(None, "none")


def test_members_of_two_spaces_make_no_family(root):
    with pytest.raises(LrfaceError, match="share no space"):
        ship_family.record_of("f", [(f"{root}/of16.safetensors", 0), (f"{root}/short.safetensors", 20)], [])
    with pytest.raises(LrfaceError, match="MODEL:PIXELS"):
        ship_family._member("lrface")


def test_what_was_measured_of_templates_is_kept_while_the_students_stay():
    before = {"members": [{"model": "a"}], "card": {"quality": {"looks": {"counts": [1]}}}}
    for members, kept in (([{"model": "a"}], {"counts": [1]}), ([{"model": "b"}], None)):
        record = {"members": members, "card": {"quality": {}}}
        ship_family.keep_looks(record, before)
        ship_family.keep_looks(record, None)
        assert record["card"]["quality"].get("looks") == kept

"""The teacher's outputs of all pictures, kept: the same as asked at every step."""

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.losses import bank
from lrface.objects import teacher_cache
from lrface.objects.data.shapes import draw_shapes
from lrface.objects.files import load_network
from lrface.objects.run import train_objects
from lrface.objects.teacher_cache import cached_outputs
from lrface.objects.view import planes
from lrface.train.batches import normalise
from lrface.train.log import read_log

CPU = torch.device("cpu")


def test_it_says_what_the_teacher_says(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_cache, "BATCH", 7)
    network, pictures = load_network(teacher)[0], draw_shapes(1, side=16)
    found = cached_outputs(network, pictures, ["maps"], CPU, tmp_path)
    index, mirrored = torch.tensor([3, 19, 3]), torch.tensor([False, True, True])
    pixels = planes(pictures.images, CPU)[index]
    expected = network.outputs(normalise(torch.stack([pixels[0], pixels[1].flip(-1), pixels[2].flip(-1)])))
    given = found.of(index, mirrored)
    torch.testing.assert_close(given.logits, expected.logits)
    torch.testing.assert_close(given.embedding, expected.embedding)
    assert len(given.maps) == len(expected.maps)
    for one, other in zip(given.maps, expected.maps, strict=True):
        torch.testing.assert_close(one, other)
    assert given.preacts is None
    assert torch.equal(given.classifier, network.fc.weight)


def test_it_is_computed_once_for_a_teacher_and_its_pictures(teacher, tmp_path, monkeypatch):
    network, pictures = load_network(teacher)[0], draw_shapes(1, side=16)
    cached_outputs(network, pictures, [], CPU, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(teacher_cache, "_compute", None)  # would fail
        cached_outputs(network, pictures, [], CPU, tmp_path)
    cached_outputs(network, draw_shapes(1, side=16, seed=1), [], CPU, tmp_path)
    network.fc.bias.data += 1
    cached_outputs(network, pictures, [], CPU, tmp_path)
    cached_outputs(network, pictures, ["preacts"], CPU, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", ["at", "ab", "dkd"])
def test_a_run_from_the_cache_is_the_run_without(name, recipe, teacher, tmp_path):
    logs = []
    for cache in (False, True):
        section = {"file": teacher, "cache": cache}
        given = recipe(teacher=section, loss={"methods": {name: {}}}, augment={"crop": 0}, optim={"epochs": 1})
        train_objects(given, tmp_path / str(cache), device="cpu")
        logs.append([line for line in read_log(tmp_path / str(cache)) if line["kind"] == "train"])
    assert logs[0]
    for one, other in zip(*logs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_bad_input(recipe, teacher, tmp_path, monkeypatch):
    with pytest.raises(LrfaceError, match=r"set augment\.crop to 0"):
        recipe(teacher={"file": teacher, "cache": True})
    section = {"file": teacher, "cache": True}
    given = recipe(teacher=section, loss={"methods": {"sskd": {}}}, augment={"crop": 0})
    with pytest.raises(LrfaceError, match=r"sskd shows the teacher turned pictures: set teacher\.cache=false"):
        train_objects(given, tmp_path / "run", device="cpu")
    network, pictures = load_network(teacher)[0], draw_shapes(1, side=16)
    monkeypatch.setattr(teacher_cache, "free_bytes", lambda: 1000)
    with pytest.raises(LrfaceError, match=r"teacher\.cache needs 0\.0 GiB for logits, embedding of 20 pictures"):
        cached_outputs(network, pictures, [], CPU, tmp_path)
    assert bank.free_bytes() > 1000


def test_a_damaged_file_is_named(teacher, tmp_path):
    network, pictures = load_network(teacher)[0], draw_shapes(1, side=16)
    cached_outputs(network, pictures, [], CPU, tmp_path)
    file = next(tmp_path.iterdir())
    file.write_bytes(b"no")
    with pytest.raises(LrfaceError, match=r"is damaged .*: remove it to compute it again"):
        cached_outputs(network, pictures, [], CPU, tmp_path)

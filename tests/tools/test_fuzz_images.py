"""A small part of the fuzzing, and that what it looks for would be found."""

import os
import random
import signal

import fuzz_images
import fuzz_worker
import numpy as np
import pytest
from fuzz_mutations import CHANGES, fields, mutate
from fuzz_samples import png, samples
from fuzz_worker import judge, spoilt

from lrface.errors import LrfaceError
from lrface.faces.formats import readable
from lrface.faces.images import read_image

VALID = samples()


def test_the_samples_are_valid_and_of_every_format():
    for name, data in VALID.items():
        assert read_image(data, name).size > 0
    assert {name.split()[0] for name in VALID} == set(readable())
    pixels = np.random.default_rng(0).integers(0, 256, (13, 9, 3), np.uint8)
    assert np.array_equal(read_image(png(pixels, 2, interlaced=True)), pixels)


@pytest.mark.parametrize("name", VALID)
def test_a_structure_has_fields_however_spoilt(name):
    found = fields(VALID[name])
    assert found
    for length in (0, 1, 2, 4, 9, len(VALID[name]) // 2):
        fields(VALID[name][:length])
    rng = random.Random(name)
    for change in CHANGES:
        spoilt_once = bytearray(VALID[name])
        change(spoilt_once, VALID["GIF"], rng)
        fields(bytes(spoilt_once))


def test_an_input_is_known_by_its_seed_and_number():
    assert spoilt(VALID, 3, 8) == spoilt(VALID, 3, 8) != spoilt(VALID, 3, 9)
    assert spoilt(VALID, 4, 8)[1] != spoilt(VALID, 3, 8)[1]
    many = {mutate(VALID["PNG"], VALID["GIF"], random.Random(number)) for number in range(100)}
    assert len(many) > 80


def test_nothing_fails(tmp_path):
    result = fuzz_images.fuzz(300, (5,), tmp_path / "failures", progress=False)
    assert result["failures"] == []
    assert not (tmp_path / "failures").exists()
    rows = result["formats"].values()
    assert sum(row["inputs"] for row in rows) == 300
    assert sum(row["read"] for row in rows) > 30
    assert sum(row["refused"] for row in rows) > 100
    assert fuzz_images.table(result).splitlines()[-1].startswith("| all | 300 |")


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """``reader(function)``: judge an input with this function in the place of the reader."""

    def run(function):
        monkeypatch.setattr(fuzz_worker, "read_image", function)
        path = tmp_path / "input"
        path.write_bytes(b"data")
        return judge(b"data", path)

    return run


def raises(error):
    def read(source, name):
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LrfaceError("input is empty"), "refused"),
        (LrfaceError("input is\nempty"), "unclear"),
        (LrfaceError("something is wrong"), "unclear"),
        (LrfaceError("input " + "is " * 200), "unclear"),
        (LrfaceError("input does not fit into memory"), "memory"),
        (KeyError(7), "exception"),
        (SystemExit(1), "exception"),
    ],
)
def test_errors_are_told_apart(reader, error, kind):
    assert reader(raises(error)).kind == kind


def test_answers_are_told_apart(reader, monkeypatch):
    image = np.zeros((2, 3, 3), np.uint8)
    assert reader(lambda source, name: image).kind == "read"
    assert reader(lambda source, name: image[..., 0]).kind == "exception"
    assert reader(lambda source, name: image + isinstance(source, bytes)).kind == "disagreement"
    monkeypatch.setattr(fuzz_worker, "SECONDS", -1.0)
    assert reader(lambda source, name: image).kind == "slow"
    monkeypatch.setattr(fuzz_worker, "SECONDS", 60.0)
    monkeypatch.setattr(fuzz_worker, "MEMORY", 50_000_000)
    assert reader(lambda source, name: np.ones((100, 10**6), np.uint8).sum() and image).kind == "memory"


def test_a_process_that_dies_or_hangs_is_found_and_replaced(monkeypatch):
    worker = fuzz_images.Worker()
    assert worker.ask(VALID["GIF"]).kind == "read"
    os.kill(worker._process.pid, signal.SIGSTOP)  # it dies with the next input unanswered
    ended = worker._process.pid
    monkeypatch.setattr(fuzz_images, "processor_seconds", lambda pid: os.kill(pid, signal.SIGKILL) or 0.0)
    outcome = worker.ask(VALID["GIF"])
    assert (outcome.kind, outcome.message) == ("crash", "the process died: SIGKILL")
    times = iter((0.0, 1000.0))
    monkeypatch.setattr(fuzz_images, "processor_seconds", lambda pid: next(times))
    worker._start()
    os.kill(worker._process.pid, signal.SIGSTOP)
    assert worker.ask(VALID["GIF"]).kind == "hang"
    monkeypatch.undo()
    assert worker.ask(VALID["GIF"]).kind == "read"
    assert worker._process.pid != ended
    worker.close()

"""``lrface export``: thin; what it calls is tested beside it."""

import pytest

from lrface.errors import LrfaceError
from lrface.export.run import Exported


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The arguments of each export, which itself does nothing."""
    seen = []

    def export(*arguments):
        seen.append(arguments)
        int8 = arguments[2]
        accuracies, name = ((0.9, 0.899), "pairsDevTest") if int8 else (None, None)
        return Exported(tmp_path / "out.onnx", 12345, 0.99999987, 0.9999 if arguments[3] else None, accuracies, name)

    monkeypatch.setattr("lrface.export.run.export", export)
    return seen


def test_float32(lrface, calls, tmp_path):
    outcome = lrface("export", "m.safetensors", "--out", tmp_path / "out.onnx")
    assert outcome.status == 0
    assert calls == [("m.safetensors", str(tmp_path / "out.onnx"), False, False, None, None)]
    assert "least cosine to torch, batches of 1 and 64: 1.000000" in outcome.out
    assert "out.onnx: 12,345 bytes" in outcome.out


def test_the_default_is_the_shipped_model(lrface, calls, tmp_path):
    from lrface.models import shipped

    assert lrface("export", "--out", tmp_path / "out.onnx", "--whole").status == 0
    assert calls[0][0] == shipped.default()
    assert calls[0][3] is True


def test_int8_with_a_store(lrface, calls, tmp_path, tiny_store):
    outcome = lrface("export", "m", "--out", tmp_path / "o.onnx", "--int8", "--calibration", tiny_store)
    assert outcome.status == 0
    assert "accuracy on pairsDevTest: 90.00 % in float32, 89.90 % in int8" in outcome.out
    _, _, int8, whole, store, pairs = calls[0]
    assert (int8, whole, store.path, pairs) == (True, False, tiny_store, None)


def test_pairs_over_a_store(lrface, calls, tmp_path, tiny_store, monkeypatch):
    monkeypatch.setattr("lrface.data.sets.pair_set.from_store", lambda images, pairs: (images, pairs))
    options = ("--int8", "--calibration", tiny_store, "--images", "lfw", "--pairs", "a.txt", "--pairs", "b.txt")
    assert lrface("export", "m", "--out", tmp_path / "o.onnx", *options).status == 0
    assert calls[0][5] == ("lfw", ("a.txt", "b.txt"))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--pairs", "p.txt"), "--images STORE with --pairs FILE"),
        (("--images", "s"), "--images STORE with --pairs FILE"),
        (("--images", "s", "--pairs", "p.txt", "--bin", "lfw.bin"), "or neither"),
        (("--calibration", "s"), "are for --int8"),
    ],
)
def test_options_that_do_not_fit(lrface, calls, tmp_path, options, word):
    assert lrface("export", "m", "--out", tmp_path / "o.onnx", *options).refused(word)
    assert not calls


def test_a_failed_check_is_status_2_and_leaves_no_file(lrface, tmp_path, monkeypatch):
    def export(*arguments):
        raise LrfaceError("int8 costs 0.90 points of accuracy")

    monkeypatch.setattr("lrface.export.run.export", export)
    assert lrface("export", "m", "--out", tmp_path / "out.onnx").refused("int8 costs 0.90 points")
    assert not (tmp_path / "out.onnx").exists()


def test_int8_without_faces(lrface, tmp_path, model):
    assert lrface("export", model, "--out", tmp_path / "o.onnx", "--int8").refused("--calibration")

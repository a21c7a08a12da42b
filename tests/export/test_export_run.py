"""The whole export: what is asked for is written, once it has passed; what fails leaves nothing."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from lrface.data.sets.pair_set import PairSet
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.export import run
from lrface.export.parity import drawn_faces
from lrface.export.run import export
from lrface.models.embedder import open_embedder

pytestmark = pytest.mark.usefixtures("quick_trace")


@pytest.fixture
def store(tiny_store):
    return Store(tiny_store)


@pytest.fixture
def pairs():
    """Twenty pairs over drawn faces, every second one of the same image."""
    faces = drawn_faces(20)
    a = np.arange(20)
    b = np.where(a % 2 == 0, a, (a + 1) % 20)
    return PairSet(faces, a, b, a % 2 == 0, "drawn", "drawn")


def test_float32(student, tmp_path):
    done = export(student.path, tmp_path / "out.onnx")
    assert done.path == tmp_path / "out.onnx"
    assert done.size == done.path.stat().st_size
    assert 0.99999 < done.cosine <= 1 + 1e-9
    assert (done.accuracies, done.whole_cosine, done.pairs) == (None, None, None)
    embedder = open_embedder(done.path)
    assert embedder.preprocessing == student.preprocessing
    assert embedder.card["thresholds"] == {"0.01": 0.31}
    assert embedder.card["model"]["name"] == "resnet18"
    crops = drawn_faces(6)
    wanted = open_embedder(student.path, runtime="torch").embed(crops)
    np.testing.assert_allclose(embedder.embed(crops, batch_size=4), wanted, rtol=1e-3, atol=1e-3)


def test_int8_is_measured_and_says_so(student, tmp_path, store, pairs):
    done = export(student.path, tmp_path / "out.onnx", int8=True, calibration=store, pairs=pairs)
    assert done.pairs == "drawn"
    assert done.accuracies is not None
    exported = open_embedder(done.path).card["exported"]
    assert exported["precision"] == "int8"
    assert (exported["float32_accuracy"], exported["int8_accuracy"]) == done.accuracies
    assert exported["calibration"] == store.fingerprint
    assert done.size < 0.5 * student.path.stat().st_size + 300_000


def test_int8_that_costs_too_much_leaves_nothing(student, tmp_path, store, pairs, monkeypatch):
    from onnx import numpy_helper

    quantize = run.quantize

    def crude(proto, batches):
        proto = quantize(proto, batches)
        rng = np.random.default_rng(0)
        for weights in proto.graph.initializer:
            values = numpy_helper.to_array(weights)
            if values.dtype == np.int8 and values.ndim > 1:
                weights.CopyFrom(numpy_helper.from_array(rng.integers(-64, 64, values.shape, np.int8), weights.name))
        return proto

    scores = iter([0.9, 0.8969])
    monkeypatch.setattr(run, "quantize", crude)
    monkeypatch.setattr(
        "lrface.export.parity.verify_pairs",
        lambda model, pairs, progress: type("Row", (), {"result": type("R", (), {"accuracy": next(scores)})}),
    )
    with pytest.raises(
        LrfaceError, match=r"int8 costs 0.31 points of accuracy on 20 pairs \(drawn\): 89.69 % and 90.00 %"
    ):
        export(student.path, tmp_path / "out.onnx", int8=True, calibration=store, pairs=pairs)
    assert not list(tmp_path.iterdir())


def test_int8_may_lose_three_thousandths(student, tmp_path, store, pairs, monkeypatch):
    scores = iter([0.9, 0.8971])
    monkeypatch.setattr(
        "lrface.export.parity.verify_pairs",
        lambda model, pairs, progress: type("Row", (), {"result": type("R", (), {"accuracy": next(scores)})}),
    )
    assert export(student.path, tmp_path / "out.onnx", int8=True, calibration=store, pairs=pairs).accuracies == (
        0.9,
        0.8971,
    )


def test_without_pairs_they_are_drawn_of_images_that_did_not_calibrate(student, tmp_path, store, monkeypatch):
    monkeypatch.setattr(run, "CALIBRATION_FACES", 2)
    calibrated, seen = [], []
    batches, check = run._batches, run.check_accuracy
    monkeypatch.setattr(
        run, "_batches", lambda store, chosen, embedder: calibrated.extend(chosen) or batches(store, chosen, embedder)
    )
    monkeypatch.setattr(run, "check_accuracy", lambda new, old, pairs: seen.append(pairs) or check(new, old, pairs))
    done = export(student.path, tmp_path / "out.onnx", int8=True, calibration=store)
    assert done.pairs == f"drawn from {store.path.name}"
    for image in calibrated:
        assert not any(np.array_equal(store.crop(int(image)), crop) for crop in seen[0].images)
    for a, b, same in zip(seen[0].a, seen[0].b, seen[0].same, strict=True):
        labels = [
            next(store.labels[i] for i in range(len(store)) if np.array_equal(store.crop(i), seen[0].images[at]))
            for at in (a, b)
        ]
        assert (labels[0] == labels[1]) == same


def test_preprocessing_inside(student, tmp_path):
    done = export(student.path, tmp_path / "out.onnx", whole=True)
    assert done.whole_cosine > 0.99999
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["lrface"])
    assert card["input"] == "uint8 RGB [n, height, width, 3]"
    assert card["preprocessing"] == student.preprocessing.as_dict()
    with pytest.raises(LrfaceError, match="does its own preprocessing"):
        open_embedder(done.path)


def test_int8_with_preprocessing_inside(student, tmp_path, store, pairs):
    done = export(student.path, tmp_path / "out.onnx", int8=True, whole=True, calibration=store, pairs=pairs)
    assert done.whole_cosine > 0.9999
    kinds = {node.op_type for node in onnx.load(done.path).graph.node}
    assert {"QuantizeLinear", "MatMul", "Slice"} <= kinds


def test_a_graph_that_is_not_true_leaves_nothing(student, tmp_path, monkeypatch):
    from onnx import numpy_helper

    def wrong(module, size):
        proto = student.proto()
        weights = proto.graph.initializer[0]
        weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
        return proto

    monkeypatch.setattr(run, "trace", wrong)
    with pytest.raises(LrfaceError, match="torch's embeddings and the export's have a cosine"):
        export(student.path, tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_kept_where_an_export_fails(student, tmp_path):
    (tmp_path / "out.onnx").write_bytes(b"before")
    with pytest.raises(LrfaceError, match="int8 needs real faces"):
        export(student.path, tmp_path / "out.onnx", int8=True)
    assert (tmp_path / "out.onnx").read_bytes() == b"before"


def test_what_cannot_be_exported(student, tmp_path):
    with pytest.raises(LrfaceError, match=r"call the file something\.onnx"):
        export(student.path, tmp_path / "out.bin")
    export(student.path, tmp_path / "out.onnx")
    with pytest.raises(LrfaceError, match="is an ONNX file, which torch does not run"):
        export(tmp_path / "out.onnx", tmp_path / "again.onnx")
    with pytest.raises(LrfaceError, match="no model at"):
        export(tmp_path / "none.safetensors", tmp_path / "again.onnx")


def test_a_store_too_small_to_draw_pairs_from(student, tmp_path, store, monkeypatch):
    monkeypatch.setattr(run, "CALIBRATION_FACES", 9)
    with pytest.raises(LrfaceError, match="too few images to draw pairs from: give some with --pairs"):
        export(student.path, tmp_path / "out.onnx", int8=True, calibration=store)

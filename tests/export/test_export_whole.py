"""Preprocessing inside the graph is lrface's own, pixel by pixel where Pillow's order of passes allows."""

import numpy as np
import onnx
import onnxruntime
import pytest

from lrface.errors import LrfaceError
from lrface.export.whole import make_whole
from lrface.faces.degrade import Degradation
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.recognition.encoder import FaceEncoder


@pytest.fixture(scope="module")
def whole(student):
    return make_whole(student.proto(), student.preprocessing, student.dim)


def session_of(proto):
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def noise(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def reduced_inside(size, crops):
    """The pixels that the graph gives its network: of a graph whose network is nothing."""
    from onnx import TensorProto, helper

    preprocessing = Preprocessing(size, mean=0.0, scale=1.0, degradation=Degradation(size))
    flat = 3 * size * size
    nothing = helper.make_graph(
        [helper.make_node("Flatten", ["faces"], ["embedding"])],
        "nothing",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 3, size, size])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", flat])],
    )
    proto = helper.make_model(nothing, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    proto = make_whole(proto, preprocessing, flat)
    inner = next(node.output[0] for node in proto.graph.node if node.output[0].endswith("levels"))
    proto.graph.output.append(helper.make_tensor_value_info(inner, TensorProto.FLOAT, ["n", 3, size, size]))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([inner], {"images": crops})[0].transpose(0, 2, 3, 1)


@pytest.mark.parametrize("size", [8, 12, 16, 24])
@pytest.mark.parametrize(
    ("height", "width"), [(112, 112), (250, 250), (33, 250), (14, 17), (16, 16), (8, 8), (1, 1), (5, 300)]
)
def test_pixels_are_exactly_those_of_the_degradation(size, height, width):
    crops = noise(2, height, width)
    wanted = np.stack([Degradation(size)(crop) for crop in crops])
    assert np.array_equal(reduced_inside(size, crops), wanted)


@pytest.mark.parametrize(("height", "width"), [(113, 112), (250, 33), (17, 14), (300, 5)])
def test_pixels_of_crops_higher_than_wide_are_within_one_level(height, width):
    crops = noise(2, height, width)
    wanted = np.stack([Degradation(16)(crop) for crop in crops]).astype(int)
    assert np.abs(reduced_inside(16, crops) - wanted).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(112, 112), (64, 90), (16, 16), (9, 14)])
@pytest.mark.parametrize("count", [1, 5])
def test_embeddings_are_those_of_the_encoder(student, whole, height, width, count):
    crops = noise(count, height, width, seed=4)
    encoder = FaceEncoder(open_embedder(student.path, runtime="torch"), detector="none")
    found = session_of(whole).run(None, {"images": crops})[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, encoder.embed_crops(list(crops)), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_mirror_image_makes_no_difference(whole):
    crops = noise(3, 40, 50)
    session = session_of(whole)
    one, two = (session.run(None, {"images": np.ascontiguousarray(x)})[0] for x in (crops, crops[:, :, ::-1]))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_the_graph_is_valid_and_says_what_it_takes(whole):
    onnx.checker.check_model(whole, full_check=True)
    taken = session_of(whole).get_inputs()[0]
    assert (taken.name, taken.type, taken.shape) == ("images", "tensor(uint8)", ["n", "height", "width", 3])


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(16, degradation=Degradation(16, "area")),
        Preprocessing(16, degradation=Degradation(16, antialias=False)),
        Preprocessing(16, colour="BGR"),
        Preprocessing(16, layout="NHWC"),
    ],
)
def test_what_cannot_be_written_as_a_graph_is_refused(student, preprocessing):
    with pytest.raises(LrfaceError, match="export without --whole"):
        make_whole(student.proto(), preprocessing, student.dim)

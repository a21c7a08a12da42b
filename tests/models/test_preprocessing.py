"""Pixels become the input that a network's record asks for."""

import json

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation, resize
from lrface.models.preprocessing import Preprocessing


def pictures(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("mean", "scale"), [(127.5, 1 / 127.5), (0, 1), (127.5, 0.0078125)])
def test_a_batch_is_what_the_record_says(colour, layout, mean, scale):
    images = pictures(3, 6)
    batch = Preprocessing(6, mean, scale, colour, layout).batch(images)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    assert batch.shape == ((3, 3, 6, 6) if layout == "NCHW" else (3, 6, 6, 3))
    for n, y, x, channel in np.ndindex(3, 6, 6, 3):
        source = channel if colour == "RGB" else 2 - channel
        value = (float(images[n, y, x, source]) - mean) * scale
        got = batch[n, channel, y, x] if layout == "NCHW" else batch[n, y, x, channel]
        assert got == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_our_own_networks_see_what_the_paper_says():
    images = pictures(2, 5)
    expected = (images.astype(np.float64) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(Preprocessing(5).batch(images), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_a_crop_is_brought_to_the_input():
    crop = pictures(1, 112)[0]
    assert Preprocessing(112).fit(crop) is crop
    np.testing.assert_array_equal(Preprocessing(160).fit(crop), resize(crop, 160))
    degradation = Degradation(16, "bicubic", antialias=False)
    np.testing.assert_array_equal(Preprocessing(16, degradation=degradation).fit(crop), degradation(crop))
    tiny = pictures(1, 16)[0]
    assert Preprocessing(16, degradation=degradation).fit(tiny) is tiny


def test_a_record_survives_json():
    record = Preprocessing(16, 0.5, 2.0, "BGR", "NHWC", degradation=Degradation(16, "area"))
    card = json.loads(json.dumps(record.as_dict())) | {"licence": "added by someone"}
    assert Preprocessing.from_card(card, "x.onnx") == record
    assert Preprocessing.from_card({"input_size": 112}, "x.onnx") == Preprocessing(112)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": "rgb"}, "unknown colour 'rgb': choose one of RGB, BGR"),
        ({"layout": "NCWH"}, "unknown layout"),
        ({"crop": "vgg"}, "unknown crop 'vgg'"),
        ({"input_size": "112"}, "input_size of '112'"),
        ({"input_size": 0}, "input_size of 0"),
        ({"input_size": 112.0}, "input_size of 112.0"),
        ({"mean": [1, 2, 3]}, r"mean of \[1, 2, 3\]"),
        ({"scale": float("nan")}, "scale of nan"),
        ({"degradation": Degradation(16)}, "makes 16 pixels and the network takes 112"),
    ],
)
def test_values_that_make_no_sense(values, message):
    with pytest.raises(LrfaceError, match=message):
        Preprocessing(**{"input_size": 112} | values)


@pytest.mark.parametrize(
    "card",
    [
        {},
        [112],
        None,
        {"input_size": None},
        {"input_size": 16, "degradation": {"side": 16}},
        {"input_size": 16, "degradation": "area"},
        {"input_size": 16, "degradation": {"size": "16"}},
    ],
)
def test_records_that_cannot_be_used_name_their_file(card):
    with pytest.raises(LrfaceError, match=r"x\.onnx carries a preprocessing record"):
        Preprocessing.from_card(card, "x.onnx")

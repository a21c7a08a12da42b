"""dlib's serialisation and topology, against a file written here and a network written out in torch."""

import json
import struct

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from lrface.errors import LrfaceError
from lrface.files import file_digest
from lrface.models import dlib_resnet
from lrface.models.embedder import open_embedder

WIDTHS = [32] * 3 + [64] * 4 + [128] * 3 + [256] * 4
HALVES = {3, 7, 10, 13}  # of the blocks


def integer(value):
    length = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([length | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(length, "little")


def number(value):
    mantissa, exponent = np.frexp(np.float32(value))
    return integer(int(mantissa * 2**24)) + integer(int(exponent) - 24)


def name(text):
    return bytes([1, len(text)]) + text.encode()


def tensor(values):
    return integer(2) + integer(values.size) + integer(1) * 3 + values.astype("<f4").tobytes()


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    shapes = [(32, 3, 7, 7)]
    for block, width in enumerate(WIDTHS):
        before = WIDTHS[block - 1] if block else 32
        shapes += [(width, before, 3, 3), (width, width, 3, 3)]
    layers = []
    for shape in shapes:
        filters = rng.normal(0, 0.7 / np.sqrt(np.prod(shape[1:])), shape)
        gamma, beta = rng.uniform(0.5, 1.5, shape[0]), rng.normal(0, 0.1, shape[0])
        layers.append(tuple(x.astype(np.float32) for x in (filters, rng.normal(0, 0.1, shape[0]), gamma, beta)))
    return layers, rng.normal(0, 0.1, (256, 128)).astype(np.float32)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    layers, matrix = network
    content = name("loss_metric_2") + number(0.04) + name("input_rgb_image_sized")
    content += number(122.782) + number(117.001) + number(104.298) + integer(150) + integer(150)
    for filters, biases, gamma, beta in layers:
        content += name("con_4") + tensor(np.concatenate([filters.ravel(), biases])) + integer(len(biases))
        content += name("affine_") + tensor(np.concatenate([gamma, beta])) + name("relu_")
    content += name("fc_2") + integer(128) + integer(256) + tensor(matrix)
    path = tmp_path_factory.mktemp("dlib") / "net.dat"
    path.write_bytes(content)
    return path


def oracle(network, chips):
    """dnn_face_recognition_ex.cpp, layer by layer."""
    layers, matrix = network

    def convolve(x, layer, stride):
        filters, biases, gamma, beta = (torch.tensor(part, dtype=torch.float64) for part in layer)
        pad = (filters.shape[-1] // 2) if stride == 1 else 0
        y = F.conv2d(x, filters, biases, stride, pad)
        return y * gamma[:, None, None] + beta[:, None, None]

    means = torch.tensor([122.782, 117.001, 104.298], dtype=torch.float64)[:, None, None]
    x = (torch.tensor(chips).permute(0, 3, 1, 2).double() - means) / 256
    x = F.max_pool2d(F.relu(convolve(x, layers[0], 2)), 3, 2)
    for block in range(len(WIDTHS)):
        first, second = layers[1 + 2 * block : 3 + 2 * block]
        y = convolve(F.relu(convolve(x, first, 2 if block in HALVES else 1)), second, 1)
        if block in HALVES:
            x = F.avg_pool2d(x, 2, 2)
        total = torch.zeros(len(x), *(max(x.shape[axis], y.shape[axis]) for axis in (1, 2, 3)), dtype=torch.float64)
        for part in (x, y):
            total[:, : part.shape[1], : part.shape[2], : part.shape[3]] += part
        x = F.relu(total)
    return (x.mean((2, 3)) @ torch.tensor(matrix, dtype=torch.float64)).numpy()


def test_the_converted_network_computes_what_dlib_s_definition_says(network, weights):
    chips = np.random.default_rng(1).integers(0, 256, (2, 150, 150, 3), dtype=np.uint8)
    model = dlib_resnet.build(*dlib_resnet.read_weights(weights.read_bytes())).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ours = session.run(None, {"faces": chips.transpose(0, 3, 1, 2).astype(np.float32)})[0]
    expected = oracle(network, chips)
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_the_file_opens_as_an_embedder_with_its_own_crop(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(dlib_resnet, "difference_from_dlib", lambda *_: None)
    said = dlib_resnet.convert_file(weights, tmp_path / "dlib.onnx", file_digest(weights))
    assert "skipped" in said
    embedder = open_embedder(tmp_path / "dlib.onnx")
    assert embedder.preprocessing.crop == "dlib"
    assert json.dumps(embedder.card["licence"]) == '"CC0"'
    crops = np.random.default_rng(2).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    assert embedder.embed(list(crops)).shape == (3, 128)


def test_another_file_is_refused_and_nothing_written(weights, tmp_path):
    with pytest.raises(LrfaceError, match="is not the file of face-recognition-models"):
        dlib_resnet.convert_file(weights, tmp_path / "dlib.onnx")
    assert not (tmp_path / "dlib.onnx").exists()


def test_numbers_are_read_as_dlib_writes_them():
    reader = dlib_resnet.Reader(bytes.fromhex("030ad7a3811c") + integer(-70000) + struct.pack("<B", 0))
    assert reader.number() == pytest.approx(0.04, rel=1e-6)
    assert reader.integer() == -70000


def test_the_published_network_equals_dlib_s_own():
    pytest.importorskip("dlib", reason="needs dlib-bin")
    try:
        weights = dlib_resnet.find_weights()
    except LrfaceError as error:
        pytest.skip(str(error))
    content = dlib_resnet.build(*dlib_resnet.read_weights(weights.read_bytes())).SerializeToString()
    difference = dlib_resnet.difference_from_dlib(weights, content)
    assert difference is not None
    assert difference < dlib_resnet.TOLERANCE


def test_who_asks_for_it_by_name_has_it_converted_once(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dlib_resnet, "SHA256", file_digest(weights))
    monkeypatch.setattr(dlib_resnet, "find_weights", lambda: weights)
    monkeypatch.setattr(dlib_resnet, "difference_from_dlib", lambda *_: None)
    path = dlib_resnet.cached_file()
    assert path.parent == tmp_path / "lrface"
    written = path.stat().st_mtime_ns
    monkeypatch.setattr(dlib_resnet, "find_weights", None)  # asking for the package again would fail
    assert dlib_resnet.cached_file() == path
    assert path.stat().st_mtime_ns == written


def test_without_the_package_the_install_line_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dlib_resnet, "PACKAGE", "no-such-package")
    with pytest.raises(LrfaceError, match=r"no-such-package is not installed: pip install 'lrface\[sharp\]'"):
        dlib_resnet.cached_file()
    assert not list((tmp_path / "lrface").glob("*"))

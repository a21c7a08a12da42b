"""ncnn's format against a network written here and computed in torch."""

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from lrface.errors import LrfaceError
from lrface.models import ncnn
from lrface.models.embedder import open_embedder

PARAM = """7767517
11 13
Input            data   0 1 data
BinaryOp         less   1 1 data less 0=1 1=1 2=127.500000
BinaryOp         scaled 1 1 less scaled 0=2 1=1 2=0.0078125
Convolution      conv   1 1 scaled conv 0=4 1=3 11=3 3=2 13=2 4=1 14=1 5=1 6=108
BatchNorm        norm   1 1 conv norm 0=4 1=0.001
PReLU            relu   1 1 norm relu 0=4
Split            split  1 2 relu left right
ConvolutionDepthWise deep 1 1 left deep 0=4 1=3 4=1 5=0 6=36 7=4
BinaryOp         sum    2 1 deep right sum 0=0
InnerProduct     fc     1 1 sum fc 0=5 1=1 2=62720
BatchNorm        last   1 1 fc last 0=5
"""
TAG = np.zeros(1, "<f4")


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(5)

    def drawn(*shape):
        return rng.normal(0, 0.3, shape).astype("<f4")

    def norm(count):
        return drawn(count), drawn(count), rng.uniform(0.5, 2, count).astype("<f4"), drawn(count)

    return {
        "conv": (drawn(4, 3, 3, 3), drawn(4)), "norm": norm(4), "relu": (drawn(4),), "deep": (drawn(4, 1, 3, 3),),
        "fc": (drawn(5, 4 * 56 * 56), drawn(5)), "last": norm(5),
    }  # fmt: skip


@pytest.fixture
def files(parts, tmp_path):
    content = b""
    for name, tensors in parts.items():
        content += TAG.tobytes() if name in ("conv", "deep", "fc") else b""
        content += b"".join(tensor.tobytes() for tensor in tensors)
    (tmp_path / "net.param").write_text(PARAM)
    (tmp_path / "net.bin").write_bytes(content)
    return tmp_path / "net.param"


def oracle(parts, pixels):
    tensors = {name: [torch.tensor(part, dtype=torch.float64) for part in each] for name, each in parts.items()}

    def norm(x, name, eps):
        slope, mean, variance, bias = tensors[name]
        shape = (-1, *[1] * (x.ndim - 2))
        return (x - mean.view(shape)) / (variance.view(shape) + eps).sqrt() * slope.view(shape) + bias.view(shape)

    x = (torch.tensor(pixels).double() - 127.5) * 0.0078125
    x = F.prelu(norm(F.conv2d(x, *tensors["conv"], stride=2, padding=1), "norm", 0.001), *tensors["relu"])
    x = F.conv2d(x, *tensors["deep"], padding=1, groups=4) + x
    return norm(F.linear(x.flatten(1), *tensors["fc"]), "last", 0.0).numpy()


def test_the_converted_network_computes_the_same(parts, files, tmp_path):
    ncnn.convert_file(files, tmp_path / "net.onnx")
    pixels = np.random.default_rng(6).integers(0, 256, (3, 3, 112, 112)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"faces": pixels})[0], oracle(parts, pixels), rtol=1e-4, atol=1e-4)


def test_the_file_opens_as_an_embedder_of_aligned_crops(parts, files, tmp_path):
    ncnn.convert_file(files, tmp_path / "net.onnx")
    embedder = open_embedder(tmp_path / "net.onnx")
    crop = np.random.default_rng(7).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    expected = oracle(parts, crop.transpose(2, 0, 1)[None].astype(np.float32))
    np.testing.assert_allclose(embedder.embed([crop]), expected, rtol=1e-3, atol=1e-3)
    assert embedder.dim == 5
    assert embedder.card["crop"] == "arcface"
    assert embedder.card["source"].startswith("net,")


def test_it_is_converted_once(files, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = ncnn.cached_file(files)
    before = path.stat().st_mtime_ns
    assert ncnn.cached_file(files) == path
    assert path.stat().st_mtime_ns == before
    files.with_suffix(".bin").write_bytes(files.with_suffix(".bin").read_bytes()[:-4] + b"\0\0\0\0")
    assert ncnn.cached_file(files) != path


def test_the_height_of_a_kernel_is_its_width_unless_it_is_given():
    (layer,) = ncnn.read_layers("7767517\n1 1\nConvolution c 1 1 a b 0=4 1=3 11=5 2=2")
    assert layer.pair(1, 11, 1) == [5, 3]
    assert layer.pair(2, 12, 1) == [2, 2]
    assert layer.pair(3, 13, 1) == [1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda param, bin_: (param.replace("7767517", "1234"), bin_), "begins with '1234'"),
        (lambda param, bin_: (param.replace("PReLU  ", "Softmax"), bin_), "relu is of the kind Softmax"),
        (lambda param, bin_: (param, bin_[:-8]), "the weights end after"),
        (lambda param, bin_: (param, bin_ + b"more"), "4 bytes of the weights are left"),
        (lambda param, bin_: (param, b"\x47\x6b\x30\x01" + bin_[4:]), "compressed"),
        (lambda param, bin_: (param.replace("data less", "data"), bin_), "not a MobileFaceNet"),
        (lambda param, bin_: ("", bin_), "not a MobileFaceNet"),
    ],
)
def test_another_file_is_refused_and_nothing_written(files, tmp_path, change, message):
    param, content = change(files.read_text(), files.with_suffix(".bin").read_bytes())
    files.write_text(param)
    files.with_suffix(".bin").write_bytes(content)
    with pytest.raises(LrfaceError, match=message):
        ncnn.convert_file(files, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("missing", ["net.param", "net.bin"])
def test_both_files_are_needed(files, missing):
    files.with_name(missing).unlink()
    with pytest.raises(LrfaceError, match=rf"no file .*{missing}.*NAME\.bin"):
        ncnn.cached_file(files)

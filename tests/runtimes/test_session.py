"""One way to open an ONNX file; ONNX Runtime itself is watched, so that no GPU is needed."""

import os
import sys

import onnxruntime
import pytest

from lrface.errors import LrfaceError
from lrface.runtimes.session import load_onnxruntime, open_session


class Watched:
    """In place of ``onnxruntime.InferenceSession``: keeps what it was given, and has only the CPU if told so."""

    falls_back = False

    def __init__(self, path, options, providers):
        self.path, self.options, self.providers = path, options, providers

    def get_providers(self):
        return [item if isinstance(item, str) else item[0] for item in self.providers][self.falls_back :]


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Watched)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    return Watched


def test_threads(watched):
    assert open_session("a.onnx", threads=3).options.intra_op_num_threads == 3
    assert open_session("a.onnx").options.intra_op_num_threads == 0  # its own default


def test_devices(watched):
    assert open_session("a.onnx", "mps").providers == ["CPUExecutionProvider"]
    for device, number in (("cuda", 0), ("cuda:2", 2)):
        assert open_session("a.onnx", device).providers == [
            ("CUDAExecutionProvider", {"device_id": number}),
            "CPUExecutionProvider",
        ]


def test_small_networks_are_spared_searches_and_spinning(watched):
    session = open_session("a.onnx", "cuda", small=True)
    assert session.providers[0][1]["cudnn_conv_algo_search"] == "HEURISTIC"
    assert session.options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_silent_fall_back_is_an_error(watched, monkeypatch):
    monkeypatch.setattr(watched, "falls_back", True)
    with pytest.raises(LrfaceError, match="onnxruntime-gpu, or run with --device cpu"):
        open_session("a.onnx", "cuda")


def test_no_cuda(watched, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(LrfaceError, match="cannot use CUDA"):
        open_session("a.onnx", "cuda")


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_what_is_run_is_reported_to_nobody_unless_asked(monkeypatch, before, after):
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", before or "")
    if before is None:
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    assert load_onnxruntime() is onnxruntime
    assert os.environ["ORT_DISABLE_TELEMETRY"] == after


def test_what_is_no_model(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing\nof the kind")
    with pytest.raises(LrfaceError, match=r"a\.onnx is not an ONNX model .*; buy another$") as raised:
        open_session(tmp_path / "a.onnx", advice="; buy another")
    assert "\n" not in str(raised.value)


def test_without_onnx_runtime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(LrfaceError, match="pip install onnxruntime"):
        open_session("a.onnx")

"""What ``auto`` stands for; it never downloads."""

import socket
from pathlib import Path

import pytest

from lrface.faces.detect import automatic_detector, create_detector
from lrface.faces.detect.insightface_backend import PACK


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder, and a network that fails the test."""

    def connect(*arguments):
        raise AssertionError("auto tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def installed(monkeypatch, answer):
    monkeypatch.setattr("lrface.faces.detect.registry.find_spec", lambda package: object() if answer else None)


def unpack(home: Path, name: str):
    folder = home / ".insightface" / "models" / PACK
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("has_package", "file", "expected"),
    [
        (True, "det_10g.onnx", "insightface"),
        (True, None, "centerface"),
        (True, "w600k_r50.onnx", "centerface"),  # the pack lacks its detector
        (False, "det_10g.onnx", "centerface"),
        (False, None, "centerface"),
    ],
)
def test_insightface_only_where_nothing_would_be_downloaded(home, monkeypatch, has_package, file, expected):
    installed(monkeypatch, has_package)
    if file:
        unpack(home, file)
    assert automatic_detector() == expected


def test_auto_is_made_without_a_download(home, monkeypatch):
    installed(monkeypatch, True)
    assert create_detector("auto").name == "centerface"
    assert not list(home.iterdir())


def test_auto_stays_on_the_cpu_where_onnx_runtime_has_no_cuda(home, monkeypatch):
    made = []
    monkeypatch.setattr("lrface.faces.detect.centerface_backend.create", lambda *options: made.append(options))
    for providers in (["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]):
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda providers=providers: providers)
        create_detector("auto", "cuda:1", 2)
    assert made == [("cpu", 2, None), ("cuda:1", 2, None)]

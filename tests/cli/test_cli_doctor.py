"""``lrface doctor``: it reports, whatever is broken, and fetches nothing."""

import socket

import pytest

from lrface.cli import doctor_checks as doctor


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Any attempt to reach a network fails the test; the home folder is empty."""

    def connect(*arguments):
        raise AssertionError("doctor tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def no_detectors(monkeypatch):
    """Making real ones takes seconds."""
    monkeypatch.setattr("lrface.faces.detect.create_detector", lambda name: None)


def test_json_names_everything(lrface, tmp_path, tiny_store, monkeypatch, no_detectors):
    (tmp_path / "lfw.bin").write_bytes(b"x")
    (tmp_path / "teacher.onnx").write_bytes(b"x")
    (tmp_path / "faces").symlink_to(tiny_store)
    outcome = lrface("doctor", "--json", "--data", tmp_path)
    assert outcome.status == 0
    facts = outcome.json
    assert facts["packages"]["torch"]
    assert facts["devices"]["cores"] >= 1
    assert "CPUExecutionProvider" in facts["devices"]["onnxruntime"]
    assert facts["models"]["under_data_root"] == ["teacher.onnx"]
    assert facts["data"]["stores"] == ["faces"]
    assert facts["data"]["sets"]["lfw"] == {"state": "found", "found": [str(tmp_path / "lfw.bin")], "missing": []}
    assert facts["data"]["sets"]["tinyface"]["state"] == "missing"
    assert facts["detectors"]["mtcnn"] == {"usable": True, "note": None}
    assert facts["auto_detector"] == "centerface"


def test_text_says_what_is_missing_and_how_to_get_it(lrface, tmp_path, no_detectors):
    outcome = lrface("doctor", "--data", tmp_path)
    assert outcome.status == 0
    for word in ("packages", "devices", "detectors", "models", "lrface data where tinyface"):
        assert word in outcome.out
    outcome = lrface("doctor", "--data", tmp_path / "nowhere")
    assert outcome.status == 0
    assert "no such folder" in outcome.out


def test_insightface_is_not_made_to_download(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("lrface.faces.detect.create_detector", made.append)
    monkeypatch.setattr(doctor, "_version", lambda name: "2.0")
    assert "downloads it at first use" in doctor.examine(tmp_path)["detectors"]["insightface"]["note"]
    assert made == ["centerface", "mtcnn", "dlib"]
    pack = tmp_path / "home" / ".insightface" / "models" / "buffalo_l"
    pack.mkdir(parents=True)
    (pack / "det_10g.onnx").write_bytes(b"x")
    facts = doctor.examine(tmp_path)
    assert facts["detectors"]["insightface"]["usable"]
    assert facts["models"]["insightface_packs"] == {"buffalo_l": ["det_10g.onnx"]}


def test_broken_packages_are_findings(lrface, tmp_path, monkeypatch):
    def create(name):
        raise ImportError("libGL.so.1: cannot open\nshared object")

    monkeypatch.setattr("lrface.faces.detect.create_detector", create)
    monkeypatch.setattr("torch.cuda.is_available", lambda: 1 / 0)
    outcome = lrface("doctor", "--data", tmp_path)
    assert outcome.status == 0
    assert "ImportError: libGL.so.1: cannot open shared object" in outcome.out
    assert "warning: torch cannot be used: ZeroDivisionError" in outcome.out


def test_packages_that_overwrite_each_other(lrface, tmp_path, monkeypatch, no_detectors):
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name.startswith("faiss") else None)
    outcome = lrface("doctor", "--data", tmp_path)
    assert "warning: faiss-cpu and faiss-gpu and faiss-gpu-cu12 overwrite each other" in outcome.out
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name == "faiss-cpu" else None)
    assert "overwrite each other" not in lrface("doctor", "--data", tmp_path).out


def test_a_gpu_that_is_not_used(monkeypatch):
    none = dict.fromkeys(doctor.PACKAGES)
    devices = {"cuda": [], "mps": False, "onnxruntime": ["CPUExecutionProvider"]}
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    assert any("no CUDA device" in text for text in doctor._warnings(none, devices))
    devices["cuda"] = [{"name": "A GPU", "memory_gib": 8}]
    assert any("onnxruntime-gpu" in text for text in doctor._warnings(none, devices))
    devices["onnxruntime"].append("CUDAExecutionProvider")
    assert doctor._warnings(none, devices) == []

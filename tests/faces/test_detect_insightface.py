"""No test downloads: the pack is refused, damaged, or a network of constants made here."""

import zipfile

import numpy as np
import pytest
from detectors import write_constant_detector

from lrface.errors import LrfaceError
from lrface.faces.detect import create_detector
from lrface.faces.detect.insightface_backend import PACK


@pytest.fixture
def home(tmp_path, monkeypatch):
    pytest.importorskip("insightface", reason="insightface is not installed", exc_type=ImportError)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def refuse(monkeypatch, error):
    def download_file(*args, **kwargs):
        raise error

    monkeypatch.setattr("insightface.utils.storage.download_file", download_file)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("HTTPSConnectionPool: Max retries\nexceeded " + "x" * 2000),
        RuntimeError("Failed downloading url somewhere"),
        PermissionError(13, "Permission denied"),
        zipfile.BadZipFile("File is not a zip file"),
    ],
)
def test_a_refused_download_names_what_works_offline(home, monkeypatch, capfd, error):
    refuse(monkeypatch, error)
    with pytest.raises(LrfaceError, match=f"cannot download insightface's pack {PACK}") as raised:
        create_detector("insightface")
    message = str(raised.value)
    assert type(error).__name__ in message
    assert "--detector centerface" in message
    assert "--detector mtcnn" in message
    assert "\n" not in message
    assert len(message) < 600
    assert capfd.readouterr().out == ""


def test_what_an_interrupted_download_leaves_is_named(home):
    folder = home / ".insightface" / "models" / PACK
    folder.mkdir(parents=True)
    with pytest.raises(LrfaceError, match=r"holds no detector.*delete it and try again") as raised:
        create_detector("insightface")
    assert str(folder) in str(raised.value)


def test_a_damaged_detector_is_named(home):
    folder = home / ".insightface" / "models" / PACK
    folder.mkdir(parents=True)
    (folder / "det_10g.onnx").write_bytes(b"not a network")
    with pytest.raises(
        LrfaceError, match=r"det_10g\.onnx is not an ONNX model .*delete .*buffalo_l and try again"
    ) as raised:
        create_detector("insightface")
    assert "\n" not in str(raised.value)


def test_cuda_without_cuda(home, monkeypatch):
    write_constant_detector(home / ".insightface" / "models" / PACK / "det_10g.onnx")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(LrfaceError, match="onnxruntime-gpu"):
        create_detector("insightface", device="cuda")


def test_the_packs_detector_is_run(home, capfd):
    write_constant_detector(home / ".insightface" / "models" / PACK / "det_10g.onnx")
    detector = create_detector("insightface", threads=1)
    assert detector.name == "insightface"
    faces = detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert faces[0].score == pytest.approx(0.9)
    assert "".join(capfd.readouterr()) == ""

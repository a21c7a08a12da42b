"""The entry point: help, mistakes, and the exit status of everything that can happen."""

import json
import os
import subprocess
import sys

import pytest

from lrface.cli.main import COMMANDS
from lrface.errors import LrfaceError
from lrface.version import __version__

#: Libraries that take a second to import.
HEAVY = {
    "torch",
    "torchvision",
    "cv2",
    "onnxruntime",
    "pandas",
    "sklearn",
    "insightface",
    "pydantic",
    "lightning_fabric",
}


def break_command(monkeypatch, error):
    """``lrface verify a b`` raises ``error``."""

    def load(*arguments):
        raise error

    monkeypatch.setattr("lrface.recognition.encoder.FaceEncoder.load", load)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command(lrface, flag):
    outcome = lrface(flag)
    assert outcome.status == 0
    for name, line in COMMANDS.items():
        assert f"  {name} " in outcome.out
        assert line.split()[0] in outcome.out


@pytest.mark.parametrize(
    "command", [[name] for name in COMMANDS] + [["data", name] for name in ("get", "list", "where")]
)
def test_every_command_has_help(lrface, command):
    for flag in ("--help", "-h"):
        outcome = lrface(*command, flag)
        assert outcome.status == 0
        assert f"Usage: lrface {' '.join(command)}" in outcome.out
        assert not outcome.err


def test_no_arguments_show_the_help(lrface):
    outcome = lrface()
    assert outcome.status == 2
    assert "Commands:" in outcome.out + outcome.err


def test_version(lrface):
    outcome = lrface("--version")
    assert outcome.status == 0
    assert f"lrface {__version__}" in outcome.out
    assert all(f"{fact} " in outcome.out for fact in ("Python", "torch", "model", "detector")), outcome.out
    assert "cores" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["frobnicate"], "frobnicate"),
        (["verify"], "'A'"),
        (["verify", "a.jpg"], "'B'"),
        (["verify", "a.jpg", "b.jpg", "--colour"], "--colour"),
        (["verify", "a.jpg", "b.jpg", "--far", "often"], "often"),
        (["verify", "a.jpg", "b.jpg", "--threshold", "3"], "3"),
        (["embed", "a.jpg"], "--out"),
        (["data", "frobnicate"], "frobnicate"),
        (["train"], "RECIPE"),
        (["prepare", "somewhere"], "--out"),
    ],
)
def test_wrong_arguments_are_explained_with_the_usage(lrface, arguments, word):
    outcome = lrface(*arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("Usage: lrface")
    assert word in outcome.err
    assert not outcome.out


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CUDA", ""])
def test_a_device_that_cannot_be_is_refused(lrface, device):
    assert lrface("verify", "a.jpg", "b.jpg", "--device", device).refused("--device", "cuda:1")


def test_a_users_mistake_is_one_line(lrface, monkeypatch):
    break_command(monkeypatch, LrfaceError("the cat is out"))
    assert lrface("verify", "a", "b").err == "error: the cat is out\n"
    assert lrface("verify", "a", "b").refused()


def test_a_bug_is_no_answer(lrface, monkeypatch):
    """Python would exit with 1 and a traceback, and 1 is the answer "different"."""
    break_command(monkeypatch, ZeroDivisionError("some bug"))
    outcome = lrface("verify", "a", "b")
    assert outcome.status == 2
    assert "Traceback" in outcome.err
    assert "some bug" in outcome.err


def test_control_c(lrface, monkeypatch):
    break_command(monkeypatch, KeyboardInterrupt())
    outcome = lrface("verify", "a", "b")
    assert outcome.status == 130
    assert outcome.err.split() == ["interrupted"]


def test_a_reader_that_has_gone_is_no_answer_either():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lrface", "data", "list"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


@pytest.mark.parametrize(
    "code",
    [
        "import lrface; lrface.__version__; lrface.LrfaceError",
        "import lrface.cli.main",
        "import runpy; runpy.run_module('lrface', run_name='__main__')",
    ],
)
def test_imports_and_help_stay_light(start, code):
    program = f"""
import json, sys
sys.argv = ["lrface", "verify", "--help"]
try:
    {code}
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""
    done = start("-c", program)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "lrface" in loaded
    assert not loaded & HEAVY


def test_the_encoder_is_there_under_its_short_name():
    import lrface
    from lrface.recognition.encoder import FaceEncoder

    assert lrface.FaceEncoder is FaceEncoder
    with pytest.raises(AttributeError, match="no attribute 'FaceDecoder'"):
        lrface.FaceDecoder  # noqa: B018 (reading it is the test)

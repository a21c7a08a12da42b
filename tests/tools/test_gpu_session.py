"""The session on a CUDA machine, rehearsed on the CPU with a tiny pack."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from small_store import content, data_root, recipe

from lrface.train.pack import PackSettings, make_pack

__all__ = ["content", "data_root", "recipe"]

ROOT = Path(__file__).parents[2]
FAST = {
    "DEVICE": "cpu", "SEEDS": "5 6", "LONGER": "2", "WAYS": "false", "SPEED_SECONDS": "30", "BATCHES": "8", "STEPS": "2",
    "RESULT_BYTES": "50K",
}  # fmt: skip


def session(packs, out):
    """Run it for ten minutes at most, with this Python as ``python3``."""
    bin_folder = out.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    python = bin_folder / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    environment = os.environ | FAST | {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    command = ["bash", str(ROOT / "tools" / "gpu_session.sh"), str(packs), str(out), "10"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)


@pytest.mark.slow
def test_a_session_trains_measures_and_goes_on(data_root, recipe, tmp_path):
    changes = {"loss": {"classification": None, "cosine": {"weight": 5.0}}, "optim": {"epochs": 1}}
    make_pack(recipe(**changes), tmp_path / "packs" / "tiny", data_root, PackSettings("int8"), progress=False)
    out = tmp_path / "out"
    done = session(tmp_path / "packs", out)
    assert done.returncode == 0, done.stderr
    names = {"tiny-crrcd-5", "tiny-crrcd-6", "tiny-plain-5", "tiny-plain-6"}
    parts = sorted(out.glob("results.tar.part-*"))
    assert len(parts) > 1
    with tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts))) as archive:
        files = {Path(name).name: name for name in archive.getnames()}
        table = json.load(archive.extractfile(files["validation.json"]))
        speed = json.load(archive.extractfile(files["tiny.speed.json"]))
    assert {row["run"] for row in table} == names
    assert all(row["finished"] and row["epochs"] == 2 for row in table)
    assert {Path(name).stem[:-2] for name in files if name.endswith(".safetensors")} == {"tiny-crrcd", "tiny-plain"}
    assert {(row["crrcd"], row["loop"] > 0, row["network"] > 0) for row in speed["rows"]} == {
        (True,) * 3,
        (False, True, True),
    }
    for row in speed["rows"]:
        assert row["minutes"] == pytest.approx(35 * 490_623 / row["loop"] / 60)

    (out / "runs" / "tiny-plain-6" / "model.safetensors").unlink()  # as if it had been killed before the end
    before = {name: (out / "runs" / name / "last.ckpt").stat().st_mtime_ns for name in names}
    again = session(tmp_path / "packs", out)
    assert again.returncode == 0, again.stderr
    assert (out / "runs" / "tiny-plain-6" / "model.safetensors").is_file()
    assert {name: (out / "runs" / name / "last.ckpt").stat().st_mtime_ns for name in names} == before

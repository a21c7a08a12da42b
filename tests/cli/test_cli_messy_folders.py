"""The commands that read folders of photos account for everything that lies in one."""

import json
import os

import pandas as pd
import pytest

from lrface.data.folders import DEEPER, LINKED, LOOSE
from lrface.data.synthetic import face
from lrface.faces.images import encode_image

USED = {"anna": 4, "bert": 4, "carl": 4}


@pytest.fixture
def messy(tmp_path):
    """Twelve images of three people; a loose one, a deeper one, a linked folder, and entries of systems."""
    root = tmp_path / "messy"
    for identity, (name, images) in enumerate(USED.items()):
        (root / name).mkdir(parents=True)
        for number in range(images):
            (root / name / f"{number}.jpg").write_bytes(encode_image(face(identity, number, seed=1)))
    for name in (".hidden/x.jpg", "@eaDir/x.jpg", "__MACOSX/x.jpg", "anna/deep/x.jpg", "loose.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_image(face(7, 0, seed=1)))
    (root / "Thumbs.db").write_bytes(b"x")
    (root / "bert" / ".DS_Store").write_bytes(b"x")
    (root / "readme.txt").write_text("x")
    os.symlink(root / "bert", root / "linked")
    return root


SYSTEM = "5 hidden or system files and folders passed over"
OTHERS = "1 files that are no images passed over"


def test_prepare(lrface, messy, tmp_path):
    done = lrface("prepare", messy, "--out", tmp_path / "store", "--detector", "none", "--workers", "1")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "15 images: 12 ok, 3 left out"
    assert lines[1:3] == [SYSTEM, OTHERS]
    assert lines[3] == "3 identities, 0 of them with a single image"
    manifest = pd.read_parquet(tmp_path / "store" / "shard-00000-of-00001" / "manifest.parquet").set_index("path")
    assert len(manifest) == 15
    reasons = manifest["reason"][manifest["status"] == "left out"].to_dict()
    assert reasons == {"loose.jpg": LOOSE, "anna/deep/x.jpg": DEEPER, "linked": LINKED}
    again = lrface("prepare", messy, "--out", tmp_path / "store", "--detector", "none", "--workers", "1")
    assert again.out == done.out


def test_what_is_left_out_is_told_by_the_first_shard_alone(lrface, messy, tmp_path):
    totals = 0
    for shard in range(2):
        done = lrface(
            "prepare",
            messy,
            "--out",
            tmp_path / "store",
            "--detector",
            "none",
            "--workers",
            "1",
            "--shard",
            f"{shard}/2",
        )
        totals += int(done.out.split(" images")[0])
        assert ("left out" in done.out) == (shard == 0)
    assert totals == 15


def test_finetune(lrface, model, messy, tmp_path):
    done = lrface("finetune", messy, "--model", model, "--out", tmp_path / "p.safetensors", "--detector", "none")
    assert done.status == 0, done.err
    assert done.out.splitlines()[0] == "12 images of 3 people, 3 left out"
    for line in (f"left out loose.jpg: {LOOSE}", f"left out linked: {LINKED}", f"note: {SYSTEM}", f"note: {OTHERS}"):
        assert line in done.err
    found = lrface("identify", messy, "--classifier", tmp_path / "p.safetensors", "--detector", "none", "--json")
    assert len(found.json["found"]) == 14
    assert found.json["refused"] == [{"photo": str(messy / "linked"), "reason": LINKED}]
    assert found.json["notes"] == [SYSTEM, OTHERS]


def test_import(lrface, model, messy, tmp_path):
    done = lrface(
        "gallery", "import", messy, "--model", model, "--detector", "none", "--gallery", tmp_path / "g", "--json"
    )
    counts = json.loads(done.out)
    assert counts["images"] == counts["added"] + counts["known"] + len(counts["left_out"]) == 15
    assert {row["reason"] for row in counts["left_out"]} == {LOOSE, LINKED}
    assert {SYSTEM, OTHERS} <= set(counts["notes"])
    assert counts["people"] == 3


def test_embed(lrface, model, messy, tmp_path):
    done = lrface("embed", messy, "--model", model, "--detector", "none", "--out", tmp_path / "e.npz")
    assert done.out.startswith("14 faces embedded, 1 images left out")
    assert f"left out {messy / 'linked'}: {LINKED}" in done.err
    assert f"note: {SYSTEM}" in done.err

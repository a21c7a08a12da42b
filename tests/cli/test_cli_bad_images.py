"""Whatever is called an image: a right answer, or one line and exit status 2."""

import io
import struct
import zlib

import numpy as np
import pytest
from fuzz_samples import chunk
from PIL import Image

from lrface.data.synthetic import face

MODEL = ("--model", "lrface-small-16px", "--detector", "none")


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated(image):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image.rotate(90), "JPEG", quality=95, exif=exif)


def alpha(image):
    image = image.convert("RGBA")
    image.putpixel((0, 0), (1, 2, 3, 0))
    return encoded(image, "PNG")


def bomb():
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(2501 * 1000)) for _ in range(20)) + packer.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


FACE = Image.fromarray(face(0, 0, seed=1))
OTHER = Image.fromarray(face(9, 0, seed=1))

#: What cannot be used, and a word of why.
REFUSED = {
    "zero.jpg": (b"", "is empty (0 bytes)"),
    "half.jpg": (encoded(FACE, "JPEG")[:900], "is truncated after"),
    "half.png": (encoded(FACE, "PNG")[:6000], "is truncated after"),
    "half.webp": (encoded(FACE, "WEBP")[:600], "half.webp"),
    "bomb.png": (bomb(), "too large: at most 100,000,000 pixels"),
    "text.jpg": (b"a letter to somebody\n" * 50, "is not an image"),
    "tiny.gif": (b"GIF89a", "tiny.gif"),
}

#: The face in other kinds of files.
SAME = {
    "cmyk.jpg": encoded(FACE.convert("CMYK"), "JPEG", quality=95),
    "animation.gif": encoded(FACE, "GIF", save_all=True, append_images=[OTHER], duration=40),
    "animation.webp": encoded(FACE, "WEBP", save_all=True, append_images=[OTHER], duration=40),
    "grey.jpg": encoded(FACE.convert("L"), "JPEG"),
    "16.png": encoded(Image.fromarray(np.asarray(FACE.convert("L")).astype(np.uint16) * 257), "PNG"),
    "alpha.png": alpha(FACE),
    "rotated.jpg": rotated(FACE),
    "palette.png": encoded(FACE.quantize(250), "PNG"),
    "pages.tiff": encoded(FACE, "TIFF", save_all=True, append_images=[OTHER], compression="tiff_lzw"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    (root / "face.png").write_bytes(encoded(FACE, "PNG"))
    (root / "folder.jpg").mkdir()
    for name, data in {**SAME, **{name: data for name, (data, _) in REFUSED.items()}}.items():
        (root / name).write_bytes(data)
    for width, height in ((1, 1), (1, 5000), (5000, 1)):
        (root / f"{width}x{height}.png").write_bytes(encoded(Image.new("RGB", (width, height), (200, 9, 90)), "PNG"))
    return root


@pytest.mark.parametrize("name", REFUSED)
def test_refused(lrface, folder, name):
    """By verify as well as by embed, which has nothing to write then."""
    reason = REFUSED[name][1]
    assert lrface("verify", folder / "face.png", folder / name, *MODEL).refused(str(folder / name), reason)
    outcome = lrface("embed", folder / name, "--out", folder / "none.npz", *MODEL)
    assert outcome.status == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert reason in last
    assert last.count(str(folder / name)) == 1
    assert not (folder / "none.npz").exists()


@pytest.mark.parametrize(("name", "reason"), [("missing.jpg", "no such"), ("folder.jpg", "directory|holds no images")])
def test_no_file(lrface, folder, name, reason):
    for outcome in (
        lrface("verify", folder / name, folder / "face.png", *MODEL),
        lrface("embed", folder / name, "--out", folder / "none.npz", *MODEL),
    ):
        assert outcome.refused(str(folder / name))
        assert any(word in outcome.err for word in reason.split("|"))


@pytest.mark.parametrize("name", SAME)
def test_another_kind_of_file(lrface, folder, name):
    outcome = lrface("verify", folder / "face.png", folder / name, *MODEL, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.json["similarity"] > 0.85


@pytest.mark.parametrize("name", ["1x1.png", "1x5000.png", "5000x1.png"])
@pytest.mark.parametrize("detector", ["none", "mtcnn"])
def test_no_face_could_be_smaller(lrface, folder, name, detector, monkeypatch):
    monkeypatch.setattr(
        "lrface.recognition.encoder.create_detector", lambda name, device: pytest.fail("no detector is needed")
    )
    outcome = lrface("verify", folder / name, folder / name, *MODEL, "--detector", detector, "--json")
    assert outcome.status == 0  # it is the same image
    assert len(outcome.json["warnings"]) >= 2
    assert "the image is flat" in outcome.json["warnings"][0]


def test_a_folder_of_all_of_them(lrface, folder, tmp_path):
    outcome = lrface("embed", folder, "--out", tmp_path / "faces.npz", *MODEL)
    assert outcome.status == 0
    used = len(SAME) + 4
    assert outcome.out == f"{used} faces embedded, {len(REFUSED)} images left out: {tmp_path / 'faces.npz'}\n"
    lines = [line for line in outcome.err.splitlines() if line.startswith("left out ")]
    assert len(lines) == len(REFUSED)
    with np.load(tmp_path / "faces.npz", allow_pickle=False) as content:
        assert content["embeddings"].shape == (used, 256)
        assert np.isfinite(content["embeddings"]).all()

"""Formats beside the common ones, and what is said of a file that cannot be read."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, features

from lrface.errors import LrfaceError
from lrface.faces import formats
from lrface.faces.images import read_image

PHONES = [
    pytest.param("AVIF", marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")),
    pytest.param("HEIF", marks=pytest.mark.skipif("HEIF" not in formats.readable(), reason="needs pillow-heif")),
]


def half(width=40, height=64):
    """Blue above, red below."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (0, 0, width, height // 2))
    return image


def noise(height=64, width=80):
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(data):
    with pytest.raises(LrfaceError) as error:
        read_image(data, "photo")
    return str(error.value)


@pytest.mark.parametrize("kind", PHONES)
def test_what_phones_write_is_read(kind, tmp_path):
    path = tmp_path / f"photo.{kind.lower()}"
    path.write_bytes(encoded(half(), kind, quality=95))
    found = read_image(path)
    assert found.shape == (64, 40, 3)
    assert np.abs(found.astype(int) - np.asarray(half())).mean() < 4


@pytest.mark.parametrize("kind", PHONES)
def test_the_rotation_of_the_container_is_applied_once(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    found = read_image(encoded(half(), kind, exif=exif.tobytes(), quality=95))
    assert found.shape == (40, 64, 3)
    assert found[20, 5, 0] > 200
    assert found[20, -5, 2] > 200


@pytest.mark.skipif("HEIF" not in formats.readable(), reason="needs pillow-heif")
def test_the_main_image_of_several_is_taken():
    several = encoded(
        half(), "HEIF", save_all=True, append_images=[Image.new("RGB", (48, 48), "lime")], primary_index=1
    )
    assert read_image(several).shape == (48, 48, 3)


@pytest.mark.parametrize("kind", PHONES)
def test_the_limits_hold_for_them(kind, monkeypatch):
    monkeypatch.setattr("lrface.faces.images.MAX_PIXELS", 40 * 64 - 1)
    assert "too large: 40 x 64 pixels" in refusal(encoded(half(), kind))


@pytest.mark.parametrize("kind", PHONES)
def test_a_cut_one_is_said_to_be_cut(kind):
    data = encoded(noise(), kind)
    assert f"truncated after 900 of {len(data):,} bytes" in refusal(data[:900])


def test_without_pillow_heif_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    formats.readable.cache_clear()
    try:
        said = refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60))
        assert "HEIF" not in formats.readable()
    finally:
        monkeypatch.undo()
        formats.readable.cache_clear()
    assert "HEIC" in said
    assert "pip install 'lrface[heic]'" in said


def test_without_avif_in_pillow_an_upgrade_is_named(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    formats.readable.cache_clear()
    try:
        said = refusal(b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf" + bytes(60))
    finally:
        monkeypatch.undo()
        formats.readable.cache_clear()
    assert "AVIF" in said
    assert "--upgrade pillow" in said


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty (0 bytes)"),
        (b"<!DOCTYPE html><p>", "a web page (HTML)"),
        (b"see the other folder\n", "text"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(60), "a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "a video"),
        (bytes(range(128, 192)), "of an unknown kind, and begins with the bytes 80 81 82"),
    ],
)
def test_what_a_file_is_that_is_no_image(data, what):
    assert what in refusal(data)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("PPM", {}), ("TIFF", {}), ("JPEG", {"quality": 95})]
)
def test_a_cut_file_tells_its_rows(kind, options):
    """Rows of noise take about the same bytes each, so that the half of the file has about the half of them."""
    data = encoded(noise(256, 80), kind, **options)
    said = refusal(data[: len(data) // 2])
    assert said.startswith("photo is truncated after ")
    rows, total = (int(word) for word in said.split(" after ")[1].split(" rows")[0].split(" of "))
    assert total == 256
    assert 100 <= rows <= 130


def test_black_rows_count_as_rows():
    image = Image.new("RGB", (80, 256))
    data = encoded(image, "BMP")
    assert "truncated after 128 of 256 rows" in refusal(data[: 54 + 128 * 240])


def test_a_cut_web_picture_tells_its_bytes():
    data = encoded(noise(), "WEBP")
    assert f"truncated after 500 of {len(data):,} bytes" in refusal(data[:500])


def test_a_file_that_is_whole_and_wrong_is_damaged_not_truncated():
    data = bytearray(encoded(noise(), "PNG"))
    data[len(data) // 2] ^= 255
    assert "damaged" in refusal(bytes(data))

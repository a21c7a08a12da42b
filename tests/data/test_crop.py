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


PLAIN = {
    "jpg": encoded(face(1, 0, seed=1), format="JPEG", quality=90),
    "progressive jpg": encoded(face(1, 0, seed=1), format="JPEG", progressive=True),
    "png": encoded(face(1, 0, seed=1), format="PNG"),
}
NOT_PLAIN = {
    "webp": encoded(face(1, 0, seed=1), format="WEBP"),
    "bmp": encoded(face(1, 0, seed=1), format="BMP"),
    "grey jpg": encoded(face(1, 0, seed=1)[:, :, 0], format="JPEG"),
    "cmyk jpg": encoded(Image.fromarray(face(1, 0, seed=1)).convert("CMYK"), format="JPEG"),
    "png with alpha": encoded(Image.fromarray(face(1, 0, seed=1)).convert("RGBA"), format="PNG"),
    "png with a transparent colour": encoded(face(1, 0, seed=1), format="PNG", transparency=(0, 0, 0)),
    "16-bit png": encoded(face(1, 0, seed=1)[:, :, 0].astype(np.uint16) * 257, format="PNG"),
    "palette gif": encoded(face(1, 0, seed=1), format="GIF"),
    "rotated by exif": encoded(face(1, 0, seed=1), format="JPEG", exif=Image.Exif() | {0x0112: 6})
    if False
    else None,
    "larger": encoded(face(1, 0, seed=1, size=128), format="JPEG"),
    "not square": encoded(face(1, 0, seed=1)[:100], format="PNG"),
}

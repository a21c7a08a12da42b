"""What is known of a face before it is compared."""

import json

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces import quality as module
from lrface.faces.calibration import Calibration
from lrface.faces.degrade import resize
from lrface.faces.quality import Quality, assess, is_flat

KNOTS = np.array([4.0, 8.0, 16.0])


@pytest.fixture
def calibration():
    table = {0.01: np.full((3, 3), 0.5)}
    return Calibration(KNOTS, table, table, np.zeros((2, 4)), np.array([0.05, 0.4, 1.0]))


@pytest.fixture
def crop():
    return face(0, 0, seed=1)


def pretend(monkeypatch, value):
    monkeypatch.setattr(module, "detail", lambda image: value)


@pytest.mark.parametrize(
    ("pixels", "detail", "resolution"),
    [(8, 7.5, 8), (8, 12, 8), (112, 9, 9), (24, 20, 24), (24, 12, 12), (300, 32, 300), (300, 29, 300), (300, 25, 25),
     (12, 7, 7)],
)  # fmt: skip
def test_pixels_are_believed_unless_there_is_clearly_less_detail(monkeypatch, crop, pixels, detail, resolution):
    pretend(monkeypatch, detail)
    found = assess(crop, pixels)
    assert (found.pixels, found.resolution) == (pixels, resolution)


def test_a_small_face_enlarged_is_small(crop):
    for side in (6, 10):
        enlarged = assess(resize(resize(crop, side), 112, "bicubic"))
        assert enlarged.pixels == 112
        assert side / 1.6 < enlarged.resolution < side * 1.6
    assert "blurred or enlarged, 112 pixels with the detail of" in assess(resize(resize(crop, 5), 112)).warnings[0]


def test_the_shorter_side_is_that_of_a_crop_of_unknown_origin(crop):
    assert assess(crop[:14, :17]).pixels == 14


def test_warnings(monkeypatch, crop, calibration):
    pretend(monkeypatch, 32.0)
    assert assess(crop).warnings == ()
    assert assess(crop).usable
    assert assess(crop, 8).usable
    (small,) = assess(crop, 7.4).warnings
    assert "only 7.4 pixels of face" in small
    (flat,) = assess(np.full((50, 50, 3), 90, np.uint8)).warnings
    assert "flat" in flat
    assert assess(crop[:, :60], whole=True).warnings == ("60 x 112 pixels are an extreme shape for a face",)
    assert assess(crop[:, :60]).warnings == ()
    assert "no face was found" in assess(crop, missed=True).warnings[0]
    assert not assess(crop, missed=True).usable
    # a model that is blind at 5 pixels says so, wherever the general limit lies
    monkeypatch.setattr(module, "TOO_SMALL", 1.0)
    assert assess(crop, 5).usable
    assert not assess(crop, 5, calibration).usable


def test_recognisability(monkeypatch, crop, calibration):
    pretend(monkeypatch, 32.0)
    assert assess(crop, 8).recognisability is None
    assert assess(crop, 8, calibration).recognisability == pytest.approx(0.4)
    assert assess(crop, 100, calibration).recognisability == 1
    assert assess(np.full((50, 50, 3), 90, np.uint8), 100, calibration).recognisability == 0


def test_flat(crop):
    assert not is_flat(crop)
    rng = np.random.default_rng(0)
    assert is_flat((120 + rng.integers(-3, 4, crop.shape)).astype(np.uint8))
    assert not is_flat(np.uint8([[[0, 0, 0], [255, 255, 255]]]))


def test_json_brings_it_back(crop):
    found = assess(crop, 6)
    assert found.warnings
    again = Quality.from_dict(json.loads(json.dumps({**found.as_dict(), "later": 1})))
    assert again == found

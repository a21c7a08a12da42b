import numpy as np
import pytest

from lrface.data.sets.pairs import Pair
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.eval.native import BORDER, Enlarging, reduce_photo, table, true_landmarks, verify_native
from lrface.faces.align import TEMPLATE, alignment
from lrface.faces.detect import Face
from lrface.faces.images import encode_image
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing


class Finder:
    """Finds the template in the middle of an image, off by ``error`` pixels of it; nothing in images above ``limit``."""

    name = "finder"

    def __init__(self, error=0.0, side=112, limit=1000):
        self.error, self.side, self.limit = error, side, limit

    def detect(self, image):
        if len(image) > self.limit:
            return []
        middle = (np.array(image.shape[1::-1]) - 1) / 2
        points = (TEMPLATE - 55.5) * self.side / 112 + middle + [self.error, 0]
        return [Face(np.float32([*points.min(0), *points.max(0)]), np.float32(points), 0.9)]


class Pixels:
    """A network: the pixels themselves."""

    def __call__(self, batch):
        return batch.reshape(len(batch), -1)


@pytest.fixture
def photos(tmp_path):
    for identity, name in enumerate("abcdefghijkl"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encode_image(face(identity, 0, seed=1), "png"))
    return tmp_path


@pytest.mark.parametrize("side", [12, 16, 40])
def test_the_crop_of_a_reduced_photo_has_that_side(side):
    image = np.random.default_rng(0).integers(0, 256, (250, 200, 3), np.uint8)
    landmarks = TEMPLATE * 0.9 + [50, 60]
    small, places = reduce_photo(image, landmarks, side)
    assert 112 / np.hypot(*alignment(places)[0, :2]) == pytest.approx(side, rel=0.03)
    height, width = np.array(small.shape[:2]) - 2 * BORDER
    assert (width / 200, height / 250) == pytest.approx((side / (112 * 0.9),) * 2, abs=0.01)
    # A point keeps its part of the image.
    np.testing.assert_allclose((places - BORDER + 0.5) / [width, height], (landmarks + 0.5) / [200, 250])


def test_what_is_found_and_how_far_off(photos):
    pairs = [Pair(f"{a}/1.png", f"{b}/1.png", a == b, 0) for a, b in zip("abcdefghijkl", "abcdefbcdefa", strict=True)]
    landmarks = true_landmarks(photos, pairs, Finder())
    assert len(landmarks) == 12
    embedder = Embedder(Pixels(), Preprocessing(16), "digest", {})
    row = verify_native(embedder, Finder(error=1, side=28), photos, pairs, landmarks, 28)
    assert (row.found, row.side, row.detector) == (1.0, 28, "finder")
    assert row.landmark_error == pytest.approx(4, rel=0.02)  # one pixel of 28 is four of 112
    assert row.result.pairs == 12
    assert row.reduction in table([row])
    assert row.as_dict()["landmark_error"] == row.landmark_error
    far = verify_native(embedder, Finder(error=28, side=28), photos, pairs, landmarks, 28)
    none = verify_native(embedder, Finder(limit=10), photos, pairs, landmarks, 28)
    for other in (far, none):
        assert other.found == 0
        assert np.isnan(other.landmark_error)
    with pytest.raises(LrfaceError, match=r"a/1\.png: finder found no face in the full photo"):
        true_landmarks(photos, pairs, Finder(limit=10))


def test_a_detector_of_large_faces_is_shown_the_photo_enlarged():
    class Large:
        name = "large"

        def __init__(self, least):
            self.least, self.seen = least, []

        def detect(self, image):
            self.seen.append(len(image))
            return Finder(side=0.5 * len(image)).detect(image) if len(image) >= self.least else []

    image = np.zeros((50, 50, 3), np.uint8)
    expected = Finder(side=25).detect(image)[0]
    for least, seen in ((50, [50]), (100, [50, 100]), (200, [50, 100, 200])):
        large = Large(least)
        (face,) = Enlarging(large).detect(image)
        assert large.seen == seen
        np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=1e-4)
        np.testing.assert_allclose(face.box, expected.box, atol=0.5)
    assert Enlarging(Large(1000)).detect(image) == []

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.detect import search
from lrface.faces.detect.parts import Found
from lrface.faces.detect.search import Search, Tuning, fitting, merge, padded, scales, tiles

#: Eyes, nose and corners of the mouth, as parts of a square.
PLACES = ((0, 0.3), (1, 0.3), (0.5, 0.5), (0, 0.8), (1, 0.8))

TUNING = Tuning(threshold=0.4, wanted=17, best=50)


class Squares:
    """A network that sees white squares of 12 to 120 pixels on black, each once, with its score in the blue channel."""

    def __init__(self):
        self.shapes = []

    def find(self, images, threshold):
        return [self._find(image, threshold) for image in images]

    def _find(self, image, threshold):
        import cv2

        self.shapes.append(image.shape[:2])
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
        boxes, landmarks = [], []
        for x, y, width, height, _ in stats[1:]:
            score = float(np.median(image[y : y + height, x : x + width, 2])) / 255
            if min(width, height) >= 12 and max(width, height) <= 120 and score > threshold:
                boxes.append([x, y, x + width, y + height, score])
                landmarks.append([[x - 0.5 + width * i, y - 0.5 + height * j] for i, j in PLACES])
        return Found(np.float32(boxes).reshape(-1, 5), np.float32(landmarks).reshape(-1, 5, 2))


def draw(shape, *squares):
    image = np.zeros((*shape, 3), np.uint8)
    for x, y, side, score in squares:
        image[y : y + side, x : x + side] = (255, 0, round(255 * score))
    return image


def found_in(image, min_face=None, network=None):
    return Search("squares", network or Squares(), TUNING, min_face).detect(image)


def test_faces_of_all_sizes_are_found_once():
    squares = [(10, 20, 10, 0.9), (100, 40, 30, 0.8), (200, 60, 120, 0.7), (400, 30, 400, 0.6)]
    faces = found_in(draw((500, 900), *squares))
    assert [round(face.score, 1) for face in faces] == [0.9, 0.8, 0.7, 0.6]
    for face, (x, y, side, _) in zip(faces, squares, strict=True):
        np.testing.assert_allclose(face.box, [x, y, x + side, y + side], atol=0.05 * side + 0.5)
        np.testing.assert_allclose(face.landmarks[[0, 4], 0], [x - 0.5, x + side - 0.5], atol=0.05 * side + 0.5)
        assert face.box.dtype == face.landmarks.dtype == np.float32


def test_large_images_are_searched_in_tiles_and_a_face_on_their_border_is_one(monkeypatch):
    monkeypatch.setattr(search, "TILE", 256)
    monkeypatch.setattr(search, "OVERLAP", 64)
    squares = [(x, y, 20, 0.9) for x in range(15, 600, 47) for y in range(11, 300, 43)]
    network = Squares()
    faces = found_in(draw((330, 640), *squares), network=network)
    assert max(max(shape) for shape in network.shapes) <= 257
    centres = sorted((round(face.box[:2].mean()), round(face.box[0])) for face in faces)
    assert len(faces) == len(squares)
    assert len(set(centres)) == len(squares)


def test_the_search_ends_early_where_only_the_large_face_matters():
    image = draw((500, 900), (100, 40, 300, 0.8), (10, 20, 10, 0.9), (500, 100, 150, 0.7))
    every, few = Squares(), Squares()
    search = Search("squares", every, TUNING)
    (best, main, beside), search._network = search.detect(image), few
    found = search.detect(image, lambda faces: max(faces, key=lambda face: np.ptp(face.box)))
    assert few.shapes == every.shapes[:-2]  # not the finest scale, of two tiles
    assert best.score == pytest.approx(0.9, abs=0.01)  # the smallest face is not looked for
    for face, same in zip(found, (main, beside), strict=True):
        np.testing.assert_allclose(face.landmarks, same.landmarks, atol=1e-4)
        np.testing.assert_allclose(face.box, same.box, atol=1e-4)
    assert len(search.detect(image, lambda faces: None)) == 3
    small = draw((500, 900), (100, 40, 60, 0.8), (10, 20, 10, 0.9))
    assert len(search.detect(small, lambda faces: faces[0])) == 2  # finer scales may change its landmarks


def test_the_smallest_face_can_be_told():
    squares = [(50, 50, 10, 0.9), (200, 100, 40, 0.8)]
    image = draw((400, 600), *squares)
    assert len(found_in(image)) == 2
    assert [round(face.score, 1) for face in found_in(image, 20)] == [0.8]
    for size in (3, 20_000, float("nan")):
        with pytest.raises(LrfaceError, match=r"a smallest face of .* makes no sense"):
            Search("squares", Squares(), TUNING, size)


def test_a_weak_face_counts_only_where_it_is_the_only_one_of_a_small_image():
    weak, strong = (20, 20, 12, 0.3), (60, 60, 14, 0.9)
    assert [round(face.score, 1) for face in found_in(draw((100, 100), weak))] == [0.3]
    assert [round(face.score, 1) for face in found_in(draw((100, 100), weak, strong))] == [0.9]
    assert found_in(draw((400, 400), weak)) == []
    assert found_in(draw((100, 100), (20, 20, 12, 0.2))) == []


def test_scales():
    assert scales(84, 84, 17) == [5, 3, 1.25]  # enlarged as far as it goes, and a second view
    assert scales(312, 416, 14)[0] == pytest.approx(1.4, rel=0.02)
    assert scales(150, 150, 17) == pytest.approx(
        [(250_000 / 150**2) ** 0.5, (250_000 / 150**2) ** 0.5 * 0.6, 0.833], rel=0.01
    )
    assert scales(1080, 1920, 17) == pytest.approx([1.7, 0.425, 0.10625])  # what the smallest face needs
    assert scales(6000, 8000, 17)[0] == pytest.approx((8e6 / 48e6) ** 0.5)  # within the budget
    assert scales(6000, 8000, 17, 10)[0] == pytest.approx(1.7)  # unless told
    assert all(factor * 8000 > 320 for factor in scales(6000, 8000, 17)[:-1])
    assert scales(6000, 8000, 17)[-1] * 8000 <= 320


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("length", [1, 600, 1024, 1025, 5000])
def test_tiles_cover_the_length_and_overlap(length, scale):
    parts = tiles(length, scale)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all((end - start) * scale <= 1024.5 or len(parts) == 1 for start, end in parts)
    assert len({end - start for start, end in parts}) == 1
    for (_, end), (start, _) in pairwise(parts):
        assert 95 <= (end - start) * scale <= 110 + 2 * scale


def test_merging_takes_the_score_of_one_and_the_landmarks_of_the_good_views():
    boxes = np.float32([[0, 0, 10, 10, 0.9], [0, 0, 10, 11, 0.6], [0, 1, 10, 10, 0.3], [30, 30, 40, 40, 0.5]])
    landmarks = np.stack([np.full((5, 2), value, np.float32) for value in (1, 2, 8, 4)])
    merged = merge(Found(boxes, landmarks), np.array([10, 50, 60, 50]), 50)
    np.testing.assert_allclose(merged.boxes, [[0, 0, 10, 11, 0.9], [30, 30, 40, 40, 0.5]])
    np.testing.assert_allclose(merged.landmarks[:, 0, 0], [(0.6 * 2 + 0.3 * 8) / 0.9, 4], rtol=1e-6)


def test_a_small_face_before_a_large_one_is_another():
    boxes = np.float32([[0, 0, 100, 100, 0.9], [10, 10, 30, 30, 0.6], [5, 5, 85, 85, 0.5]])
    merged = merge(Found(boxes, np.zeros((3, 5, 2), np.float32)), np.full(3, 50.0), 50)
    assert merged.boxes[:, 4] == pytest.approx([0.9, 0.6])


def test_long_sides_are_resized_to_whole_blocks():
    assert [fitting(side) for side in (0.2, 200.4, 256, 271.9, 280, 1024, 1040)] == [1, 200, 256, 256, 288, 1024, 1024]
    network, image = Squares(), draw((300, 410), (40, 60, 20, 0.9))
    (face,) = Search("squares", network, replace(TUNING, blocks=True)).detect(image)
    assert network.shapes[-1] == (512, 704)
    found_in(image, network=network)
    assert network.shapes[-1] == (510, 697)
    np.testing.assert_allclose(face.box, [40, 60, 60, 80], atol=0.6)


def test_padding():
    images = np.full((2, 33, 64, 3), 7, np.uint8)
    assert padded(images).shape == (2, 64, 64, 3)
    assert (padded(images)[:, :33] == 7).all()
    assert (padded(images)[:, 33:] == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (7, 20_000), (8, 8), (9, 12_000)])
def test_odd_shapes_hold_no_face(shape):
    assert found_in(np.zeros((*shape, 3), np.uint8)) == []


class Everywhere:
    """A network that sees a face at every tenth pixel, as in a texture, and counts what it is shown."""

    def __init__(self):
        self.pixels, self.sides = 0, []

    def find(self, images, threshold):
        height, width = images.shape[1:3]
        self.pixels += height * width
        self.sides += [height, width]
        y, x = np.mgrid[0:height:10, 0:width:10].reshape(2, -1)[:, :500].astype(np.float32)
        boxes = np.stack([x, y, x + 9, y + 9, np.full_like(x, 0.9)], axis=1)
        return [Found(boxes, boxes[:, None, :2] + 9 * np.float32(PLACES)) for _ in images]


@pytest.mark.parametrize("shape", [(300, 400), (8, 20_000), (20_000, 5_000)])
def test_work_and_faces_are_bounded(shape, monkeypatch):
    """However large the image, and whatever the network sees in it."""
    monkeypatch.setattr(search, "MOST_FOUND", 400)
    network = Everywhere()
    faces = found_in(np.broadcast_to(np.uint8(0), (*shape, 3)), network=network)
    assert network.pixels < 2 * search.BUDGET  # tiles overlap
    assert max(network.sides) <= search.TILE
    assert 0 < len(faces) <= 400


def test_frames_are_searched_together_as_one_by_one():
    images = [draw((500, 900), (10 + 40 * shift, 20, 10, 0.9), (200, 60, 120, 0.7 + 0.1 * shift)) for shift in range(3)]
    images[1][:] = 0
    network = Squares()
    together = Search("squares", network, TUNING).detect_all(images)
    assert [len(faces) for faces in together] == [2, 0, 2]
    for faces, image in zip(together, images, strict=True):
        for face, same in zip(faces, found_in(image), strict=True):
            np.testing.assert_array_equal(face.box, same.box)
            np.testing.assert_array_equal(face.landmarks, same.landmarks)
    assert Search("squares", network, TUNING).detect_all([image[:5] for image in images]) == [[], [], []]


def test_faces_are_found_near_a_place_and_not_elsewhere():
    squares = [(10, 20, 10, 0.9), (300, 100, 20, 0.8), (323, 103, 14, 0.7), (600, 300, 90, 0.6)]
    image, network = draw((500, 900), *squares), Squares()
    near = Search("squares", network, TUNING).detect_near
    faces = near(image, np.array([[6, 22, 16, 32], [303, 96, 323, 116], [610, 280, 700, 370]]))
    assert [round(face.score, 1) for face in faces] == [
        0.9,
        0.8,
        0.6,
    ]  # the third is in the second window, not in the box
    for face, (x, y, side, _) in zip(faces, [*squares[:2], squares[3]], strict=True):
        np.testing.assert_allclose(face.box, [x, y, x + side, y + side], atol=0.05 * side + 0.5)
    assert set(network.shapes) == {(128, 128)}
    assert [
        round(face.score, 1) for face in near(image, np.array([[560.0, 250, 620, 310]]))
    ] == []  # cut by the window's edge
    assert near(image, np.array([[1000.0, 20, 1020, 40]])) == near(image, np.zeros((0, 4))) == []


def test_many_places_are_searched_as_the_whole_image():
    network = Squares()
    image = draw((500, 900), (10, 20, 12, 0.9))
    boxes = np.tile([[400.0, 100, 420, 120]], (200, 1))
    assert [round(face.score, 1) for face in Search("squares", network, TUNING).detect_near(image, boxes)] == [0.9]
    assert (128, 128) not in network.shapes

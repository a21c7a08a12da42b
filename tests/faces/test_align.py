import cv2
import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.faces.align import OTHER_CROPS, TEMPLATE, alignment, norm_crop, recrop, umeyama


def literal_umeyama(source, target):
    """Umeyama 1991, Eq. 34-42, by singular value decomposition."""
    source, target = source.astype(np.float64), target.astype(np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    covariance = b.T @ a / len(source)
    u, d, vt = np.linalg.svd(covariance)
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / (a**2).sum(1).mean()
    return np.hstack([scale * rotation, (target_mean - scale * rotation @ source_mean)[:, None]])


def picture(seed=0, height=180, width=240):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def face_points(seed, angle=0.0):
    """The template somewhere in a picture, jittered as a detector would."""
    rng = np.random.default_rng(seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (TEMPLATE - 56) @ turn.T * rng.uniform(0.4, 1.4) + rng.uniform(70, 110, 2) + rng.normal(0, 2, (5, 2))


@pytest.mark.parametrize("points", [2, 5, 9])
@pytest.mark.parametrize("seed", range(10))
def test_umeyama_equals_the_svd(points, seed):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 30, (points, 2)), rng.normal(0, 30, (points, 2))
    np.testing.assert_allclose(umeyama(source, target), literal_umeyama(source, target), atol=1e-9)


@pytest.mark.parametrize("points", [2, 5])
@pytest.mark.parametrize("size", [16, 100, 112, 160, 224])
def test_alignment_scales_the_template(points, size):
    landmarks = face_points(3, angle=0.4)[:points]
    expected = literal_umeyama(landmarks, TEMPLATE[:points].astype(np.float64) * size / 112)
    np.testing.assert_allclose(alignment(landmarks, size), expected, atol=1e-6)


def test_two_eyes_land_exactly_on_the_template():
    eyes = np.array([[60.0, 80.0], [110.0, 70.0]])
    moved = np.hstack([eyes, np.ones((2, 1))]) @ alignment(eyes).T
    np.testing.assert_allclose(moved, TEMPLATE[:2], atol=1e-5)


def test_landmarks_on_the_template_leave_the_picture_alone():
    image = picture(height=112, width=112)
    assert np.array_equal(norm_crop(image, TEMPLATE), image)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore:`estimate` is deprecated")
def test_norm_crop_equals_insightface_at_112(seed):
    reason = "insightface is not installed, so that its norm_crop cannot be compared with"
    face_align = pytest.importorskip("insightface.utils.face_align", reason=reason, exc_type=ImportError)
    image = cv2.GaussianBlur(picture(seed), (0, 0), 2)
    landmarks = 70 + 1.5 * face_points(seed, angle=seed * 0.3 - 0.6).astype(np.float32)
    landmarks = 90 + (landmarks - landmarks.mean(0)) * 1.2 / np.hypot(*umeyama(TEMPLATE, landmarks)[0, :2])  # reduced
    np.testing.assert_allclose(alignment(landmarks), face_align.estimate_norm(landmarks, 112), atol=1e-4)
    difference = np.abs(norm_crop(image, landmarks).astype(int) - face_align.norm_crop(image, landmarks, 112))
    # it computes in float32
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_a_turned_picture_gives_the_same_crop():
    image = cv2.GaussianBlur(picture(height=200, width=200), (0, 0), 2)
    landmarks = np.rint(face_points(1))
    turned = np.rot90(image, -1).copy()  # clockwise: x' = height - 1 - y, y' = x
    turned_landmarks = np.stack([199 - landmarks[:, 1], landmarks[:, 0]], axis=1)
    difference = norm_crop(image, landmarks).astype(int) - norm_crop(turned, turned_landmarks)
    # OpenCV 4 rounds coordinates to 1/32 pixel
    assert np.abs(difference).max() <= 3


def test_outside_the_picture_is_black():
    white = np.full((40, 40, 3), 255, np.uint8)
    crop = norm_crop(white, (TEMPLATE - 56) * 0.5 + 20)
    assert crop.shape == (112, 112, 3)
    assert (crop[0] == 0).all()
    assert (crop[56, 56] == 255).all()


@pytest.mark.parametrize("shape", [(3, 2), (5, 3), (2, 5), (10,), (68, 2), (0, 2)])
def test_other_numbers_of_points_are_refused(shape):
    with pytest.raises(LrfaceError, match="give 5 points or 2 eyes"):
        alignment(np.ones(shape))


@pytest.mark.parametrize("value", [7.0, np.nan, np.inf])
@pytest.mark.parametrize("points", [2, 5])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_degenerate_landmarks_are_refused(points, value):
    with pytest.raises(LrfaceError, match="coincide or are not finite"):
        norm_crop(picture(), np.full((points, 2), value))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_one_landmark_that_is_not_a_number_is_refused():
    landmarks = TEMPLATE.copy()
    landmarks[3, 1] = np.nan
    with pytest.raises(LrfaceError, match="not finite"):
        alignment(landmarks)


def test_another_network_s_crop_has_the_eyes_where_it_wants_them():
    crop = np.zeros((112, 112, 3), np.uint8)
    for x, y in TEMPLATE[:2]:
        cv2.circle(crop, (round(float(x)), round(float(y))), 2, (255, 255, 255), -1)
    chip = recrop(crop, "dlib", 150)
    assert chip.shape == (150, 150, 3)
    for half, (x, y) in zip((slice(0, 75), slice(75, 150)), OTHER_CROPS["dlib"] * 150, strict=True):
        rows, columns = np.nonzero(chip[:, half, 0] > 127)
        assert np.hypot(columns.mean() + half.start - x, rows.mean() - y) < 1.5


def test_another_network_s_crop_repeats_the_border_where_it_reaches_beyond():
    crop = np.full((112, 112, 3), 77, np.uint8)
    assert (recrop(crop, "dlib", 150) == 77).all()


def test_enlarging_is_bicubic():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    landmarks = TEMPLATE * 0.25 + 6
    expected = cv2.warpAffine(image, alignment(landmarks), (112, 112), flags=cv2.INTER_CUBIC)
    assert np.array_equal(norm_crop(image, landmarks), expected)


@pytest.mark.parametrize("times", [2, 5, 20])
def test_a_small_crop_is_the_mean_of_what_its_pixels_cover(times):
    size = 16
    image = np.random.default_rng(0).integers(0, 256, (size * times, size * times, 3), np.uint8)
    # The crop covers the image exactly: the centre of its pixel (i, j) lies in the middle of a block.
    landmarks = TEMPLATE * (size * times / 112) + (times - 1) / 2
    means = image.reshape(size, times, size, times, 3).mean((1, 3))
    assert np.abs(norm_crop(image, landmarks, size) - means).max() <= 1


def test_stripes_finer_than_a_pixel_are_grey():
    image = np.zeros((640, 640, 3), np.uint8)
    image[:, ::2] = 255
    crop = norm_crop(image, TEMPLATE * 5 + 20, 16)
    assert np.abs(crop.astype(int) - 127).max() < 20

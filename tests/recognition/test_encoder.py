"""From an image to an embedding, and from two to an answer."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, norm_crop
from lrface.faces.degrade import Degradation
from lrface.faces.detect import Face
from lrface.models import create
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.recognition.encoder import FaceEncoder, ImageError
from lrface.recognition.finder import TINY
from lrface.runtimes.torch import TorchNetwork

THRESHOLDS = {"0.01": 0.25, "0.001": 0.5}


class Finder:
    """A detector that knows where the faces are."""

    name = "finder"

    def __init__(self, *faces):
        self.faces = list(faces)
        self.images = []

    def detect(self, image):
        self.images.append(image)
        return self.faces


def found(x, y, side, score=0.9):
    box = np.float32([x, y, x + side, y + side])
    return Face(box, (TEMPLATE * (side / 112) + [x, y]).astype(np.float32), score)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create("resnet18", width=8, embedding_dim=32).eval()


@pytest.fixture
def make(network, monkeypatch):
    """``make(detector="none", finder=None, card=...)``: an encoder around the small network."""

    def build(detector="none", finder=None, **card):
        preprocessing = Preprocessing(16, degradation=Degradation(16))
        embedder = Embedder(TorchNetwork(network), preprocessing, "digest", {"thresholds": THRESHOLDS, **card})
        monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: finder)
        return FaceEncoder(embedder, detector)

    return build


@pytest.fixture(scope="module")
def faces():
    return [face(identity, 0, seed=1) for identity in range(5)]


def encode(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def test_the_embedding_is_the_normalised_sum_over_both_flips(make, network, faces):
    low = np.stack([Degradation(16)(image) for image in faces])
    total = 0
    for view in (low, low[:, :, ::-1]):
        values = torch.tensor((view.transpose(0, 3, 1, 2).astype(np.float64) - 127.5) / 127.5).float()
        with torch.no_grad():
            total = total + network(values).double().numpy()
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    got = make().embed(faces)
    assert got.shape == (5, 32)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


def test_batches_do_not_matter(make, faces):
    whole = make().embed(faces, batch_size=64)
    for size in (1, 2, 5):
        np.testing.assert_allclose(make().embed(faces, batch_size=size), whole, atol=1e-6)
    np.testing.assert_allclose(make().embed(faces[3:4])[0], whole[3], atol=1e-6)


def test_a_face_and_its_mirror_image_are_one(make, faces):
    a, b = make().embed([faces[0], np.ascontiguousarray(faces[0][:, ::-1])])
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_paths_bytes_and_arrays_are_the_same(make, faces, tmp_path):
    data = encode(Image.fromarray(faces[0]), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    rows = make().embed([faces[0], data, tmp_path / "a.png", str(tmp_path / "a.png")])
    np.testing.assert_array_equal(rows, np.repeat(rows[:1], 4, axis=0))


def test_grey_alpha_and_turned_images_work(make, faces):
    picture = Image.fromarray(faces[0])
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    opaque = picture.copy()
    opaque.putalpha(255)
    sideways = picture.transpose(Image.Transpose.ROTATE_90)
    plain, alpha, exif = make().embed(
        [faces[0], encode(opaque, "PNG"), encode(sideways, "PNG", exif=turned)],
    )
    np.testing.assert_allclose(alpha, plain, atol=1e-6)
    np.testing.assert_allclose(exif, plain, atol=1e-6)
    grey = np.asarray(picture.convert("L"))
    a, b = make().embed([encode(picture.convert("L"), "PNG"), np.repeat(grey[:, :, None], 3, axis=2)])
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_face_is_cut_out_of_a_photo(make, faces):
    photo = np.full((300, 400, 3), 90, np.uint8)
    photo[100:212, 50:162] = faces[0]
    finder = Finder(found(50, 100, 112))
    encoder = make("mtcnn", finder)
    crop, note = encoder.crop(photo)
    assert note is None
    assert crop.shape == (112, 112, 3)
    np.testing.assert_array_equal(crop, norm_crop(photo, finder.faces[0].landmarks, 112))
    np.testing.assert_allclose(encoder.embed([photo]), make().embed([faces[0]]), atol=1e-3)
    assert finder.images[0] is photo


def test_of_several_faces_the_rule_decides(make, network, monkeypatch):
    photo = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    large, central, sure = found(0, 0, 100), found(120, 70, 60), found(250, 10, 40, score=0.99)
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Finder(large, central, sure))
    embedder = make().embedder
    for rule, wanted in (("largest", large), ("central", central), ("score", sure)):
        monkeypatch.setattr(
            "lrface.recognition.encoder.create_detector", lambda name, device: Finder(large, central, sure)
        )
        crop, _ = FaceEncoder(embedder, "dlib", rule).crop(photo)
        np.testing.assert_array_equal(crop, norm_crop(photo, wanted.landmarks, 112))


def test_a_tiny_image_is_the_face_itself_and_says_so(make):
    encoder = make("mtcnn", finder=None)  # asking it for anything would fail
    rng = np.random.default_rng(0)
    for shape in ((7, 7), (20, 5), (1, 1), (TINY - 1, 500)):
        image = rng.integers(0, 256, (*shape, 3), np.uint8)
        crop, note = encoder.crop(image)
        assert crop is image
        assert f"{shape[1]} x {shape[0]} pixels, taken as the face itself" in note
        assert np.isfinite(encoder.embed([image])).all()
    finder = Finder(found(0, 0, TINY))
    crop, note = make("mtcnn", finder).crop(np.zeros((TINY, TINY, 3), np.uint8))
    assert note is None
    assert len(finder.images) == 1


def test_an_image_without_a_face_is_named(make, tmp_path):
    encoder = make("mtcnn", Finder())
    (tmp_path / "wall.png").write_bytes(encode(Image.new("RGB", (90, 90)), "PNG"))
    with pytest.raises(ImageError, match=r"wall\.png: finder found no face.*--detector none"):
        encoder.embed([tmp_path / "wall.png"])
    with pytest.raises(ImageError, match="the image: finder found no face"):
        encoder.embed([np.zeros((90, 90, 3), np.uint8)])


def test_landmarks_that_coincide_are_the_images_fault(make):
    broken = Face(np.float32([0, 0, 50, 50]), np.zeros((5, 2), np.float32), 0.9)
    with pytest.raises(ImageError, match=r"the image: .*landmarks coincide"):
        make("mtcnn", Finder(broken)).crop(np.zeros((90, 90, 3), np.uint8))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8), np.zeros((3, 20, 20), np.uint8),
        np.zeros((20, 20, 3), np.float32), np.zeros((0, 20, 3), np.uint8), np.zeros((2, 20, 20, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{list(image.shape)}",
)  # fmt: skip
def test_arrays_that_are_no_image(make, image):
    for detector in ("none", "mtcnn"):
        with pytest.raises(ImageError, match=r"must be uint8 RGB \[height, width, 3\], not"):
            make(detector).embed([image])


@pytest.mark.parametrize(
    ("image", "reason"), [("none.jpg", "no such image"), (b"", "0 bytes"), (b"text", "not an image")]
)
def test_images_that_cannot_be_read(make, image, reason):
    with pytest.raises(ImageError, match=reason):
        make().embed([image])


def test_nothing_to_embed(make):
    with pytest.raises(LrfaceError, match="no images"):
        make().embed([])


def test_thresholds(make):
    encoder = make()
    assert encoder.thresholds == {0.01: 0.25, 0.001: 0.5}
    assert encoder.threshold(0.001) == 0.5
    with pytest.raises(LrfaceError, match=r"rate of 0\.1: choose one from 0\.001 to 0\.01, or give"):
        encoder.threshold(0.1)
    with pytest.raises(LrfaceError, match="carries no calibrated thresholds"):
        make(thresholds={}).threshold(0.01)


def test_the_answer(make, faces):
    encoder = make()
    a, b = encoder.embed(faces[:2]).astype(np.float64)
    similarity = float(a @ b)
    for threshold, same in ((similarity - 0.001, True), (similarity + 0.001, False)):
        answer = encoder.verify(faces[0], faces[1], threshold=threshold)
        assert (answer.same, answer.threshold, answer.far, answer.notes) == (same, threshold, None, ())
        assert answer.similarity == pytest.approx(similarity, abs=1e-5)
    answer = encoder.verify(faces[0], faces[0], far=0.001)
    assert (answer.same, answer.threshold, answer.far) == (True, 0.5, 0.001)
    assert answer.similarity <= 1
    assert encoder.verify(faces[0], faces[0]).threshold == 0.25
    assert make("mtcnn").verify(faces[0][:7], faces[0][:7]).notes[0].startswith("the image: 112 x 7 pixels")


@pytest.mark.parametrize("threshold", [float("nan"), 1.5, -2.0, float("inf")])
def test_a_threshold_that_is_no_cosine(make, faces, threshold):
    with pytest.raises(LrfaceError, match="cosine"):
        make().verify(faces[0], faces[0], threshold=threshold)


def test_images_of_different_sizes_can_be_compared(make, faces):
    wide = np.asarray(Image.fromarray(faces[0]).resize((300, 200)))
    assert make().verify(faces[0], wide, threshold=-1).same


def test_the_detector_is_made_once_and_by_its_name(make, faces, monkeypatch):
    chosen = []

    def create_detector(name, device):
        chosen.append((name, device))
        return Finder(found(0, 0, 112))

    encoder = make("auto")
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", create_detector)
    encoder.embed(faces)
    assert chosen == [("auto", "cpu")]
    with pytest.raises(LrfaceError, match=r"unknown detector 'magic': choose auto, none, insightface"):
        make("magic")


def test_what_auto_stands_for_is_told(make, monkeypatch):
    monkeypatch.setattr("lrface.recognition.encoder.automatic_detector", lambda: "mtcnn")
    assert [make(name).detector for name in ("auto", "none", "dlib")] == ["mtcnn", "none", "dlib"]


def test_an_installation_without_a_model(monkeypatch, tmp_path):
    monkeypatch.setattr("lrface.models.shipped.WEIGHTS", tmp_path)
    with pytest.raises(LrfaceError, match="carries no model"):
        FaceEncoder.load()
    with pytest.raises(LrfaceError, match=r"other\.safetensors"):
        FaceEncoder.load(tmp_path / "other.safetensors")


def calibration(**changes):
    from lrface.faces.calibration import Calibration

    knots = np.array([4.0, 8.0, 16.0])
    worse = np.array([0.3, 0.2, 0.0])
    tables = {far: 0.6 + step + np.minimum.outer(worse, worse) for far, step in ((0.01, 0.0), (0.001, 0.05))}
    logistic = np.array([[-2.0, 0, 0, 0], [4.0, 2, 0, 0]])
    record = Calibration(knots, tables, tables, logistic, np.array([0.1, 0.5, 1.0])).as_dict()
    return {**record, **changes}


def test_thresholds_depend_on_both_faces(make, faces):
    encoder = make(quality=calibration())
    small, large = faces[0], faces[1]
    all_cropped = [encoder.cropped_face(np.asarray(Image.fromarray(image).resize((side, side)))) for image, side in
             ((small, 8), (small, 30), (large, 8))]  # fmt: skip
    assert [cropped.quality.resolution for cropped in all_cropped[::2]] == [8, 8]
    sizes = [cropped.quality for cropped in all_cropped]
    assert encoder.threshold(0.01, sizes[0], sizes[2]) == pytest.approx(0.8)
    assert encoder.threshold(0.01, sizes[0], sizes[1]) == encoder.threshold(0.01, sizes[1], sizes[0]) < 0.7
    assert encoder.threshold(0.001, sizes[0], sizes[2]) == pytest.approx(0.85)
    assert encoder.threshold(0.01) == 0.25  # the card's, where nothing is known of the faces
    answer = encoder.compare(all_cropped[0], all_cropped[2])
    assert answer.threshold == pytest.approx(0.8)
    assert answer.resolutions == (8, 8)
    assert answer.far == 0.01
    assert answer.probability == pytest.approx(1 / (1 + np.exp(2 - 5 * answer.similarity)))
    given = encoder.compare(all_cropped[0], all_cropped[2], threshold=0.1)
    assert (given.threshold, given.far, given.probability) == (0.1, None, answer.probability)


def test_a_model_without_tables_answers_as_ever(make, faces):
    answer = make().verify(faces[0], faces[1])
    assert (answer.threshold, answer.probability, answer.warnings) == (0.25, None, ())
    assert len(answer.resolutions) == 2
    assert make().cropped_face(faces[0]).quality.recognisability is None


def test_damaged_tables_are_an_error(make, faces):
    with pytest.raises(LrfaceError, match="calibration by quality"):
        make(quality=calibration(knots=[1, 2])).verify(faces[0], faces[1])


def test_what_is_seen_of_a_face(make, faces):
    photo = np.full((300, 400, 3), 90, np.uint8)
    photo[100:156, 50:106] = np.asarray(Image.fromarray(faces[0]).resize((56, 56), Image.Resampling.BILINEAR))
    finder = Finder(found(50, 100, 56))
    cropped = make("mtcnn", finder, quality=calibration()).cropped_face(photo)
    assert cropped.quality.pixels == pytest.approx(56, rel=1e-3)
    assert cropped.quality.resolution <= cropped.quality.pixels * 1.001
    assert cropped.quality.recognisability == 1
    assert cropped.face is finder.faces[0]
    assert (cropped.notes, cropped.name) == ((), "the image")


def test_the_end_of_the_photo_is_no_detail(make, faces):
    small = Image.fromarray(faces[0]).resize((9, 9), Image.Resampling.BILINEAR)
    photo = np.asarray(small.resize((60, 60), Image.Resampling.BICUBIC))
    whole = make("mtcnn", Finder(found(0, 0, 60))).cropped_face(photo).quality
    beyond = make("mtcnn", Finder(found(-8, 6, 64))).cropped_face(photo)
    assert (beyond.crop[:, :8] == 0).all()
    assert beyond.quality.resolution == pytest.approx(whole.resolution, rel=0.35)
    assert beyond.quality.resolution < 16


def test_warnings_name_the_image(make, faces, tmp_path):
    path = tmp_path / "small.png"
    Image.fromarray(faces[0]).resize((6, 6)).save(path)
    answer = make("mtcnn").verify(path, path)
    assert answer.warnings == answer.warnings[:1] * 2
    assert answer.warnings[0].startswith(f"{path}: only 6.0 pixels of face")
    assert answer.notes[0] == f"{path}: 6 x 6 pixels, taken as the face itself"


def test_a_small_image_without_a_face_is_taken_as_a_crop(make, faces):
    cropped = make("mtcnn", Finder()).cropped_face(faces[0])
    assert cropped.face is None
    np.testing.assert_array_equal(cropped.crop, faces[0])
    assert "finder found no face in 112 x 112 pixels, taken as the face itself" in cropped.notes[0]
    assert not cropped.quality.usable
    for wrong in (np.tile(faces[0], (2, 2, 1)), faces[0][:60], np.full((100, 100, 3), 7, np.uint8)):
        with pytest.raises(ImageError, match="found no face, however it is turned; if this is an aligned crop"):
            make("mtcnn", Finder()).cropped_face(wrong)


def test_all_faces_of_a_photo_on_its_side_are_righted(make, monkeypatch):
    """A detector that finds faces in tall images alone."""

    class Tall(Finder):
        def detect(self, image):
            return super().detect(image) if image.shape[0] > image.shape[1] else []

    embedder = make().embedder
    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device: Tall(found(20, 30, 112)))
    photo = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    (upright,) = FaceEncoder(embedder, "dlib").cropped_faces(photo)
    (righted,) = FaceEncoder(embedder, "dlib").cropped_faces(np.ascontiguousarray(np.rot90(photo)))
    assert upright.notes == ()
    assert "turned by" in righted.notes[0]
    assert FaceEncoder(embedder, "dlib", turn=False).cropped_faces(np.ascontiguousarray(np.rot90(photo))) == []

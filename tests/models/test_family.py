"""Several models of one space: each face gets the one that fits its detail."""

import json

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.degrade import resize
from lrface.models import shipped
from lrface.models.embedder import Embedder
from lrface.models.family import Family, Member, open_family
from lrface.models.fusion import Fusion
from lrface.models.preprocessing import Preprocessing
from lrface.models.teacher_map import TeacherMap, normalised
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery import Gallery

DIM = 8
THRESHOLDS = {"0.01": 0.5, "0.001": 0.6}


class Projection:
    """A network that also says how it was used."""

    def __init__(self, side, seed=0):
        self.matrix = np.random.default_rng(seed).standard_normal((3 * side * side, DIM)).astype(np.float32)
        self.faces = 0

    def __call__(self, batch):
        self.faces += len(batch)
        return batch.reshape(len(batch), -1) @ self.matrix


def single(side, digest=None):
    card = {"name": f"of {side}", "thresholds": THRESHOLDS}
    return Embedder(Projection(side), Preprocessing(side), digest or str(side), card)


def members(**openers):
    made = {16: single(16), 32: single(32), 64: single(64)}
    starts = {16: 0.0, 32: 20.0, 64: 50.0}
    return [Member(f"of {s}", made[s].fingerprint, starts[s], openers.get(f"at{s}", lambda s=s: made[s])) for s in made]


def family(**openers):
    return Family("ladder", members(**openers), DIM, {"thresholds": THRESHOLDS})


@pytest.mark.parametrize(
    ("resolution", "side"), [(-1, 16), (2, 16), (19.9, 16), (20, 32), (49, 32), (50, 64), (300, 64)]
)
def test_each_detail_has_its_member(resolution, side):
    assert family().member(resolution).preprocessing.input_size == side
    assert family().member_name(resolution) == f"of {side}"


def test_somebody_must_be_for_the_smallest():
    with pytest.raises(LrfaceError, match="smallest faces"):
        Family("ladder", members()[1:], DIM, {})


def test_members_are_opened_when_they_are_needed():
    def never():
        raise AssertionError("not for this face")

    assert family(at32=never, at64=never).member(10).preprocessing.input_size == 16


def test_another_model_under_a_members_name_is_refused():
    changed = family(at32=lambda: single(32, "changed"))
    with pytest.raises(LrfaceError, match="made with another of 32"):
        changed.member(30)


def test_a_family_of_one_is_that_model_to_a_gallery():
    (first, *_) = members()
    assert Family("one", [first], DIM, {}).fingerprint == first.fingerprint


def test_the_fingerprint_is_that_of_members_and_boundaries():
    moved = [Member(m.name, m.fingerprint, m.detail and m.detail + 1, m.opener) for m in members()]
    assert family().fingerprint == family().fingerprint != Family("ladder", moved, DIM, {}).fingerprint


def test_crops_go_to_their_members_and_come_back_in_order():
    encoder = FaceEncoder(family(), "none")
    crops = [face(person, 0, seed=1) for person in range(5)]
    details = [60.0, 10.0, 30.0, 12.0, 70.0]
    found = encoder.embed_crops(crops, resolutions=details)
    for crop, detail, row in zip(crops, details, found, strict=True):
        alone = FaceEncoder(encoder.embedder.member(detail), "none").embed_crops([crop])[0]
        np.testing.assert_allclose(row, alone, atol=1e-6)


def test_an_answer_says_who_embedded():
    encoder = FaceEncoder(family(), "none")
    photo = face(0, 0, seed=1)
    answer = encoder.verify(photo, resize(photo, 12))
    assert answer.members == (f"of {64 if answer.resolutions[0] >= 50 else 32}", "of 16")
    assert answer.threshold == 0.5
    assert answer.as_dict()["members"] == answer.members
    assert FaceEncoder(single(16), "none").verify(photo, photo).members is None
    np.testing.assert_allclose(
        encoder.embed([photo])[0],
        encoder.embed_crops([photo], resolutions=[encoder.cropped_face(photo).quality.resolution])[0],
        atol=1e-6,
    )


def test_a_gallery_keeps_who_embedded_each_face(tmp_path):
    encoder = FaceEncoder(family(), "none")
    photo = face(0, 0, seed=1)
    with Gallery.open(tmp_path / "g", encoder) as gallery:
        gallery.add("adam", [photo], force=True)
        gallery.add("berta", [resize(face(1, 0, seed=1), 12)], force=True)
        assert gallery.info()["members"] == {"of 16": 1, encoder.embedder.member_name(112): 1}
        assert gallery.search(photo).name == "adam"


def test_a_gallery_of_one_member_goes_on_with_that_member(tmp_path):
    photo = face(0, 0, seed=1)
    with Gallery.open(tmp_path / "g", FaceEncoder(single(32), "none")) as gallery:
        gallery.add("adam", [photo], force=True)
    with Gallery.open(tmp_path / "g", FaceEncoder(family(), "none")) as gallery:
        gallery.add("adam", [resize(photo, 12)], force=True)
        assert gallery.info()["members"] == {"of 32": 2}


def test_a_gallery_of_an_older_version_has_no_members(tmp_path):
    encoder = FaceEncoder(single(16), "none")
    with Gallery.open(tmp_path / "g", encoder) as gallery:
        gallery._store.handle.execute("ALTER TABLE faces DROP COLUMN member")
    with Gallery.open(tmp_path / "g", encoder) as gallery:
        assert gallery.add("adam", [face(0, 0, seed=1)], force=True).added == 1
        assert gallery.info()["members"] == {}


def test_a_gallery_of_other_members_is_refused(tmp_path):
    with Gallery.open(tmp_path / "g", FaceEncoder(family(), "none")):
        pass
    fewer = Family("ladder", members()[:2], DIM, {"thresholds": THRESHOLDS})
    with pytest.raises(LrfaceError, match=r"other members then.*--sharp"):
        Gallery.open(tmp_path / "g", FaceEncoder(fewer, "none"))
    with pytest.raises(LrfaceError, match="made with the model ladder"):
        Gallery.open(tmp_path / "g", FaceEncoder(single(16), "none"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with the family, two teachers, and their map."""
    made = {16: single(16), 32: single(32)}
    teachers = {name: Embedder(Projection(112, n), Preprocessing(112), name, {}) for n, name in enumerate("ab")}
    opened = {f"of {side}": each for side, each in made.items()} | teachers
    monkeypatch.setattr("lrface.models.family.open_embedder", lambda name, *_, **__: opened[str(name)])
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    rng = np.random.default_rng(5)
    centres = tuple(rng.normal(0, 0.1, DIM).astype(np.float32) for _ in teachers)
    matrix, bias = rng.standard_normal((DIM, 2 * DIM)).astype(np.float32), rng.standard_normal(DIM).astype(np.float32)
    mapping = TeacherMap(tuple(t.fingerprint for t in teachers.values()), centres, matrix, bias)
    mapping.save(tmp_path / "ladder.both.map.safetensors")
    TeacherMap(mapping.fingerprints[1:], centres[1:], matrix[:, DIM:], bias).save(tmp_path / "ladder.b.map.safetensors")
    record = {
        "format": 3, "name": "ladder", "dim": DIM, "card": {"thresholds": THRESHOLDS},
        "members": [{"model": f"of {s}", "fingerprint": made[s].fingerprint, "detail": s - 16} for s in made],
        "sharp": [
            {"map": "ladder.both.map.safetensors", "detail": 40, "teachers": ["A", "B"], "card": {"thresholds": {}}},
            {"map": "ladder.b.map.safetensors", "detail": 60, "teachers": ["B"], "card": {"thresholds": {"0.01": 0.4}}},
        ],
    }  # fmt: skip
    (tmp_path / "ladder.json").write_text(json.dumps(record))
    listing = {
        "format": 1, "default": None, "models": {}, "sha256": {}, "families": {"ladder": "ladder.json"}, "family": "ladder"
    }  # fmt: skip
    (tmp_path / "shipped.json").write_text(json.dumps(listing))
    return teachers, mapping


def test_the_shipped_family_opens_when_nothing_is_named(package):
    for name in (None, "ladder"):
        encoder = FaceEncoder.load(name, "none")
        assert encoder.embedder.card["name"] == "ladder"
        assert encoder.thresholds == {0.01: 0.5, 0.001: 0.6}
        assert [member.name for member in encoder.embedder.members] == ["of 16", "of 32"]


def test_a_student_and_the_teachers_embed_the_sharpest_together(package):
    teachers, mapping = package
    encoder = FaceEncoder.load(None, "none", sharp=("a", "b"))
    assert encoder.embedder.member_name(39.0) == "of 32"
    assert encoder.embedder.member_name(40.0) == "of 32 + A + B"
    assert encoder.embedder.dim == DIM + 2 * DIM
    crop = face(0, 0, seed=1)
    student, own = FaceEncoder(single(32), "none").embed_crops([crop]), []
    for flip in (False, True):
        own.append(
            normalised(np.concatenate([normalised(t.embed([crop], flip=flip)) for t in teachers.values()], axis=1))
        )
    expected = Fusion(mapping).sharp(student, normalised(own[0] + own[1]))
    np.testing.assert_allclose(encoder.embed_crops([crop], resolutions=[112.0]), expected, atol=1e-4)


def test_faces_of_all_details_are_put_together_in_order(package):
    _, mapping = package
    encoder = FaceEncoder.load(None, "none", sharp=("a", "b"))
    crops = [face(person, 0, seed=1) for person in range(3)]
    found = encoder.embed_crops(crops, resolutions=[10.0, 50.0, 30.0])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for row, side in ((0, 16), (2, 32)):
        student = FaceEncoder(single(side), "none").embed_crops([crops[row]])
        np.testing.assert_allclose(found[row], Fusion(mapping).students(student)[0], atol=1e-6)
    np.testing.assert_allclose(found[1], encoder.embed_crops([crops[1]], resolutions=[50.0])[0], atol=1e-6)


def test_a_gallery_without_the_teachers_is_refused_with_them(package, tmp_path):
    with Gallery.open(tmp_path / "g", FaceEncoder.load(None, "none")) as gallery:
        gallery.add("adam", [face(0, 0, seed=1)], force=True)
    with pytest.raises(LrfaceError, match=r"other members then.*--sharp"):
        Gallery.open(tmp_path / "g", FaceEncoder.load(None, "none", sharp=("a", "b")))


def test_the_top_member_is_that_of_the_teachers_at_hand(package):
    encoder = FaceEncoder.load(None, "none", sharp=["b"])
    assert [encoder.embedder.member_name(detail) for detail in (59.0, 60.0)] == ["of 32", "of 32 + B"]
    assert encoder.thresholds == {0.01: 0.4}
    assert encoder.embedder.dim == DIM + DIM
    both = FaceEncoder.load(None, "none", sharp=("a", "b"))
    assert encoder.embedder.fingerprint != both.embedder.fingerprint


@pytest.mark.parametrize("files", [("b", "a"), ("a",), ("of 16", "b")])
def test_only_its_own_teachers_fuse(package, files):
    with pytest.raises(LrfaceError, match="only networks that taught the space of ladder can embed for it: A, B; or B"):
        FaceEncoder.load(None, "none", sharp=files)


def test_teachers_are_for_families(package):
    with pytest.raises(LrfaceError, match="go with a family"):
        FaceEncoder.load("other", "none", sharp=("a", "b"))


def test_a_teacher_in_ncnns_format_is_converted_first(package, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("lrface.models.family.ncnn.cached_file", lambda path: path.stem)
        assert FaceEncoder.load(None, "none", sharp=[tmp_path / "b.param"]).embedder.member_name(99) == "of 32 + B"
    with pytest.raises(LrfaceError, match=r"no file .*b\.param"):
        FaceEncoder.load(None, "none", sharp=[tmp_path / "b.param"])


def test_a_damaged_family_is_named(tmp_path):
    (tmp_path / "f.json").write_text('{"format": 1}')
    with pytest.raises(LrfaceError, match="not a family"):
        open_family(tmp_path / "f.json")
    (tmp_path / "f.json").write_text('{"format": 3, "name": "f", "members": [{}]}')
    with pytest.raises(LrfaceError, match="damaged family"):
        open_family(tmp_path / "f.json")
    bare = {
        "format": 3,
        "name": "f",
        "dim": 8,
        "card": {},
        "members": [{"model": "m", "fingerprint": "x", "detail": 0}],
    }
    (tmp_path / "f.json").write_text(json.dumps(bare))
    with pytest.raises(LrfaceError, match="no top rung"):
        open_family(tmp_path / "f.json", ["teacher"])

"""Whole sets out of a handful of people: read back by the real readers, the same twice, people apart, never half."""

import csv
import hashlib
import json
from collections import defaultdict

import numpy as np
import pytest

from lrface.data.crop import Settings
from lrface.data.face_list import DISTRACTOR, MARKER, UNKNOWN
from lrface.data.prepare import prepare
from lrface.data.rehearse import SETS, build, rehearse
from lrface.data.sets.scface import read_scface
from lrface.data.sets.survface import read_survface
from lrface.data.sets.tinyface import read_tinyface
from lrface.data.sets.uccs import read_uccs
from lrface.errors import LrfaceError
from lrface.faces.align import alignment
from lrface.faces.images import read_image


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    """All sets, once. Not to be changed."""
    out = tmp_path_factory.mktemp("rehearsal")
    return out, {done.marker["set"]: done for done in rehearse(store, out, progress=False)}


def contents(root):
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".rehearse.lock")
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def who(folder):
    """part -> label -> person, of ``identities.csv``."""
    people = defaultdict(dict)
    with open(folder / "identities.csv", newline="") as file:
        for row in csv.DictReader(file):
            people[row["part"]].setdefault(int(row["label"]), set()).add(row["identity"])
    return people


def persons(folder, *parts):
    return {name for part in parts for names in who(folder)[part].values() for name in names}


def test_two_runs_are_the_same_to_the_byte(store, made, tmp_path):
    rehearse(store, tmp_path, progress=False)
    assert contents(tmp_path) == contents(made[0])
    assert len(contents(tmp_path)) > 100


def test_another_seed_gives_another_set(store, made, tmp_path):
    rehearse(store, tmp_path, ["tinyface"], seed=6, progress=False)
    assert contents(tmp_path / "tinyface") != contents(made[0] / "tinyface")


def test_a_folder_gives_what_its_store_gives(photos, made, tmp_path):
    done = rehearse(photos, tmp_path, ["tinyface"], Settings(detector="none"), progress=False)[0]
    expected = contents(made[0] / "tinyface")
    expected.pop(MARKER)
    found = contents(tmp_path / "tinyface")
    found.pop(MARKER)
    assert found == expected
    assert done.marker["source"].endswith("/crops")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".rehearse.lock", "tinyface"]


def test_the_marker_says_what_it_is(made, store):
    for name, done in made[1].items():
        marker = json.loads((done.folder / MARKER).read_text())
        assert marker == done.marker
        assert done.made
        assert marker["rehearsal"] is True
        assert marker["set"] == name
        assert marker["source"] == "/".join(store.parts[-2:])
        assert marker["seed"] == 5
        assert marker["alignment"]["detector"] == "none"
        assert (marker["camera"]["smallest"], marker["camera"]["largest"]) == (8, 32)
        assert len(marker["fingerprint"]) == 64
        assert str(store.parent.parent) not in (done.folder / MARKER).read_text()


def test_tinyface(made, people):
    folder = made[0] / "tinyface"
    tinyface = read_tinyface(folder)
    assert tinyface.rehearsal == made[1]["tinyface"].marker
    counts = tinyface.rehearsal["counts"]
    assert counts["test people"] == counts["training people"] == 4
    assert (len(tinyface.probe), len(tinyface.match)) == (counts["probe images"], counts["match images"])
    assert set(tinyface.probe.ids) == set(tinyface.match.ids)
    assert set(tinyface.distractors.ids) == {DISTRACTOR}
    assert len(tinyface.distractors) == 3
    test, train = persons(folder, "probe", "match"), persons(folder, "training")
    strangers = persons(folder, "distractor")
    assert not test & train
    assert strangers == {"x", "y", "z"}
    assert test | train == set(people) - strangers
    assert len(tinyface.train) + len(tinyface.probe) + len(tinyface.match) == sum(people.values()) - 3
    assert tinyface.notes == ()


def test_images_are_small_and_each_is_another(made):
    tinyface = read_tinyface(made[0] / "tinyface")
    images = [read_image(path) for path in (*tinyface.probe.paths, *tinyface.gallery.paths, *tinyface.train.paths)]
    sides = {image.shape[0] for image in images}
    assert all(image.shape[0] == image.shape[1] for image in images)
    assert 8 <= min(sides) < max(sides) <= 32
    assert len({image.tobytes() for image in images}) == len(images)


def test_uccs(made, people):
    folder = made[0] / "uccs"
    uccs = read_uccs(folder)
    assert uccs.rehearsal == made[1]["uccs"].marker
    assert uccs.split == "lrface's own, seed 5"
    assert uccs.subjects == 8
    assert not any("no exclude" in note for note in uccs.notes)
    assert len(uccs.train) + len(uccs.test) == sum(count for count in people.values() if count > 1)
    assert uccs.rehearsal["counts"]["validation images"] > uccs.rehearsal["counts"]["gallery images"] / 2
    known = persons(folder, "gallery")
    assert {name for label, names in who(folder)["validation"].items() if label > 0 for name in names} == known
    assert not who(folder)["validation"][-1] & known


def test_the_landmarks_of_uccs_are_those_of_the_crops(made):
    """A crop is framed nearly as the template is: aligning turns and scales it a little."""
    uccs = read_uccs(made[0] / "uccs")
    for path, points in zip(uccs.train.paths, uccs.train.landmarks, strict=True):
        side = read_image(path).shape[0]
        matrix = alignment(points, side)
        middle = np.full(2, (side - 1) / 2)
        assert np.abs(matrix @ [*middle, 1] - middle).max() < 0.1 * side
        assert abs(np.hypot(*matrix[:, 0]) - 1) < 0.1


def test_survface(made, people):
    folder = made[0] / "QMUL-SurvFace"
    survface = read_survface(folder)
    assert survface.rehearsal == made[1]["survface"].marker
    assert set(survface.gallery.ids) == set(survface.mated.ids)
    assert set(survface.unmated.ids) == {UNKNOWN}
    test, train = persons(folder, "gallery", "mated probe"), persons(folder, "training")
    assert not test & train
    assert persons(folder, "unmated probe") == {"x", "y", "z"}
    assert survface.notes == ()
    pairs = survface.pairs
    labels = {path.name: int(path.name.split("_")[0]) for path in pairs.faces.paths}
    names = [path.name for path in pairs.faces.paths]
    told = [labels[names[a]] == labels[names[b]] for a, b in zip(pairs.a, pairs.b, strict=True)]
    assert told == pairs.same.tolist()
    assert pairs.same.sum() == (~pairs.same).sum() > 10
    originals = {path.name: path for path in (*survface.gallery.paths, *survface.mated.paths)}
    assert all(path.read_bytes() == originals[path.name].read_bytes() for path in pairs.faces.paths)


def test_scface(made):
    scface = read_scface(made[0] / "SCface")
    assert scface.rehearsal == made[1]["scface"].marker
    assert scface.mugshots.people == 6  # who have four images or more
    assert all(read_image(path).shape == (112, 112, 3) for path in scface.mugshots.paths)
    sides = {
        distance: [read_image(path).shape[0] for path in faces.paths] for distance, faces in scface.cameras.items()
    }
    assert min(sides[1]) >= 8
    assert max(sides[1]) <= 16 <= min(sides[2])
    assert max(sides[2]) <= 24 <= min(sides[3])
    assert max(sides[3]) <= 32
    assert all(set(faces.ids) == set(scface.mugshots.ids) for faces in scface.cameras.values())


def test_people_of_a_named_store_are_left_out(photos, store, tmp_path):
    taken = tmp_path / "training"
    for name in ("p0", "p1", "x"):
        (taken / name).mkdir(parents=True)
        (taken / name / "1.jpg").write_bytes((photos / name / "0.jpg").read_bytes())
    prepare(taken, tmp_path / "store", Settings(detector="none"), progress=False)
    done = rehearse(store, tmp_path / "out", ["tinyface"], disjoint_from=[tmp_path / "store"], progress=False)[0]
    assert done.marker["people_left_out"] == 3
    assert done.marker["disjoint_from"][0]["store"].endswith("/store")
    assert not persons(done.folder, *who(done.folder)) & {"p0", "p1", "x"}
    with pytest.raises(LrfaceError, match="has no people left"):
        rehearse(store, tmp_path / "none", ["tinyface"], disjoint_from=[store], progress=False)


def test_what_is_there_already_is_left_alone(store, tmp_path):
    first = rehearse(store, tmp_path, ["scface"], progress=False)[0]
    before = (first.folder / MARKER).stat().st_mtime_ns
    again = rehearse(store, tmp_path, ["scface"], progress=False)[0]
    assert (first.made, again.made) == (True, False)
    assert again.marker == first.marker
    assert (again.folder / MARKER).stat().st_mtime_ns == before
    with pytest.raises(LrfaceError, match=r"made otherwise \(seed\): say --overwrite"):
        rehearse(store, tmp_path, ["scface"], seed=6, progress=False)
    assert rehearse(store, tmp_path, ["scface"], seed=6, overwrite=True, progress=False)[0].marker["seed"] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [".rehearse.lock", "SCface"]


def test_a_real_set_is_never_replaced(store, tmp_path):
    (tmp_path / "tinyface" / "Testing_Set").mkdir(parents=True)
    with pytest.raises(LrfaceError, match=r"tinyface is there and no rehearsal"):
        rehearse(store, tmp_path, ["tinyface"], overwrite=True, progress=False)
    assert (tmp_path / "tinyface" / "Testing_Set").is_dir()


def test_a_failure_halfway_leaves_nothing(store, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SETS["tinyface"], "write_lists", fail)
    with pytest.raises(LrfaceError, match=r"cannot write .*tinyface: No space left"):
        rehearse(store, tmp_path, ["tinyface"], progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [".rehearse.lock"]


def test_a_kill_halfway_is_forgotten(store, tmp_path, made):
    """What a killed run leaves: a part of a set beside its place."""
    (tmp_path / ".tinyface.partial" / "Testing_Set").mkdir(parents=True)
    (tmp_path / ".tinyface.partial" / "Testing_Set" / "junk").write_text("x")
    rehearse(store, tmp_path, ["tinyface"], progress=False)
    assert contents(tmp_path / "tinyface") == contents(made[0] / "tinyface")
    assert not (tmp_path / ".tinyface.partial").exists()


@pytest.mark.parametrize("name", list(SETS))
def test_too_few_people(name, photos, tmp_path):
    few = tmp_path / "few"
    for person in ("p0", "x"):
        (few / person).mkdir(parents=True)
        for image in (photos / person).iterdir():
            (few / person / image.name).write_bytes(image.read_bytes())
    with pytest.raises(LrfaceError, match=r"1 people have .* images or more"):
        rehearse(few, tmp_path / "out", [name], Settings(detector="none"), progress=False)
    assert not (tmp_path / "out" / SETS[name].FOLDER).exists()


def test_what_makes_no_sense(store, photos, tmp_path):
    with pytest.raises(LrfaceError, match="no rehearsal of 'megaface'"):
        rehearse(store, tmp_path, ["megaface"], progress=False)
    with pytest.raises(LrfaceError, match="is a store, its faces are aligned"):
        rehearse(store, tmp_path, ["tinyface"], Settings(detector="none"), progress=False)
    with pytest.raises(LrfaceError, match="no such source"):
        rehearse(tmp_path / "none", tmp_path / "out", ["tinyface"], Settings(detector="none"), progress=False)
    assert build.FORMAT == 1

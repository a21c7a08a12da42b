"""A gallery moved to another model: everybody whose image can be had, and a list of the others."""

import signal

import pytest
from gallery_stub import encoder, image
from test_kill import start

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.enrol import image_digest
from lrface.recognition.gallery.kept import crop_path
from lrface.recognition.gallery.reembed import reembed
from lrface.recognition.gallery.stores import open_store


@pytest.fixture
def photos(tmp_path):
    """``[person][number]``: paths of photos."""
    made = {}
    for person in range(4):
        for number in range(3):
            path = tmp_path / f"{person}-{number}.png"
            path.write_bytes(encode_image(image(person, number), "png"))
            made.setdefault(person, []).append(path)
    return made


@pytest.fixture
def old(place, photos):
    with Gallery.open(place, encoder()) as gallery:
        for person, paths in photos.items():
            gallery.add(f"Person {person}", paths)
        gallery.add("Person 0", [photos[0][0].read_bytes() + b" "])  # an upload: no path leads to it
    return place


@pytest.fixture
def new(tmp_path):
    with Gallery.open(tmp_path / "new", encoder("other")) as gallery:
        yield gallery


def dates(place):
    store = open_store(place)
    with store.reading():
        found = {(name, face.digest, face.source): face.added for part in store.records(99) for name, face in part}
    store.close()
    return found


def test_from_photos(old, new, photos):
    photos[1][1].unlink()
    photos[2][0].write_bytes(encode_image(image(7), "png"))
    report = reembed(old, new, progress=False)
    assert (report.people, report.faces, report.added, report.known, report.from_crops) == (4, 13, 10, 0, 0)
    assert sorted(report.lacking) == [
        ("Person 0", "an image in memory", "neither a kept crop nor this file is there"),
        ("Person 1", str(photos[1][1]), "neither a kept crop nor this file is there"),
        ("Person 2", str(photos[2][0]), "the file is not the one that was enrolled"),
    ]
    assert dates(new._store.place).items() <= dates(old).items()
    assert {person.name: person.faces for person in new.people()} == {
        f"Person {n}": 3 - (n in (1, 2)) for n in range(4)
    }
    assert new.search(image(3)).name == "Person 3"
    assert new.add("Person 3", [photos[3][0]]).known == 1  # images are still known
    photos[1][1].write_bytes(encode_image(image(1, 1), "png"))
    report = reembed(old, new, progress=False)  # what came back is taken up
    assert (report.added, report.known, len(report.lacking)) == (1, 10, 2)


def test_from_kept_crops(old, new, photos, tmp_path):
    upload = photos[0][0].read_bytes() + b" "
    kept = crop_path(tmp_path / "crops", "PERSON 0", image_digest(upload))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(encode_image(image(0), "png"))
    for path in photos[3]:
        path.unlink()
    report = reembed(old, new, tmp_path / "crops", progress=False)
    assert (report.added, report.from_crops) == (10, 1)
    assert {name for name, _, _ in report.lacking} == {"Person 3"}
    assert {person.name: person.faces for person in new.people()} == {"Person 0": 4, "Person 1": 3, "Person 2": 3}


def test_a_face_that_would_be_left_out_wants_force(old, new, monkeypatch):
    from lrface.faces.quality import Quality

    tiny = Quality(40, 5, 50, 0.2, ("blurred",))
    monkeypatch.setattr(new.encoder, "quality", tiny, raising=False)
    report = reembed(old, new, progress=False)
    assert report.added == 0
    assert ("Person 1", "blurred (--force enrols it all the same)") in {(name, why) for name, _, why in report.lacking}
    assert reembed(old, new, force=True, progress=False).added == 12


def test_the_same_model_needs_none(old, tmp_path):
    with Gallery.open(tmp_path / "same", encoder()) as same, pytest.raises(LrfaceError, match="of this very model"):
        reembed(old, same)
    with Gallery.open(tmp_path / "other", encoder("x")) as other, pytest.raises(LrfaceError, match="no gallery at"):
        reembed(tmp_path / "nothing", other)


def test_killed_it_goes_on(old, new, photos, tmp_path):
    script = (
        "from lrface.recognition.gallery import reembed\nreembed.BATCH = 3\n"
        "from lrface.recognition.gallery.store import Store\nStore.insert = later(Store.insert, 3)\n"
        f"other = Gallery.open({str(tmp_path / 'new')!r}, encoder('other'))\n"
        f"reembed.reembed({str(old)!r}, other, progress=False)\n"
    )
    with start(tmp_path / "unused", script) as process:
        assert process.wait(timeout=240) == -signal.SIGKILL
    assert new.info()["faces"] == 6
    report = reembed(old, new, progress=False)
    assert (report.known, report.added, len(report.lacking)) == (6, 6, 1)
    assert new.check() == []

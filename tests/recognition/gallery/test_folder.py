"""A folder per person goes into a gallery."""

import shutil

import pytest
from gallery_stub import encoder, image

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.recognition.gallery import gallery as module
from lrface.recognition.gallery import import_folder

PEOPLE = {"anna": 3, "bert": 5, "carl": 2, "dora": 4}


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for person, (name, count) in enumerate(PEOPLE.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_bytes(encode_image(image(person, number), "png"))
    return root


def state(gallery):
    return {person.name: person.faces for person in gallery.people()}


def test_everybody_is_enrolled(make, photos):
    gallery = make()
    report = import_folder(gallery, photos, progress=False)
    assert (report.people, report.images, report.added, report.known, report.refused) == (4, 14, 14, 0, [])
    assert state(gallery) == PEOPLE
    for person, name in enumerate(PEOPLE):
        match = gallery.search(image(person, 1)).matches[0]
        assert (match.name, match.photo) == (name, str(photos / name / "1.png"))


def test_photos_that_are_there_are_not_looked_at_again(make, photos):
    gallery = make()
    import_folder(gallery, photos, progress=False)
    (photos / "anna" / "new.png").write_bytes(encode_image(image(0, 50), "png"))
    shutil.move(photos / "bert" / "0.png", photos / "bert" / "renamed.png")
    seen = []
    watching = encoder()
    watching.cropped_face = lambda image: seen.append(image) or encoder().cropped_face(image)
    report = import_folder(make(watching), photos, progress=False)
    assert (report.added, report.known) == (1, 14)
    assert seen == [photos / "anna" / "new.png"]
    assert state(gallery) == PEOPLE | {"anna": 4}


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_it_goes_on_where_it_was_interrupted(make, photos, monkeypatch, stop):
    monkeypatch.setattr("lrface.recognition.gallery.folder.BATCH", 4)
    gallery = make()
    tired = encoder()
    left = [stop]

    def cropped_face(image):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return encoder().cropped_face(image)

    tired.cropped_face = cropped_face
    with pytest.raises(KeyboardInterrupt):
        import_folder(make(tired), photos, progress=False)
    done = stop // 4 * 4  # whole batches
    assert sum(state(gallery).values()) == done
    report = import_folder(gallery, photos, progress=False)
    assert (report.added, report.known) == (14 - done, done)
    assert state(gallery) == PEOPLE
    assert gallery.check() == []


def test_what_cannot_be_used_is_in_the_report(make, photos):
    (photos / "anna" / "text.jpg").write_text("not a picture")
    (photos / "anna" / "empty.jpg").write_bytes(b"")
    (photos / "anna" / "notes.txt").write_text("not meant to be one")
    (photos / "nobody").mkdir()
    (photos / "line\nbreak").mkdir()
    (photos / "line\nbreak" / "x.png").write_bytes(encode_image(image(8), "png"))
    (photos / "stray.png").write_bytes(encode_image(image(9), "png"))
    gallery = make()
    report = import_folder(gallery, photos, progress=False)
    assert (report.people, report.images, report.added) == (4, 18, 14)
    assert report.images == report.added + report.known + len(report.refused)
    reasons = {name.removeprefix(f"{photos}/"): reason for name, reason in report.refused}
    assert set(reasons) == {"anna/text.jpg", "anna/empty.jpg", "line\nbreak/x.png", "stray.png"}
    assert "not an image" in reasons["anna/text.jpg"]
    assert "empty" in reasons["anna/empty.jpg"]
    assert f"{photos / 'nobody'} holds no photos" in report.notes
    assert "1 files that are no images passed over" in report.notes
    assert "name" in reasons["line\nbreak/x.png"]
    assert reasons["stray.png"] == "lies in no person's folder"
    assert state(gallery) == PEOPLE


def test_photos_deeper_down_belong_to_the_person(make, photos):
    (photos / "anna" / "2019" / "summer").mkdir(parents=True)
    (photos / "anna" / "2019" / "summer" / "x.png").write_bytes(encode_image(image(0, 60), "png"))
    gallery = make()
    assert import_folder(gallery, photos, progress=False).added == 15
    assert state(gallery)["anna"] == 4


def test_the_index_keeps_up(make, photos, monkeypatch):
    monkeypatch.setattr("lrface.recognition.gallery.folder.BATCH", 3)
    monkeypatch.setattr("lrface.recognition.gallery.base.TAIL", 5)
    assert module.BATCH == 64
    gallery = make()
    import_folder(gallery, photos, progress=False)
    assert gallery.info()["index"]["faces"] >= 9
    assert gallery.check() == []


def test_folders_that_hold_no_people(make, tmp_path):
    with pytest.raises(LrfaceError, match=r"cannot list .*none"):
        import_folder(make(), tmp_path / "none")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").write_bytes(encode_image(image(1), "png"))
    with pytest.raises(LrfaceError, match="flat holds no photos: expected a folder of them for each person"):
        import_folder(make(), tmp_path / "flat")

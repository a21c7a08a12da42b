"""Enrol faces, ask who somebody is: the same whatever store keeps the gallery."""

import json
import threading

import numpy as np
import pytest
from gallery_stub import DIM, embeddings, encoder, fill, image

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.faces.quality import Quality
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.protocol import NewFace

FAR = 0.001


@pytest.fixture
def folder(place):
    """The galleries of this file are in each kind of store."""
    return place


def oracle(rows, names, query, top):
    """The mean of the best cosine and the template's, of the 20 people of the best cosines; as stored, in float64."""
    stored = rows.astype(np.float16).astype(np.float64)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    faces = {}
    for name, row in zip(names, stored, strict=True):
        faces.setdefault(name, []).append(row)
    score = {}
    best = sorted(faces, key=lambda name: -max(row @ query for row in faces[name]))
    for name in best[: max(20, top)]:
        own = faces[name]
        template = np.mean(own, axis=0)
        score[name] = (max(row @ query for row in own) + template @ query / np.linalg.norm(template)) / 2
    return sorted(score.items(), key=lambda item: -item[1])[:top]


def test_who_is_this(make):
    gallery = make()
    for person in range(5):
        report = gallery.add(f"person {person}", [image(person, number) for number in range(3)])
        assert (report.added, report.known, report.refused) == (3, 0, [])
    for person in range(5):
        answer = gallery.search(image(person, 9), top=2)
        assert answer.name == f"person {person}"
        assert [match.same for match in answer.matches] == [True, False]
        assert answer.matches[0].threshold == 0.6
        assert (answer.people, answer.faces, answer.far, answer.method) == (5, 15, FAR, "exact")
    unknown = gallery.search(image(77))
    assert unknown.name is None
    assert len(unknown.matches) == 5
    assert not any(match.same for match in unknown.matches)


def test_answers_and_listings_are_plain_data(make):
    gallery = make()
    gallery.add("anna", [image(1)])
    assert json.loads(json.dumps(gallery.search(image(1)).as_dict()))["matches"][0]["name"] == "anna"
    assert json.loads(json.dumps(gallery.info()))["people"] == 1


@pytest.mark.parametrize("limit", [None, 100])
def test_people_are_ranked_by_their_best_face_and_template(make, limit):
    gallery = make(exact_limit=limit)
    names, rows = fill(gallery, 400, faces=10)
    more, others = fill(gallery, 30, seed=3)
    names, rows = names + more, np.concatenate([rows, others])
    for query in [*embeddings(20, seed=9), *rows[:5]]:
        answer = gallery.search_embedding(query, top=7)
        assert answer.method == ("exact" if limit is None else "approximate")
        expected = oracle(rows, names, query, 7)
        assert [match.name for match in answer.matches] == [name for name, _ in expected]
        got = [match.similarity for match in answer.matches]
        np.testing.assert_allclose(got, [similarity for _, similarity in expected], atol=1e-5)


def test_people_with_many_faces_do_not_crowd_others_out(make):
    gallery = make()
    query = embeddings(1, seed=8)[0]
    near = query + 0.05 * embeddings(500, seed=2)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    gallery.add_embeddings(["crowd"] * 500, near, [str(number) for number in range(500)])
    gallery.add_embeddings(["one", "two"], embeddings(2, seed=4), ["a", "b"])
    answer = gallery.search_embedding(query, top=3)
    assert answer.matches[0].name == "crowd"
    assert {match.name for match in answer.matches} == {"crowd", "one", "two"}


def test_float16_costs_less_than_it_promises(make):
    gallery = make()
    names, rows = fill(gallery, 300, faces=1)
    query = embeddings(1, seed=5)[0]
    got = {match.name: match.similarity for match in gallery.search_embedding(query, top=300).matches}
    errors = [abs(got[name] - float(row.astype(np.float64) @ query)) for name, row in zip(names, rows, strict=True)]
    assert 0 < max(errors) < 5e-4
    assert np.mean(errors) < 1e-4


def test_thresholds(make):
    gallery = make()
    gallery.add("anna", [image(1)])
    assert gallery.search(image(1), far=0.1).matches[0].threshold == 0.3
    similarity = gallery.search(image(2), threshold=-1).matches[0].similarity
    above, below = (gallery.search(image(2), threshold=similarity + step) for step in (1e-4, -1e-4))
    assert (above.name, below.name) == (None, "anna")
    assert (above.far, above.risk) == (None, None)
    with pytest.raises(LrfaceError, match=r"false accept rate of 0\.5"):
        gallery.search(image(1), far=0.5)
    with pytest.raises(LrfaceError, match="cosine"):
        gallery.search(image(1), threshold=1.5)
    with pytest.raises(LrfaceError, match="one person at least"):
        gallery.search(image(1), top=0)


def test_a_strangers_risk_grows_with_the_gallery_and_is_mentioned(make):
    gallery = make()
    gallery.add("anna", [image(1)])
    assert gallery.search(image(2)).risk == pytest.approx(FAR)
    assert not gallery.search(image(2)).notes
    fill(gallery, 199)
    answer = gallery.search(image(2))
    assert answer.risk == pytest.approx(1 - (1 - FAR) ** 200)
    assert "200 faces" in answer.notes[0]
    assert "18 %" in answer.notes[0]


def test_an_answer_that_fits_several_people_says_so(make):
    gallery = make()
    for name in ("anna", "bert", "carl"):
        gallery.add(name, [image(1)], force=True)
    gallery.add("dora", [image(4)])
    answer = gallery.search(image(1))
    assert answer.name in ("anna", "bert", "carl")
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith("3 people are similar enough")
    assert gallery.search(image(4)).notes == ()


def test_an_empty_gallery_knows_nobody(make):
    answer = make().search(image(1))
    assert (answer.name, answer.matches, answer.notes) == (None, (), ("the gallery is empty",))


def test_an_unusable_face_wants_force(make):
    model = encoder()
    model.quality = Quality(40, 5.123, 50, 0.2, ("blurred", "odd"))
    gallery = make(model)
    report = gallery.add("anna", [image(1)])
    assert (report.added, report.notes) == (0, [])
    assert report.refused == [("an image in memory", "blurred; odd (--force enrols it all the same)")]
    assert gallery.people() == []
    report = gallery.add("anna", [image(1)], force=True)
    assert (report.added, report.refused) == (1, [])
    assert report.notes == ["an image in memory: blurred", "an image in memory: odd"]
    answer = gallery.search(image(1))
    assert (answer.name, answer.resolution) == ("anna", 5.123)
    assert answer.matches[0].resolution == 5.12
    assert answer.warnings == ("the image: blurred", "the image: odd")


def calibrated():
    """A model for which faces of 4 pixels have a threshold of 0.9 among themselves, and those of 16 one of 0.5."""
    table = {"0.001": [[0.9, 0.7], [0.7, 0.5]], "0.01": [[0.8, 0.6], [0.6, 0.4]]}
    quality = {
        "format": 1, "knots": [4, 16], "different": table, "same": table, "recognisable": [0.5, 1],
        "logistic": [[-4, 0, 0, 0], [8, 0, 0, 0]],
    }  # fmt: skip
    return encoder(quality=quality)


def beside(query, similarity, seed):
    """An embedding at this cosine."""
    rest = embeddings(1, seed=seed)[0]
    rest -= (rest @ query) * query
    return similarity * query + np.sqrt(1 - similarity**2) * rest / np.linalg.norm(rest)


def enrol(gallery, faces):
    """Enrol (name, embedding, resolution) as they are."""
    gallery.insert(
        [
            (name, NewFace(row, bytes([number // 256, number % 256]), "x", size))
            for number, (name, row, size) in enumerate(faces)
        ]
    )


def test_thresholds_and_risks_go_with_the_resolutions(make):
    gallery, query = make(calibrated()), embeddings(1, seed=8)[0]
    enrol(gallery, [("a", beside(query, 0.6, 1), 16), ("b", beside(query, 0.6, 2), 4), ("c", beside(query, 0.6, 3), 8)])
    sharp = gallery.search_embedding(query, resolution=16)
    assert [match.name for match in sharp.matches] == ["a", "c", "b"]
    np.testing.assert_allclose([match.threshold for match in sharp.matches], [0.5, 0.6, 0.7])
    assert [match.same for match in sharp.matches][::2] == [True, False]
    assert (sharp.matches[0].risk, sharp.matches[0].risk_bound) == (pytest.approx(1 - (1 - 0.001) ** 3), "below")
    # interpolated in its logarithm; 0.6 is the threshold for 0.01, rounding apart
    assert sharp.matches[2].risk == pytest.approx(1 - (1 - 0.01) ** 3, rel=0.01)
    blurred = gallery.search_embedding(query, resolution=4)
    np.testing.assert_allclose([match.threshold for match in blurred.matches], [0.7, 0.8, 0.9])
    assert blurred.name is None
    assert gallery.search_embedding(query, resolution=4, far=0.01).matches[0].threshold == pytest.approx(0.6)
    by_hand = gallery.search_embedding(query, resolution=16, threshold=0.3)
    assert {match.threshold for match in by_hand.matches} == {0.3}
    assert by_hand.matches[0].risk is not None


def test_unknown_resolutions_have_the_plain_threshold(make):
    gallery, query = make(calibrated()), embeddings(1, seed=8)[0]
    enrol(gallery, [("a", beside(query, 0.65, 1), 4), ("b", beside(query, 0.65, 2), None)])
    known = {match.name: match for match in gallery.search_embedding(query, resolution=4).matches}
    assert (known["a"].threshold, known["b"].threshold) == (pytest.approx(0.9), 0.6)
    assert (known["a"].same, known["b"].same) == (False, True)
    assert [known["a"].risk_bound, known["b"].risk_bound] == [
        "above",
        "below",
    ]  # by the tables, by the plain thresholds
    unknown = gallery.search_embedding(query)
    assert {match.threshold for match in unknown.matches} == {0.6}


@pytest.mark.parametrize("limit", [None, 100])
def test_many_blurred_faces_do_not_hide_the_right_one(make, limit):
    """All are more similar than the right one, and none is similar enough for so small a face."""
    gallery, query = make(calibrated(), exact_limit=limit), embeddings(1, seed=8)[0]
    crowd = [(f"{number // 2}", beside(query, 0.68, 10 + number), 4.0) for number in range(600)]
    enrol(gallery, [*crowd, ("right", beside(query, 0.6, 2), 16.0)])
    answer = gallery.search_embedding(query, resolution=16)
    assert answer.name == "right"
    assert answer.matches[0].name == "right"


def test_an_image_is_enrolled_once_and_a_person_grows(make, tmp_path):
    gallery = make()
    path = tmp_path / "a.png"
    path.write_bytes(encode_image(image(1, 0), "png"))
    assert gallery.add("anna", [path, str(path)]).known == 1
    assert gallery.add("anna", [path, path.read_bytes(), image(1, 1), image(1, 1)]).added == 1
    assert gallery.add(" ANNA", [path]).known == 1
    assert [(person.name, person.faces) for person in gallery.people()] == [("anna", 2)]
    assert gallery.search(path).matches[0].photo == str(path)
    assert gallery.search(image(1, 1)).matches[0].photo == "an image in memory"


def test_images_that_cannot_be_used_are_reported(make, tmp_path):
    gallery = make()
    (tmp_path / "text.jpg").write_text("not a picture")
    report = gallery.add("anna", [tmp_path / "none.jpg", tmp_path / "text.jpg", image(1), b"xx", np.zeros((4, 4))])
    assert report.added == 1
    names, reasons = zip(*report.refused, strict=True)
    assert names == (*(str(tmp_path / name) for name in ("none.jpg", "text.jpg")), *["an image in memory"] * 2)
    assert "No such file" in reasons[0]
    assert all("not an image" in reason for reason in reasons[1:3])
    assert "uint8" in reasons[3]
    assert not any(str(tmp_path) in reason for reason in reasons[1:])


def test_nobody_is_enrolled_without_a_face(make):
    gallery = make()
    assert gallery.add("anna", [b"xx"]).added == 0
    assert gallery.people() == []


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\ud800"])
def test_names_that_are_none(make, name):
    with pytest.raises(LrfaceError, match="name"):
        make().add(name, [image(1)])


def test_a_name_is_found_however_it_was_typed(make):
    gallery = make()
    gallery.add("Zo\u00eb ", [image(1)])
    gallery.add("Zoe\u0308", [image(1, 1)])
    assert [(person.name, person.faces) for person in gallery.people()] == [("Zo\u00eb", 2)]
    assert gallery.remove("Zoe\u0308") == 2


@pytest.mark.parametrize("limit", [None, 100])
def test_who_was_removed_is_not_found(make, limit):
    gallery = make(exact_limit=limit)
    fill(gallery, 200)
    gallery.add("anna", [image(1), image(1, 1)])
    assert gallery.search(image(1)).name == "anna"
    assert gallery.remove("anna") == 2
    assert gallery.search(image(1)).name is None
    assert gallery.check() == []
    with pytest.raises(LrfaceError, match=r"nobody in .* is called anna$"):
        gallery.remove("anna")
    gallery.add("annabel", [image(1)])
    with pytest.raises(LrfaceError, match=r"did you mean annabel\?"):
        gallery.remove("anabel")
    assert gallery.search(image(1)).name == "annabel"


def test_everybody_can_be_removed(make):
    gallery = make()
    for person in range(3):
        gallery.add(str(person), [image(person)])
    for person in range(3):
        gallery.remove(str(person))
    assert (gallery.people(), gallery.search(image(1)).matches) == ([], ())


def test_another_model_is_refused(make, folder):
    make().add("anna", [image(1)])
    with pytest.raises(LrfaceError, match=r"made with the model stub-16px \(\w{12}\), and this one is \w{12}"):
        make(encoder("other"))
    with Gallery.open(folder) as gallery:  # names need no model
        assert [person.name for person in gallery.people()] == ["anna"]
        with pytest.raises(LrfaceError, match="without a model"):
            gallery.search(image(1))


def test_embeddings_from_elsewhere_are_checked(make):
    gallery = make()
    rows = embeddings(2)
    for wrong in (rows[:1], rows[:, :8], rows * 2, rows * np.nan):
        with pytest.raises(LrfaceError, match="embeddings"):
            gallery.add_embeddings(["a", "b"], wrong, ["1", "2"])
    assert gallery.add_embeddings(["a", "b"], rows, ["1", "2"]) == 2
    assert gallery.add_embeddings(["a", "b"], rows, ["1", "3"]) == 1
    assert gallery.info()["faces"] == 3
    assert gallery.info()["dim"] == DIM


def test_two_that_are_open_see_each_other(make):
    one, two = make(exact_limit=100), make()
    one.add("anna", [image(1)])
    assert two.search(image(1)).name == "anna"
    fill(two, 150)
    assert one.search(image(1)).method == "approximate"
    two.add("bert", [image(2)])
    assert one.search(image(2)).name == "bert"
    one.remove("bert")
    assert two.search(image(2)).name is None
    assert one.info()["exact_limit"] == two.info()["exact_limit"] == 100


def test_threads_may_share_it(make):
    gallery = make(exact_limit=100)
    fill(gallery, 90)
    wrong = []

    def work(person):
        for number in range(10):
            gallery.add(f"thread {person}", [image(person, number)])
            if gallery.search(image(person, number)).name != f"thread {person}":
                wrong.append((person, number))

    threads = [threading.Thread(target=work, args=(person,)) for person in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert gallery.info()["faces"] == 150
    assert gallery.check() == []


def test_a_limit_too_small(make):
    with pytest.raises(LrfaceError, match="exact limit of 99"):
        make(exact_limit=99)

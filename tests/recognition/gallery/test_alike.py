"""Whose face a new one is too like."""

import numpy as np
import pytest
from gallery_stub import encoder, image

from lrface.faces.images import encode_image
from lrface.recognition.gallery.judge import Alike


def state(gallery):
    return {person.name: person.faces for person in gallery.people()}


def reasons(report):
    return [reason for _, reason in report.refused]


def test_the_same_image_is_one_persons(make, tmp_path):
    gallery, path = make(), tmp_path / "a.png"
    path.write_bytes(encode_image(image(1), "png"))
    gallery.add("George", [path])
    report = gallery.add("Wrong", [path, path.read_bytes()])
    assert reasons(report) == ["this very image is enrolled as George already (--force enrols it all the same)"] * 2
    assert gallery.add(" GEORGE ", [path]).known == 1
    assert gallery.add("Wrong", [path], force=True).added == 1
    assert gallery.add("Wrong", [path]).known == 1  # whoever has it by force has it
    assert state(gallery) == {"George": 1, "Wrong": 1}


def test_the_same_image_in_one_batch_is_the_first_ones(make):
    gallery = make()
    report = gallery.add_many([("anna", image(1)), ("Anna", image(1)), ("bert", image(1))])
    assert (report.added, report.known) == (1, 1)
    assert "enrolled as anna already" in reasons(report)[0]


@pytest.mark.parametrize("together", [True, False])
def test_a_face_too_like_somebody_elses_is_left_out(make, together):
    gallery = make()
    faces = [("anna", image(1)), ("bert", image(2)), ("wrong", image(1, 5))]
    for batch in [faces] if together else [faces[:2], faces[2:]]:
        report = gallery.add_many(batch)
    assert reasons(report)[0].startswith("too like anna's face of an image in memory to be another person's")
    assert "--force" in reasons(report)[0]
    assert state(gallery) == {"anna": 1, "bert": 1}
    forced = gallery.add("wrong", [image(1, 5)], force=True)
    assert (forced.added, forced.refused) == (1, [])
    assert "too like anna's face" in forced.notes[0]


def test_who_is_as_like_to_oneself_is_not_left_out(make):
    gallery = make()
    gallery.add("anna", [image(1)])
    gallery.add("twin", [image(1, 5)], force=True)
    again = image(1, 5)
    again[0, 0] += 1
    assert gallery.add("twin", [again]).added == 1
    assert gallery.add("other", [again + 1]).added == 0


def test_the_limit_rises_with_the_gallery():
    model = encoder(thresholds={"0.1": 0.3, "0.01": 0.4, "0.001": 0.5, "0.0001": 0.6})
    unknown = np.array([np.nan])
    limits = [float(Alike(model, None, faces).thresholds(unknown)[0]) for faces in (1, 100, 1000, 100_000)]
    np.testing.assert_allclose(limits, [0.6, 0.6, 0.7, 0.9])
    one = encoder(thresholds={"0.01": 0.4})
    assert float(Alike(one, None, 10**6).thresholds(unknown)[0]) == pytest.approx(0.4)


def test_a_model_without_thresholds_cannot_tell(make):
    gallery = make(encoder(thresholds={}))
    assert gallery.add_many([("anna", image(1)), ("bert", image(1, 5))]).added == 2

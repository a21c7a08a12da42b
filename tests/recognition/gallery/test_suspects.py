"""Faces under a wrong name."""

import pytest
from gallery_stub import encoder, image

from lrface.errors import LrfaceError


def enrol(gallery, faces):
    report = gallery.add_many(faces, force=True)
    assert report.added == len(faces)


def test_photos_of_another_person_are_found(make):
    """Two of ten are of somebody else, who resembles himself: they do not vouch for each other."""
    gallery = make()
    enrol(
        gallery,
        [("anna", image(1, number)) for number in range(8)] + [("anna", image(2, number)) for number in (20, 21)],
    )
    enrol(gallery, [("bert", image(3, number)) for number in range(4)])
    found = gallery.suspects()
    assert [(suspect.name, suspect.other) for suspect in found] == [("anna", None)] * 2
    assert all(suspect.own < 0.3 for suspect in found)
    assert "resembles nobody" in found[0].reason
    enrol(gallery, [("carl", image(2, number)) for number in range(4)])
    found = gallery.suspects()
    assert [(suspect.name, suspect.other) for suspect in found] == [("anna", "carl")] * 2
    assert all(suspect.similarity > 0.6 > suspect.own for suspect in found)
    assert "resembles carl more" in found[0].reason
    assert gallery.people()[0].faces == 10  # nothing is changed


def test_people_who_are_themselves_are_not_listed(make):
    gallery = make()
    for person in range(6):
        enrol(gallery, [(f"person {person}", image(person, number)) for number in range(person + 1)])
    assert gallery.suspects() == []


def test_an_only_photo_of_somebody_else(make):
    gallery = make()
    enrol(gallery, [("anna", image(1, number)) for number in range(3)] + [("wrong", image(1, 9))])
    suspect = gallery.suspects()[-1]  # faces of anna that are still more like this one come before
    assert (suspect.name, suspect.own, suspect.other) == ("wrong", None, "anna")
    assert suspect.as_dict()["similarity"] == suspect.similarity


def test_what_cannot_be_checked(make, tmp_path):
    assert make().suspects() == []
    gallery = make(encoder(thresholds={}))
    with pytest.raises(LrfaceError, match="no calibrated thresholds: faces of a gallery cannot be checked"):
        gallery.suspects()

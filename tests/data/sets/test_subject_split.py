"""The split depends on names and seed alone, and gives everybody both kinds of image."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.data.sets.subject_split import TEST, TRAIN, UNUSED, shuffled, split_subjects
from lrface.errors import LrfaceError


def faces_of(sizes):
    pairs = [(f"{name}/{number}", name) for name, size in sizes.items() for number in range(size)]
    return [face for face, _ in pairs], [name for _, name in pairs]


def split(sizes, people, train, test, seed=5):
    """Roles by face name."""
    faces, subjects = faces_of(sizes)
    return dict(zip(faces, split_subjects(faces, subjects, people, train, test, seed).tolist(), strict=True))


def per_person(roles, role):
    return Counter(face.split("/")[0] for face, given in roles.items() if given == role)


def test_the_protocols_numbers_are_met_exactly_where_the_data_allow():
    rng = random.Random(0)
    sizes = {f"s{number}": rng.randint(10, 60) for number in range(400)}
    roles = split(sizes, 180, 3918, 907)
    assert Counter(roles.values())[TRAIN] == 3918
    assert Counter(roles.values())[TEST] == 907
    train, test = per_person(roles, TRAIN), per_person(roles, TEST)
    assert set(train) == set(test)
    assert len(train) == 180
    for name in train:  # stratified: everybody in proportion, up to the rounding of two apportionments
        assert abs(test[name] - (train[name] + test[name]) * 907 / 4825) <= 1.001


def test_where_the_data_do_not_allow_all_is_used_in_the_same_ratio():
    roles = split({f"s{number}": 10 for number in range(20)} | {"lonely": 1}, 180, 3918, 907)
    assert Counter(roles.values()) == {TRAIN: 162, TEST: 38, UNUSED: 1}  # 200 * 907 / 4825 = 37.6
    assert roles["lonely/0"] == UNUSED
    assert set(per_person(roles, TEST).values()) <= {1, 2}


def test_people_with_more_images_step_in_only_as_needed():
    sizes = {f"few{number}": 2 for number in range(50)} | {f"many{number}": 20 for number in range(50)}
    enough = split(sizes, 10, 15, 10)
    assert any(name.startswith("few") for name in per_person(enough, TEST))
    scarce = split(sizes, 10, 150, 50)
    assert Counter(scarce.values())[TRAIN] == 150
    assert all(name.startswith("many") for name in per_person(scarce, TEST))


def test_the_split_is_the_same_whatever_order_the_faces_come_in():
    faces, subjects = faces_of({f"s{number}": 3 + number % 5 for number in range(30)})
    expected = dict(zip(faces, split_subjects(faces, subjects, 12, 40, 14, 5).tolist(), strict=True))
    order = np.random.default_rng(0).permutation(len(faces))
    moved = [faces[i] for i in order]
    roles = split_subjects(moved, [subjects[i] for i in order], 12, 40, 14, 5)
    assert dict(zip(moved, roles.tolist(), strict=True)) == expected
    assert split({f"s{number}": 3 + number % 5 for number in range(30)}, 12, 40, 14, seed=6) != expected


def test_the_order_is_the_same_for_ever():
    """Written down once, by ``printf '7\\0\\0ann' | sha256sum``: published splits depend on it."""
    assert shuffled(["ann", "bob", "cid", "dée"], 7) == FOREVER
    assert shuffled(reversed(["ann", "bob", "cid", "dée"]), 7) == FOREVER
    assert shuffled(["a\udcff", "b"], 5)  # a file name that is no UTF-8


FOREVER = ["dée", "cid", "ann", "bob"]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=12).filter(lambda sizes: sum(size > 1 for size in sizes) > 1),
    st.integers(2, 8),
    st.integers(8, 40),
    st.integers(8, 40),
)
def test_everybody_has_both_kinds_and_no_image_is_counted_twice(sizes, people, train, test):
    named = {f"s{at}": size for at, size in enumerate(sizes)}
    roles = split(named, people, train, test)
    trained, tested = per_person(roles, TRAIN), per_person(roles, TEST)
    assert set(trained) == set(tested)
    assert len(trained) == min(people, sum(size > 1 for size in sizes))
    best = sum(sorted((size for size in sizes if size > 1), reverse=True)[:people])
    assert sum(trained.values()) + sum(tested.values()) == min(best, train + test)


@pytest.mark.parametrize(
    ("sizes", "numbers", "message"),
    [
        ({"a": 5, "b": 1}, (2, 4, 4), "1 people have two images or more"),
        ({"a": 5, "b": 5}, (5, 4, 9), "everyone needs one of each"),
        ({"a": 5, "b": 5}, (1, 4, 9), "everyone needs one of each"),
    ],
)
def test_what_cannot_be_split(sizes, numbers, message):
    with pytest.raises(LrfaceError, match=message):
        split(sizes, *numbers)


def test_names_must_differ():
    with pytest.raises(LrfaceError, match=r"two faces of a are called 1\.jpg"):
        split_subjects(["1.jpg", "1.jpg", "2.jpg"], ["a", "a", "b"], 2, 2, 2, 5)

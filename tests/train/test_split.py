"""Training and held-out identities, and pairs drawn over the latter."""

import itertools

import numpy as np
import pytest

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.train.recipe import DataSection
from lrface.train.split import draw_pairs, split_store

IMAGES = [4, 3, 1, 2]  # of the identities of tiny_store


def section(**kw):
    return DataSection(store="tiny", **kw)


def test_all_images_are_trained_on_unless_said_otherwise(tiny_store):
    store = Store(tiny_store)
    split = split_store(store, section())
    assert split.train.tolist() == list(range(10))
    assert split.labels.tolist() == store.labels.tolist()
    assert split.classes == 4
    assert len(split.holdout) == 0


def test_identities_with_few_images_are_left_out_and_labels_have_no_gaps(tiny_store):
    split = split_store(Store(tiny_store), section(min_images=2))
    assert split.train.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert split.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert split.classes == 3


def test_held_out_identities_are_whole_and_apart(tiny_store):
    store = Store(tiny_store)
    split = split_store(store, section(holdout_identities=2))
    kept, held = set(store.labels[split.train]), set(store.labels[split.holdout])
    assert len(held) == 2
    assert not kept & held
    assert kept | held == {0, 1, 2, 3}
    assert 2 not in held, "one image makes no pair"
    assert sorted([*split.train, *split.holdout]) == list(range(10))
    assert split.holdout_labels.tolist() == store.labels[split.holdout].tolist()
    assert np.bincount(split.labels).tolist() == [IMAGES[label] for label in sorted(kept)]
    again = split_store(store, section(holdout_identities=2))
    assert again.holdout.tolist() == split.holdout.tolist()


def test_more_cannot_be_held_out_than_there_are(tiny_store):
    with pytest.raises(LrfaceError, match=r"holdout_identities is 4, but only 3 .* two images"):
        split_store(Store(tiny_store), section(holdout_identities=4))


def test_a_part_of_the_identities_leaves_the_held_out_ones_as_they_are(tiny_store):
    store = Store(tiny_store)
    whole = split_store(store, section(holdout_identities=1))
    parts = [split_store(store, section(holdout_identities=1, identities=number)) for number in (2, 3)]
    for number, part in zip((2, 3), parts, strict=True):
        assert part.holdout.tolist() == whole.holdout.tolist()
        assert part.classes == number
        assert np.unique(part.labels).tolist() == list(range(number))
        assert set(part.train) <= set(whole.train)
        known = set(store.labels[part.train])
        assert part.train.tolist() == [image for image in range(10) if store.labels[image] in known]
    assert set(parts[0].train) < set(parts[1].train)
    assert parts[1].train.tolist() == whole.train.tolist()


def test_no_part_is_larger_than_the_whole(tiny_store):
    with pytest.raises(LrfaceError, match=r"data\.identities is 4, but only 3 "):
        split_store(Store(tiny_store), section(holdout_identities=1, identities=4))


@pytest.mark.parametrize("kw", [{"holdout_identities": 3}, {"min_images": 4}, {"min_images": 9}])
def test_two_identities_must_be_left(tiny_store, kw):
    with pytest.raises(LrfaceError, match="at least two are needed"):
        split_store(Store(tiny_store), section(**kw))


def test_pairs_alternate_and_say_the_truth():
    labels = np.array([5, 7, 5, 9, 7, 5, 7, 9, 5])
    a, b, same = draw_pairs(labels, 8)
    assert same.tolist() == [True, False] * (len(same) // 2)
    assert (labels[a] == labels[b]).tolist() == same.tolist()
    assert (a != b).all()
    pairs = [frozenset(pair) for pair in zip(a[same].tolist(), b[same].tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs) == 8


def test_no_same_pair_is_wanting_where_all_are_asked_for():
    labels = np.repeat([3, 1, 2], [4, 3, 1])
    a, b, same = draw_pairs(labels, 100)
    found = {frozenset(pair) for pair in zip(a[same].tolist(), b[same].tolist(), strict=True)}
    expected = {frozenset(pair) for pair in itertools.combinations(range(8), 2) if labels[pair[0]] == labels[pair[1]]}
    assert found == expected
    assert len(a) == 2 * len(expected)


def test_pairs_depend_on_the_seed_alone():
    labels = np.repeat(np.arange(6), 5)
    first, again, other = (draw_pairs(labels, 20, seed) for seed in (1, 1, 2))
    assert all((x == y).all() for x, y in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2, 3, 4], "no validation pairs"),
        ([1, 1, 1, 1], "no validation pairs"),
        ([1, 1, 2, 2], "only 4 validation pairs can be drawn, 10 are needed"),
    ],
)
def test_labels_without_enough_pairs(labels, message):
    with pytest.raises(LrfaceError, match=message):
        draw_pairs(np.array(labels), 20)

"""Tracks of one person come into one group."""

import numpy as np

from lrface.video.clusters import group_tracks
from lrface.video.events import Person


def person(track, angle, start, name=None):
    template = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return Person(track, name, start, start + 1, 5, None, None, None, None, 12.0, 12.0, (0, 0, 1, 1), start, template)


def limits(a, b, looks, other):
    return np.full(np.broadcast_shapes(np.shape(a), np.shape(b)), 0.9)


def tracks_of(groups):
    return [[track.track for track in group.tracks] for group in groups]


def test_similar_unknown_tracks_are_one_person():
    people = [person(1, 0.0, 0), person(2, 1.5, 2), person(3, 0.1, 4), person(4, 1.6, 6), person(5, 0.2, 8)]
    assert tracks_of(group_tracks(people, limits)) == [[1, 3, 5], [2, 4]]
    assert tracks_of(group_tracks(people, None)) == [[1], [2], [3], [4], [5]]


def test_groups_are_joined_by_the_mean_similarity():
    """The cosine of neighbours is above the threshold, and the mean of all pairs between the outer ones is not."""
    people = [person(track, angle, 2 * track) for track, angle in enumerate((0.0, 0.35, 0.8, 1.2), 1)]
    assert tracks_of(group_tracks(people, limits)) == [[1, 2], [3, 4]]


def test_who_is_there_at_the_same_time_is_another():
    people = [person(1, 0.0, 0), person(2, 0.0, 0.5), person(3, 0.0, 5)]
    groups = tracks_of(group_tracks(people, limits))
    assert sorted(map(len, groups)) == [1, 2]
    assert not any({1, 2} <= set(group) for group in groups)


def test_named_tracks_come_first_by_name():
    people = [person(1, 0.0, 0), person(2, 1.5, 1, "Rosa"), person(3, 0.0, 2, "Rosa")]
    assert tracks_of(group_tracks(people, limits)) == [[2, 3], [1]]

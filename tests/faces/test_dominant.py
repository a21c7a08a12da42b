"""Which face matters, before all of an image is searched."""

from types import SimpleNamespace

import numpy as np
import pytest

from lrface.faces.align import TEMPLATE
from lrface.faces.detect import Face, select_face
from lrface.faces.turn import dominant

SHAPE = (400, 400, 3)

DETECTOR = SimpleNamespace(sure=0.75)


def face(x, y, side, score=0.9):
    return Face(np.float32([x, y, x + side, y + side]), TEMPLATE * side / 112 + np.float32([x, y]), score)


def test_a_large_face_in_the_middle_settles_it():
    main = face(150, 150, 100)
    for rule in ("largest-central", "largest"):
        assert dominant([face(10, 10, 60), main], SHAPE, rule, DETECTOR) is main


@pytest.mark.parametrize("rule", ["central", "score"])
def test_a_small_face_that_is_not_found_yet_could_be_chosen_by_other_rules(rule):
    assert dominant([face(150, 150, 100)], SHAPE, rule, DETECTOR) is None


def test_a_doubtful_face_settles_nothing():
    assert dominant([face(150, 150, 100, 0.7)], SHAPE, "largest", DETECTOR) is None
    turned = face(150, 150, 100)
    turned.landmarks[:] = turned.landmarks[[3, 4, 2, 0, 1]]
    assert dominant([turned], SHAPE, "largest", DETECTOR) is None


def test_a_large_face_settles_it_only_where_no_smaller_one_can_win():
    """The limit is compared with the rule itself: a face of half the side, in the very middle, is the strongest rival."""
    rival = face(175, 175, 50)
    settled = []
    for x in range(150, 260, 5):
        main = face(x, 150, 100)
        settled.append(dominant([main], SHAPE, "largest-central", DETECTOR) is main)
        if settled[-1]:
            assert select_face([main, rival], SHAPE) is main
    assert settled[0]
    assert not settled[-1]

"""Generated clips: the truth fits the picture, and equal seeds give equal clips."""

import json

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the extra video")

from make_clips import Actor, Look, make_clip

from lrface.video.sources import open_source

WHITE = np.full((100, 100, 3), 255, np.uint8)


def frames_of(path):
    return [frame.image for frame in open_source(path, print).frames()]


def test_faces_are_where_the_truth_says(tmp_path):
    actors = [Actor("ann", (WHITE,), 50.0), Actor("bob", (WHITE,), 50.0)]
    truth = make_clip(tmp_path / "a.mp4", actors, Look(16, 12), seed=3)
    assert json.loads((tmp_path / "a.json").read_text()) == truth
    frames = frames_of(tmp_path / "a.mp4")
    assert len(frames) == 12
    for number, person, left, top, right, bottom, seen in truth["boxes"]:
        image = frames[number].astype(int)
        lane = slice(max(0, int(top) - 12), int(bottom) + 12)
        rows, columns = np.nonzero(image[lane].min(axis=2) > 215)
        assert seen == 1
        assert columns.mean() + 0.5 == pytest.approx((left + right) / 2, abs=1.0), (number, person)
        assert rows.mean() + lane.start + 0.5 == pytest.approx((top + bottom) / 2, abs=1.0), (number, person)
        assert right - left == pytest.approx(16, rel=0.11)


def test_equal_seeds_give_equal_clips(tmp_path):
    actors = [Actor("ann", (WHITE,), 50.0)]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_clip(tmp_path / f"{name}.mp4", actors, Look(16, 6), seed)
    a, b, c = (np.stack(frames_of(tmp_path / f"{name}.mp4")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_pillar_hides_part_of_a_face(tmp_path):
    truth = make_clip(tmp_path / "a.mp4", [Actor("ann", (WHITE,), 50.0)], Look(16, 40, pillar=True), seed=1)
    seen = [row[-1] for row in truth["boxes"]]
    assert min(seen) == 0
    assert max(seen) == 1
    hidden = int(np.argmin(seen))
    image = frames_of(tmp_path / "a.mp4")[hidden]
    left, top, right, bottom = (int(edge) for edge in truth["boxes"][hidden][2:6])
    assert image[top:bottom, left + 1 : right].max() < 110

"""Real clips come out as people see them: one track a person who stays. What is to be seen is in ``real_clips.json``."""

import json
from pathlib import Path

import pytest

import lrface

TRUTH = json.loads(Path(__file__).with_name("real_clips.json").read_text())

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.mark.parametrize("name", TRUTH)
def test_a_track_is_a_person(name, shared_data, tmp_path):
    truth = TRUTH[name]
    events = lrface.watch(shared_data / "video" / name, out=tmp_path / "out", every=1 if truth["seconds"] < 60 else 2)
    people = [event.person for event in events]
    staying = [person for person in people if not any(_within(person, part) for part in truth.get("passing", []))]
    assert len(staying) == truth["people"]
    for part in truth.get("passing", []):
        assert sum(_within(person, part) for person in people) <= 1
    for person in staying:  # all of them stay from the first frame to the last
        assert person.start <= 0.2
        assert person.end >= truth["seconds"] - 0.2
    assert (tmp_path / "out" / "report.html").is_file()


def _within(person, part):
    return part[0] <= person.start and person.end <= part[1]

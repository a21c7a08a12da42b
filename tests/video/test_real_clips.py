"""Real clips come out as people see them: one track a person who stays. What is to be seen is in ``real_clips.json``."""

import json
from pathlib import Path

import pytest

import lrface

TRUTH = json.loads(Path(__file__).with_name("real_clips.json").read_text())


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTH)
def test_a_track_is_a_person(name, shared_data, tmp_path):
    people = [event.person for event in lrface.watch(shared_data / "video" / name, out=tmp_path / "out")]
    assert len(people) == TRUTH[name]["tracks"]
    for person in people:  # all of them stay from the first frame to the last
        assert person.start <= 0.2
        assert person.end >= TRUTH[name]["seconds"] - 0.2
    assert (tmp_path / "out" / "report.html").is_file()

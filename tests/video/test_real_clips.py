"""Real clips come out as people see them: one track for each person who stays. What is visible is in ``real_clips.json``."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

import lrface
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery import Gallery

TRUTH = json.loads(Path(__file__).with_name("real_clips.json").read_text())

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.mark.parametrize("name", TRUTH)
def test_a_track_is_a_person(name, shared_data, tmp_path):
    truth = TRUTH[name]
    events = lrface.watch(shared_data / "video" / name, out=tmp_path / "out", every=1 if truth["seconds"] < 60 else 2)
    people = [event.person for event in events if event.kind == "ended"]
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


class Dying(FaceEncoder):
    """Kills its process at one of the frames."""

    left = 0

    def faces_of_frames(self, frames, near=None):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().faces_of_frames(frames, near)


def _run(clip, gallery, out, frames, resume):
    encoder = Dying.load(turn=False, threads=1)
    encoder.left = frames
    for _ in lrface.watch(clip, gallery, encoder, out, resume=resume):
        pass


def test_killed_and_resumed_equals_unbroken_and_names_people(shared_data, tmp_path):
    clip = shared_data / "video" / "face-demographics-walking-and-pause.gif"
    encoder = FaceEncoder.load(turn=False, threads=1)
    list(lrface.watch(clip, None, encoder, tmp_path / "first"))
    gallery = tmp_path / "people"
    crops = FaceEncoder.load(detector="none", threads=1)
    with Gallery.open(gallery, crops) as opened:
        for track in (1, 2):
            opened.add(f"Person {track}", [tmp_path / "first" / "crops" / f"{track:05d}.jpg"])
    events = list(lrface.watch(clip, gallery, encoder, tmp_path / "whole"))
    assert [event.person.name for event in events if event.kind == "ended"] == ["Person 1", "Person 2", None]
    spawn = multiprocessing.get_context("spawn")
    for frames, resume in ((9, False), (15, True)):
        process = spawn.Process(target=_run, args=(clip, gallery, tmp_path / "broken", frames, resume))
        process.start()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
    list(lrface.watch(clip, gallery, encoder, tmp_path / "broken", resume=True))
    for name in ("tracks.jsonl", "journal.jsonl"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    crops = [
        {path.name: path.read_bytes() for path in (tmp_path / out / "crops").iterdir()} for out in ("broken", "whole")
    ]
    assert crops[0] == crops[1]

"""Watching a clip: who comes out, what is written, and that a kill changes nothing."""

import json
import multiprocessing
import os
import signal

import pandas as pd
import pytest
from watch_stub import BLUE, RED, ColourEncoder, SearchedDiscs, disc_frame, write_video

import lrface
from lrface.errors import LrfaceError


def ended(events):
    return [event.person for event in events if event.kind == "ended"]


def test_each_person_is_one_track_with_its_name(clip, encoder, gallery):
    events = list(lrface.watch(clip, gallery, encoder))
    people = ended(events)
    assert sorted((person.name or "", person.faces) for person in people) == [("", 20), ("Greta", 40), ("Rosa", 40)]
    unknown = next(person for person in people if person.name is None)
    assert unknown.start == pytest.approx(2.0, abs=0.01)
    assert unknown.end == pytest.approx(3.9, abs=0.01)
    named = [event for event in events if event.kind == "named"]
    assert {event.person.name for event in named} == {"Rosa", "Greta"}
    assert all(event.person.faces >= 4 for event in named)  # never on one frame
    assert all(event.time < 1 for event in named)


def test_without_a_gallery_nobody_is_named(clip, encoder):
    events = list(lrface.watch(clip, encoder=encoder))
    assert [event.kind for event in events] == ["ended"] * 3
    assert all(person.name is None and person.similarity is None for person in ended(events))


def test_every_fifth_frame_is_enough(clip, encoder):
    people = ended(lrface.watch(clip, encoder=encoder, every=5))
    assert sorted(person.faces for person in people) == [4, 8, 8]


def test_the_folder_holds_tracks_crops_and_a_page(clip, encoder, gallery, tmp_path):
    out = tmp_path / "out"
    people = ended(lrface.watch(clip, gallery, encoder, out))
    lines = [json.loads(line) for line in (out / "tracks.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == [person.name for person in people]
    table = pd.read_parquet(out / "tracks.parquet")
    assert table["faces"].tolist() == [person.faces for person in people]
    assert len(table["template"][0]) == encoder.embedder.dim
    assert {f"{person.track:05d}.jpg" for person in people} <= {path.name for path in (out / "crops").iterdir()}
    page = (out / "report.html").read_text()
    assert "Rosa" in page
    assert "lrface gallery add NAME" in page
    assert "data:image/jpeg" in page
    assert "http" not in page  # it opens offline
    assert json.loads((out / "watch.json").read_text())["finished"]


def test_no_faces_leaves_every_picture_out(clip, encoder, tmp_path):
    list(lrface.watch(clip, None, encoder, tmp_path / "out", faces=False))
    assert not list((tmp_path / "out").rglob("*.jpg"))
    assert "data:image" not in (tmp_path / "out" / "report.html").read_text()
    looks = [
        look
        for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()
        for look in json.loads(line)["looks"]
    ]
    assert looks
    assert all(look["crop"] is None for look in looks)


def test_the_picture_has_boxes_and_true_times(clip, encoder, gallery, tmp_path):
    import av

    list(lrface.watch(clip, gallery, encoder, tmp_path / "out", video=True))
    with av.open(str(tmp_path / "out" / "video.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time, 2) for frame in frames] == [round(number / 10, 2) for number in range(40)]
    image = frames[20].to_ndarray(format="rgb24")
    greens = (image[..., 1] > 90) & (image[..., 0] < 80) & (image[..., 2] < 110)
    assert greens.sum() > 60  # the box of somebody known


def test_a_person_behind_a_pillar_stays_one_track(encoder, tmp_path):
    frames = [disc_frame([] if 12 <= number < 24 else [(20 + 3 * number, 48, RED)]) for number in range(40)]
    people = ended(lrface.watch(write_video(tmp_path / "a.mp4", frames), encoder=encoder))
    assert [(person.faces, round(person.start, 1), round(person.end, 1)) for person in people] == [(28, 0.0, 3.9)]


def test_who_comes_out_behind_the_pillar_may_be_another(encoder, tmp_path):
    frames = [
        disc_frame([] if 12 <= number < 24 else [(20 + 3 * number, 48, RED if number < 12 else BLUE)])
        for number in range(40)
    ]
    people = ended(lrface.watch(write_video(tmp_path / "a.mp4", frames), encoder=encoder))
    assert [person.faces for person in people] == [12, 16]


def test_a_name_is_corrected_by_better_looks(encoder, gallery, tmp_path):
    from watch_stub import GREEN

    frames = [disc_frame([(40 + number, 48, RED if number < 5 else GREEN)]) for number in range(60)]
    events = list(lrface.watch(write_video(tmp_path / "a.mp4", frames), gallery, encoder))
    assert next(event.person.name for event in events if event.kind == "named") == "Rosa"
    assert [event.person.name for event in events if event.kind == "corrected"]
    assert ended(events)[0].name == "Greta"


def test_the_whole_frame_is_searched_now_and_then_and_known_people_in_between(clip, encoder):
    detector = SearchedDiscs()
    people = ended(lrface.watch(clip, encoder=ColourEncoder(detector), search=0.5))
    assert (detector.whole, detector.near) == (8, 32)  # four seconds, ten frames a second
    assert [(person.faces, person.start) for person in people] == [
        (person.faces, person.start) for person in ended(lrface.watch(clip, encoder=encoder))
    ]


def test_who_comes_between_two_searches_is_seen_at_the_next(encoder, tmp_path):
    frames = [disc_frame([(40, 48, RED)] + [(120, 48, BLUE)] * (number >= 12)) for number in range(40)]
    clip = write_video(tmp_path / "a.mp4", frames)
    people = ended(lrface.watch(clip, encoder=ColourEncoder(SearchedDiscs()), search=1.0))
    assert [round(person.start, 1) for person in people] == [0.0, 2.0]
    assert [round(person.start, 1) for person in ended(lrface.watch(clip, encoder=encoder))] == [0.0, 1.2]


def test_who_walks_fast_is_looked_for_where_the_walk_leads(tmp_path):
    frames = [disc_frame([(20 + 24 * number, 48, RED)], (1000, 96)) for number in range(40)]
    detector = SearchedDiscs()
    clip = write_video(tmp_path / "a.mp4", frames)
    (person,) = ended(lrface.watch(clip, encoder=ColourEncoder(detector), search=1))
    assert (person.faces, detector.whole) == (40, 4)


@pytest.mark.parametrize("batch", [3, 64])
def test_frames_in_batches_give_the_same_tracks(clip, encoder, gallery, tmp_path, batch):
    detector = SearchedDiscs()
    people = ended(lrface.watch(clip, gallery, ColourEncoder(detector), tmp_path / "a", search=0, batch=batch))
    assert (detector.whole, detector.near, detector.together) == (0 if batch == 64 else 1, 0, 13 if batch == 3 else 1)
    assert [person.as_dict() for person in people] == [
        person.as_dict() for person in ended(lrface.watch(clip, gallery, encoder, tmp_path / "b"))
    ]
    assert (tmp_path / "a" / "journal.jsonl").read_bytes() == (tmp_path / "b" / "journal.jsonl").read_bytes()


def test_frames_of_several_sizes_are_searched_one_by_one(tmp_path):
    from lrface.faces.images import encode_image

    (tmp_path / "frames").mkdir()
    for number in range(6):
        size = (160, 96) if number % 2 else (140, 90)
        (tmp_path / "frames" / f"{number}.png").write_bytes(encode_image(disc_frame([(60, 48, RED)], size), "png"))
    detector = SearchedDiscs()
    (person,) = ended(lrface.watch(tmp_path / "frames", encoder=ColourEncoder(detector), search=0, batch=4))
    assert (person.faces, detector.whole, detector.together) == (6, 6, 0)


class Dying(ColourEncoder):
    """Kills its process while looking at one of the frames."""

    def __init__(self, frame):
        super().__init__(SearchedDiscs())
        self.left = frame

    def faces_of_frames(self, frames, near=None):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().faces_of_frames(frames, near)


def _run(clip, gallery, out, frame, resume):
    for _ in lrface.watch(clip, gallery, Dying(frame), out, patience=0.5, resume=resume):
        pass


def test_killed_and_resumed_equals_unbroken(gallery, tmp_path):
    frames = [disc_frame([(20 + 5 * (number % 20), 20 + 25 * (number // 20), RED)]) for number in range(60)]
    for number in (*range(18, 26), *range(38, 46)):
        frames[number] = disc_frame([])
    clip = write_video(tmp_path / "a.mp4", frames)
    list(lrface.watch(clip, gallery, ColourEncoder(SearchedDiscs()), tmp_path / "whole", patience=0.5))
    broken = tmp_path / "broken"
    spawn = multiprocessing.get_context("spawn")
    for attempt, frame in enumerate((7, 23, 5)):
        process = spawn.Process(target=_run, args=(clip, gallery, broken, frame, attempt > 0))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
    with (broken / "tracks.jsonl").open("a") as file:
        file.write('{"track": 9, "na')  # a line that the kill cut short
    list(lrface.watch(clip, gallery, ColourEncoder(SearchedDiscs()), broken, patience=0.5, resume=True))
    for name in ("tracks.jsonl", "report.html", "journal.jsonl"):
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert (
        pd.read_parquet(broken / "tracks.parquet")
        .astype(str)
        .equals(pd.read_parquet(tmp_path / "whole" / "tracks.parquet").astype(str))
    )
    assert {path.name: path.read_bytes() for path in (broken / "crops").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "whole" / "crops").iterdir()
    }
    assert len((broken / "tracks.jsonl").read_text().splitlines()) == 3


def test_realtime_drops_frames_and_says_how_many(clip, encoder):
    import time

    class Slow(ColourEncoder):
        def faces_of_frames(self, frames, near=None):
            time.sleep(0.35)
            return super().faces_of_frames(frames, near)

    lines = []
    people = ended(lrface.watch(clip, encoder=Slow(), log=lines.append, realtime=True, looks=1))
    assert people
    assert any("frames were dropped" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resume": True}, "give --out"),
        ({"video": True}, "give --out"),
        ({"every": 0}, "every"),
        ({"search": -1}, "search of 0 at least"),
        ({"batch": 4}, "give search 0 with a batch"),
        ({"far": 0.5}, "not calibrated"),
    ],
)
def test_what_makes_no_sense_is_refused(clip, encoder, gallery, options, words):
    with pytest.raises(LrfaceError, match=words):
        list(lrface.watch(clip, gallery, encoder, **options))


def test_a_folder_is_not_mixed_up(clip, encoder, tmp_path):
    out = tmp_path / "out"
    running = lrface.watch(clip, None, encoder, out)
    next(running)
    with pytest.raises(LrfaceError, match="another watch is writing"):
        list(lrface.watch(clip, None, encoder, out, resume=True))
    running.close()
    with pytest.raises(LrfaceError, match="--resume goes on"):
        list(lrface.watch(clip, None, encoder, out))
    with pytest.raises(LrfaceError, match="begun with every 1, and now it is 2"):
        list(lrface.watch(clip, None, encoder, out, resume=True, every=2))


def test_a_gallery_of_another_model_is_refused(clip, gallery):
    class Other(ColourEncoder):
        def __init__(self):
            super().__init__()
            self.embedder.fingerprint = "ab" * 32

    with pytest.raises(LrfaceError, match="was made with the model"):
        list(lrface.watch(clip, gallery, Other()))


def test_a_full_disk_is_one_line(clip, encoder, tmp_path, monkeypatch):
    from lrface.video import journal

    real = journal.Lines.append
    written = []

    def append(self, content):
        written.append(content)
        if len(written) == 12:
            self._file = open("/dev/full", "wb")  # noqa: SIM115 (the journal closes it)
        real(self, content)

    monkeypatch.setattr(journal.Lines, "append", append)
    with pytest.raises(LrfaceError, match="No space left on device; what was written before can be read"):
        list(lrface.watch(clip, None, encoder, tmp_path / "out"))
    monkeypatch.undo()
    assert len(ended(lrface.watch(clip, None, encoder, tmp_path / "out", resume=True))) == 3


def test_a_threshold_of_templates_decides(clip, encoder, gallery):
    import numpy as np

    from lrface.faces.calibration import Calibration
    from lrface.faces.looks import LooksShift

    def calibrated(shift):
        fars = (0.1, 0.01, 0.001)
        tables = {far: np.full((2, 2), 0.95 - 0.1 * far) for far in fars}
        looks = LooksShift(np.array([1.0, 8.0, 32.0]), {far: np.array([0.0, 0.0, shift]) for far in fars})
        return Calibration(
            np.array([4.0, 24.0]), tables, {0.5: np.ones((2, 2))}, np.zeros((2, 4)), np.ones(2), {}, looks
        )

    encoder.__dict__["calibration"] = calibrated(0.0)
    assert {person.name for person in ended(lrface.watch(clip, gallery, encoder))} == {"Rosa", "Greta", None}
    encoder.__dict__["calibration"] = calibrated(1.0)  # what eight looks were enough for, forty are not
    events = list(lrface.watch(clip, gallery, encoder))
    assert [event.kind for event in events if event.person.name is None].count("corrected") == 2
    assert {person.name for person in ended(events)} == {None}
    assert all(person.threshold > 1 for person in ended(events) if person.faces == 40)

"""``lrface watch``."""

import json

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.faces.detect import Face

pytest.importorskip("av", reason="needs the extra video")
pytest.importorskip("trackers", reason="needs the extra video")


class OneFace:
    """Finds one face, where the drawn one is."""

    name = "one"

    def detect(self, image):
        from lrface.faces.align import TEMPLATE

        return [Face(_BOX, (TEMPLATE * 0.5 + 10).astype("float32"), 0.9)]


_BOX = np.array([10, 10, 66, 66], np.float32)


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """A folder of eight frames of one drawn person, and a detector that finds the face."""
    import cv2

    from lrface.faces.images import encode_image

    monkeypatch.setattr("lrface.recognition.encoder.create_detector", lambda name, device, **options: OneFace())
    folder = tmp_path / "frames"
    folder.mkdir()
    small = cv2.resize(face(3, 0, seed=1), (56, 56), interpolation=cv2.INTER_AREA)
    for number in range(8):
        image = np.full((80, 120, 3), 40, np.uint8)
        image[10:66, 10:66] = small
        (folder / f"{number}.png").write_bytes(encode_image(image, "png"))
    return folder


def test_a_person_is_told_named_and_written(lrface, frames, model, tmp_path):
    gallery, out = tmp_path / "people", tmp_path / "out"
    options = ("--model", model, "--detector", "mtcnn")
    assert lrface("gallery", "add", "Ann", frames / "0.png", "--gallery", gallery, *options, "--force").status == 0
    done = lrface("watch", frames, "--gallery", gallery, "--out", out, *options, "--threshold", "0.9")
    assert done.status == 0
    assert done.out.splitlines()[0].startswith("Ann: 0:00.0 to 0:00.3, 8 looks, similarity ")
    assert f"1 track; see {out}/report.html" in done.out
    assert "track 1 is Ann" in done.err
    assert lrface("watch", frames, "--out", out, *options).refused("holds a watch already")
    again = lrface("watch", frames, "--gallery", gallery, "--out", out, *options, "--threshold", "0.9", "--resume")
    assert "this watch is finished" in again.err


def test_events_as_json(lrface, frames, model):
    done = lrface("watch", frames, "--model", model, "--detector", "mtcnn", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["event"], line["name"], line["faces"]) for line in lines] == [("ended", None, 8)]


def test_no_video_is_refused(lrface, model, tmp_path):
    (tmp_path / "a.mp4").write_text("a letter")
    assert lrface("watch", tmp_path / "a.mp4", "--model", model).refused("a.mp4", "cannot be opened as a video")
    assert lrface("watch", tmp_path / "b.mp4", "--model", model).refused("b.mp4", "no such file")
    assert lrface("watch", "", "--model", model).refused("empty")

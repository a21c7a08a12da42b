"""Videos: who was there when, told line by line; what is no video, and what may not be opened."""

import base64
import io
import json
import threading

import pytest

pytest.importorskip("av", reason="needs the extra video")
pytest.importorskip("trackers", reason="needs the extra video")

from watch_stub import crossing, write_video

from lrface.serve.batching import Upright
from lrface.serve.clip import Clip, watch_clip

HERE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Four seconds: Rosa and Greta cross, somebody comes."""
    return write_video(tmp_path_factory.mktemp("clips") / "door.mp4", crossing()).read_bytes()


@pytest.fixture
def watching(disc_engine):
    """``watching(**settings)``: a client of a service that knows Rosa, who is red, and Greta, who is green."""
    from contextlib import ExitStack

    from fastapi.testclient import TestClient

    from lrface.serve.app import create_app
    from lrface.serve.settings import Settings

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            TestClient(create_app(disc_engine(), Settings(**options)), base_url=HERE, raise_server_exceptions=False)
        )


def watch(client, data, **fields):
    return client.post("/watch", files={"video": ("a.mp4", data)}, data=fields)


def lines(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_who_was_there_when(watching, video):
    told = lines(watch(watching(), video, every=1))
    assert {line["person"]["name"] for line in told if line["kind"] == "named"} == {"Rosa", "Greta"}
    last = told[-1]
    assert (last["kind"], last["complete"], last["notes"], last["every"]) == ("done", True, [], 1)
    assert last["frames"] == 40
    assert [group["name"] for group in last["people"]] == ["Rosa", "Greta", None]
    (unknown,) = last["people"][2]["tracks"]
    assert unknown["start"] == pytest.approx(2.0, abs=0.15)
    assert unknown["end"] == pytest.approx(3.9, abs=0.15)
    assert unknown["crop"].startswith("data:image/jpeg;base64,")


def test_base64_answers_as_a_form_does(watching, video):
    client = watching()
    text = base64.b64encode(video).decode()
    by_json = lines(client.post("/watch", json={"video": text, "every": 2, "crops": False}))
    by_form = lines(watch(client, video, every=2, crops="false"))
    assert by_json[-1] == by_form[-1]
    assert all(track["crop"] is None for group in by_json[-1]["people"] for track in group["tracks"])


@pytest.mark.parametrize(
    "data",
    [
        b"no video",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
def test_what_is_no_video_is_a_line(watching, data):
    answer = watch(watching(), data)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("the video cannot be read")


@pytest.mark.parametrize("value", [None, 0, True, 1.5, [], {}, ["/etc/passwd"], "/etc/passwd", "file:///etc/passwd"])
def test_only_bytes_are_a_video(watching, value):
    answer = watching().post("/watch", json={"video": value})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("video: ")


def test_a_playlist_reads_no_file_of_this_machine(watching, video, tmp_path):
    (tmp_path / "secret.ts").write_bytes(video)
    for line in (f"file://{tmp_path}/secret.ts", f"{tmp_path}/secret.ts"):
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{line}\n#EXT-X-ENDLIST\n"
        assert watch(watching(), playlist.encode()).status_code == 422


def test_a_rate_that_the_model_does_not_know(watching, video):
    answer = watch(watching(), video, far=0.5)
    assert answer.status_code == 422
    assert "not calibrated" in answer.json()["error"]


def test_the_time_is_bounded_and_what_was_seen_is_told(watching, video):
    engine, told = watching().app.state.engine, []
    watch_clip(engine, io.BytesIO(video), 1, 0.001, None, True, 1e-9, told.append, lambda: False)
    last = told[-1]
    assert not last["complete"]
    assert "more than 1e-09 seconds" in last["notes"][0]


def test_a_video_may_be_larger_than_other_bodies_but_not_without_bound(watching, video):
    client = watching(max_bytes=2000, video_bytes=len(video) + 1000)
    assert lines(watch(client, video))[-1]["complete"]
    assert watch(client, video + bytes(2000)).status_code == 413
    assert client.post("/watch", json={"video": base64.b64encode(video).decode()}).status_code == 413


def test_one_video_at_a_time(watching, video):
    client = watching()
    begun, go_on = threading.Event(), threading.Event()
    faces = Upright.faces_of_frames

    def slow(*arguments):
        begun.set()
        go_on.wait(30)
        return faces(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Upright, "faces_of_frames", slow)
        other = threading.Thread(target=watch, args=(client, video))
        other.start()
        assert begun.wait(30)
        answer = watch(client, video)
        go_on.set()
        other.join()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert lines(watch(client, video))[-1]["complete"]


def test_a_watch_ends_when_nobody_listens(video):
    clip = Clip(io.BytesIO(video), 60, lambda: clip.frames_read >= 3, lambda _: None)
    assert sum(1 for _ in clip.frames()) == 3


def test_frames_that_are_too_large_are_refused(video, monkeypatch):
    monkeypatch.setattr("lrface.serve.clip.MOST_PIXELS", 1000)
    with pytest.raises(Exception, match="more than 1,000 pixels"):
        Clip(io.BytesIO(video), 60, lambda: False, lambda _: None)


def test_a_service_may_watch_no_videos(watching, video):
    client = watching(videos=0)
    assert client.get("/health").json()["video"] is False
    assert watch(client, video).status_code == 404

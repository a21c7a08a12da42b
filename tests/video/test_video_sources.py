"""Where frames come from: files, folders, streams; what is broken, turned, late or no video at all."""

import http.server
import socket
import struct
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from watch_stub import RED, crossing, disc_frame, write_video

import lrface
from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.video.sources import open_source
from lrface.video.streams import ATTEMPTS, Stream


def silent(line):
    raise AssertionError(line)


def times(source):
    return [round(frame.time, 3) for frame in source.frames()]


def test_a_file_has_true_times(tmp_path):
    wanted = [0.0, 0.1, 0.15, 0.9, 1.0, 3.0]
    path = write_video(tmp_path / "a.mp4", [disc_frame([(20 + number, 40, RED)]) for number in range(6)], wanted)
    assert times(open_source(path, silent)) == wanted


def test_a_gif_is_a_video(tmp_path):
    from PIL import Image

    pictures = [Image.fromarray(disc_frame([(20 + 9 * number, 40, RED)])) for number in range(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=200)
    frames = list(open_source(tmp_path / "a.gif", silent).frames())
    assert [round(frame.time, 2) for frame in frames] == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert frames[2].image.shape == (96, 160, 3)
    assert frames[2].image[40, 38].tolist() == pytest.approx(list(RED), abs=12)


def test_a_folder_is_read_by_number_and_without_what_is_broken(tmp_path):
    for number in (2, 10, 1):
        image = disc_frame([(10 * number + 20, 40, RED)])
        (tmp_path / f"frame{number}.png").write_bytes(encode_image(image, "png"))
    (tmp_path / "frame5.png").write_bytes(b"\x89PNG and no more")
    lines = []
    frames = list(open_source(tmp_path, lines.append).frames())
    assert [frame.index for frame in frames] == [0, 1, 3]
    places = [int(np.flatnonzero(frame.image[40, :, 0] > 128).mean()) for frame in frames]
    assert places == [30, 40, 120]
    assert len(lines) == 1
    assert "frame5.png" in lines[0]


@pytest.mark.parametrize(("degrees", "shape"), [(0, (96, 160)), (90, (160, 96)), (180, (96, 160)), (270, (160, 96))])
def test_rotation_is_obeyed(tmp_path, degrees, shape):
    path = write_video(tmp_path / "a.mp4", [disc_frame([(20, 20, RED)])] * 3)
    turn_track(path, degrees)
    frame = next(open_source(path, silent).frames())
    assert frame.image.shape[:2] == shape
    row, column = (int(axis.mean()) for axis in np.nonzero(frame.image[..., 0] > 128))
    turned = np.rot90(disc_frame([(20, 20, RED)]), -degrees // 90)  # a phone's 90 means: turn it clockwise to show it
    assert (row, column) == pytest.approx(tuple(int(axis.mean()) for axis in np.nonzero(turned[..., 0] > 128)), abs=2)


def turn_track(path, degrees):
    """Write the rotation into the track header of an MP4 file, as a phone does."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    data[place : place + 36] = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def test_a_broken_frame_goes_on(tmp_path):
    path = write_video(tmp_path / "a.ts", crossing())
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * 3] = np.random.default_rng(0).bytes(188 * 3)
    path.write_bytes(data)
    lines = []
    found = times(open_source(path, lines.append))
    assert 30 <= len(found) <= 40
    assert found == sorted(set(found))
    assert found[-1] == pytest.approx(3.9, abs=0.11)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"this is a letter, no video" * 50, "cannot be opened as a video"), (b"", "cannot be opened as a video")],
)
def test_no_video_is_one_line(tmp_path, content, words):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(LrfaceError, match=words) as caught:
        list(open_source(path, silent).frames())
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_sound_alone_is_no_video(tmp_path):
    import av

    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(LrfaceError, match="holds no video"):
        open_source(path, silent)


@pytest.mark.parametrize("name", ["", "nowhere.mp4"])
def test_what_is_not_there_is_named(name):
    with pytest.raises(LrfaceError, match=name or "empty"):
        open_source(name, silent)


def test_an_empty_folder_and_no_camera(tmp_path):
    with pytest.raises(LrfaceError, match="holds no images"):
        open_source(tmp_path, silent)
    with pytest.raises(LrfaceError, match=r"camera 97 .* cannot be opened"):
        list(open_source(97, silent).frames())


@contextmanager
def served(parts, seconds=0.0):
    """A server on loopback that answers one request after another with these bytes, spread over so many seconds, and then 404."""
    left = list(parts)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not left:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            part = left.pop(0)
            for start in range(0, len(part), 188):
                self.wfile.write(part[start : start + 188])
                time.sleep(seconds * 188 / len(part))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
    finally:
        server.shutdown()
        server.server_close()


def test_a_stream_that_breaks_is_opened_again(tmp_path):
    frames = crossing()
    parts = [
        write_video(tmp_path / f"{number}.ts", part).read_bytes()
        for number, part in enumerate((frames[:20], frames[20:]))
    ]
    lines, pauses = [], []
    with served(parts) as url:
        stream = Stream(url, lines.append, 5.0, pauses.append)
        found = []
        with pytest.raises(LrfaceError, match="broke off after 40 frames, and does not come back"):
            found.extend((frame.index, frame.time) for frame in stream.frames())
    assert [index for index, _ in found] == list(range(40))
    assert [time for _, time in found] == sorted({time for _, time in found})
    assert "broke off after 20 frames" in lines[0]
    assert len(pauses) == ATTEMPTS + 1  # one after each part that came, and one after each failure but the last
    assert pauses[2:] == sorted(pauses[2:])
    assert pauses[-1] > 10 * pauses[0]


def test_what_a_broken_stream_gave_is_written(tmp_path, encoder, monkeypatch):
    from lrface.video import streams

    monkeypatch.setattr(streams, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(streams, "LONGEST_PAUSE", 0.002)
    part = write_video(tmp_path / "a.ts", crossing()).read_bytes()
    found = []
    with served([part], 2.0) as url, pytest.raises(LrfaceError, match="does not come back"):
        found.extend(lrface.watch(url, None, encoder, tmp_path / "out", looks=1))
    assert found
    lines = (tmp_path / "out" / "tracks.jsonl").read_text().splitlines()
    assert len(lines) == len([event for event in found if event.kind == "ended"])
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_stream_that_never_answers_is_said_after_seconds():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(LrfaceError, match="gives no answer within 1 s"):
            list(open_source(f"http://127.0.0.1:{listener.getsockname()[1]}/x.ts", silent, timeout=1.0).frames())
        assert time.monotonic() - started < 10


def test_a_stream_that_is_not_there_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LrfaceError, match=f"rtsp://127.0.0.1:{port}/a cannot be opened"):
        list(open_source(f"rtsp://127.0.0.1:{port}/a", silent, timeout=3.0).frames())


def test_a_stream_cannot_be_resumed(tmp_path, encoder):
    with pytest.raises(LrfaceError, match="--resume needs a file"):
        list(lrface.watch("http://127.0.0.1:9/x", None, encoder, tmp_path / "out", resume=True))

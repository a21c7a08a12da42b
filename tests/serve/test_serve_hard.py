"""The service under load, killed, and fuzzed."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

#: How many people the tests of kills enrol.
ENROLMENTS = int(os.environ.get("LRFACE_ENROLMENTS", "24"))


def test_twenty_uploads_at_once_share_batches(address, picture):
    with address(workers=8) as url, ThreadPoolExecutor(20) as users:
        answers = list(
            users.map(lambda who: httpx.post(f"{url}/embed", files={"image": picture(who)}, timeout=120), range(20))
        )
        assert [answer.status_code for answer in answers] == [200] * 20
        rows = [answer.json()["embedding"] for answer in answers]
        alone = [
            httpx.post(f"{url}/embed", files={"image": picture(who)}, timeout=120).json()["embedding"]
            for who in (0, 19)
        ]
        assert rows[0] == pytest.approx(alone[0], abs=1e-4)
        assert rows[19] == pytest.approx(alone[1], abs=1e-4)
        counts = httpx.get(f"{url}/metrics").text
    assert "lrface_batch_faces_sum 22.0" in counts


def test_an_upload_that_stalls_blocks_nobody(address, picture):
    with address(seconds=1.5) as url:
        host, _, port = url.rpartition("//")[2].partition(":")
        stalled = [socket.create_connection((host, int(port))) for _ in range(20)]
        for each in stalled:
            head = f"POST /faces HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            each.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        assert httpx.post(f"{url}/embed", files={"image": picture(0)}, timeout=60).status_code == 200
        assert b" 408 " in stalled[0].recv(200)
        for each in stalled:
            each.close()


def opened(url):
    host, _, port = url.rpartition("//")[2].partition(":")
    connection = socket.create_connection((host, int(port)))
    connection.settimeout(60)
    return connection, f"POST /faces HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"


def test_a_connection_that_says_nothing_is_ended(address, picture, monkeypatch):
    monkeypatch.setattr("lrface.serve.connection.PATIENCE", 0.5)
    with address() as url:
        silent, _ = opened(url)
        half, head = opened(url)
        half.sendall(head.encode())
        again, _ = opened(url)
        again.sendall(f"GET /health HTTP/1.1\r\nHost: {url[7:]}\r\n\r\n".encode())
        assert b" 200 " in again.recv(2000)
        again.sendall(b"GET /health")
        assert [each.recv(2000) for each in (silent, half)] == [b"", b""]
        while again.recv(2000):
            pass  # the rest of the first answer


def test_connections_are_bounded_and_come_free_again(address, picture, monkeypatch):
    monkeypatch.setattr("lrface.serve.connection.PATIENCE", 2.0)
    monkeypatch.setattr("lrface.serve.connection.MOST_CONNECTIONS", 5)
    with address() as url:
        flood = [opened(url)[0] for _ in range(10)]
        assert all(each.recv(10) == b"" for each in flood)
        assert httpx.post(f"{url}/embed", files={"image": picture(0)}, timeout=60).status_code == 200


def test_what_is_being_sent_is_bounded_in_all(address):
    with address(max_bytes=1000, videos=0, seconds=20) as url:
        senders = [opened(url) for _ in range(18)]
        for each, head in senders:  # 900 of 1,000 bytes each, 16 times 1,000 are held
            each.sendall(f"{head}Content-Length: 1000\r\n\r\n{'x' * 900}".encode())
            time.sleep(0.02)
        answer = senders[-1][0].recv(2000).lower()
        assert b" 503 " in answer
        assert b"retry-after: " in answer


def test_requests_that_are_being_sent_are_bounded(address, picture):
    with address(workers=1, waiting=0, videos=0, seconds=3) as url:
        senders = [opened(url) for _ in range(8)]
        for each, head in senders:
            each.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
        time.sleep(0.5)
        refused = httpx.get(f"{url}/health")
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        assert all(b" 408 " in each.recv(2000) for each, _ in senders)
        assert httpx.post(f"{url}/embed", files={"image": picture(0)}, timeout=60).status_code == 200


def served(gallery, model, *more):
    """The address of a service that is not there yet, and the command that starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lrface", "serve", "--gallery", gallery, "--port", port]
    command += ["--model", model, "--detector", "none", *more]
    return f"http://127.0.0.1:{port}", [str(word) for word in command]


def test_a_kill_loses_no_enrolment_that_was_acknowledged(served_model, picture, tmp_path):
    """Killed twice on the way to so many people: whoever was acknowledged is there, and nobody is there by half."""
    from lrface.recognition.gallery import Gallery
    from lrface.serve.crops import Crops

    wanted, folder, crops = ENROLMENTS, tmp_path / "gallery", tmp_path / "crops"
    url, command = served(folder, served_model, "--keep-crops", crops)
    acknowledged, lost = set(), 0
    for kill_at in (wanted // 3, 2 * wanted // 3, None):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            _wait(url, server)
            listed = {person["name"] for person in httpx.get(f"{url}/people", timeout=60).json()["people"]}
            assert acknowledged <= listed

            def enrol(name, kill_at=kill_at, server=server):
                fields, files = {"name": name, "force": "true"}, {"image": picture(int(name))}
                try:
                    answer = httpx.post(f"{url}/people", data=fields, files=files, timeout=300)
                except httpx.HTTPError:
                    return False
                assert answer.json()["added"] + answer.json()["known"] == 1, answer.text
                acknowledged.add(name)
                if len(acknowledged) == kill_at:
                    os.kill(server.pid, signal.SIGKILL)
                return True

            with ThreadPoolExecutor(4) as users:
                todo = [name for name in map(str, range(wanted)) if name not in acknowledged]
                lost += list(users.map(enrol, todo)).count(False)
            server.kill()
    assert lost > 0
    with Gallery.open(folder) as gallery:
        assert gallery.check() == []
        assert {person.name: person.faces for person in gallery.people()} == {str(name): 1 for name in range(wanted)}
    kept = Crops(crops)
    assert all(kept.find(str(name)) for name in range(wanted))


def test_a_killed_database_loses_no_enrolment_and_the_service_goes_on(served_model, picture, tmp_path, postgres):
    """Killed twice and started again, under a service that stays: what it answers meanwhile is 503, in one line."""
    from lrface.recognition.gallery import Gallery

    place = postgres.address()
    url, command = served(place, served_model)
    acknowledged, refused, during, busy = set(), [], {"people": [], "health": []}, threading.Lock()

    def enrol(name):
        """Ask until it is acknowledged, as a client should."""
        fields, files = {"name": name, "force": "true"}, {"image": picture(int(name))}
        while (answer := httpx.post(f"{url}/people", data=fields, files=files, timeout=300)).status_code != 200:
            refused.append(answer)
            time.sleep(0.2)
        assert answer.json()["added"] + answer.json()["known"] == 1, answer.text
        with busy:
            acknowledged.add(name)
            if len(acknowledged) in (ENROLMENTS // 3, 2 * ENROLMENTS // 3):
                postgres.kill()
                for route in ("people", "health"):
                    during[route].append(httpx.get(f"{url}/{route}", timeout=60).status_code)
                postgres.start()

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, ThreadPoolExecutor(4) as users:
        told = users.submit(server.stderr.read)
        try:  # whatever fails, the reader above ends only with the service
            _wait(url, server)
            list(users.map(enrol, map(str, range(ENROLMENTS))))
            listed = {
                person["name"]: person["faces"] for person in httpx.get(f"{url}/people", timeout=60).json()["people"]
            }
            assert server.poll() is None
        finally:
            server.kill()
    assert during == {"people": [503, 503], "health": [200, 200]}
    assert {(answer.status_code, answer.text) for answer in refused} <= {
        (503, '{"error":"the gallery cannot be used now: see the service\'s log"}')
    }
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert "Traceback" not in told.result()
    assert listed == {str(name): 1 for name in range(ENROLMENTS)}
    with Gallery.open(place) as gallery:
        assert gallery.check() == []


def _wait(url, server):
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def test_fuzzed_requests_never_break_it(client, picture):
    """Requests that fit the schema, half of them with real pictures and videos, and requests that do not fit."""
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis, which makes the requests")
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Unsatisfiable

    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app, headers={"host": "127.0.0.1"})
    seen = Counter()
    real = dict.fromkeys(("image", "a", "b"), picture(0)) | {"video": moving(picture)}
    real = {field: base64.b64encode(data).decode() for field, data in real.items()}
    count = int(os.environ.get("LRFACE_FUZZ", "60"))
    operations = [found.ok() for found in schema.get_all_operations()]

    @settings(
        max_examples=max(1, count // (2 * len(operations))), deadline=None, database=None, derandomize=count < 1000,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def fuzz(case, usable):
        if usable and isinstance(case.body, dict):
            case.body |= {field: real[field] for field in real.keys() & case.body.keys()}
        answer = case.call(headers={"host": "127.0.0.1"})
        seen[f"{case.operation.label} {answer.status_code}"] += 1
        assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.text)
        for private in (str(Path.cwd()), tempfile.gettempdir(), sys.prefix, "Traceback", "site-packages"):
            assert private not in answer.text

    for operation in operations:
        for mode in schemathesis.GenerationMode:
            try:
                given(case=operation.as_strategy(generation_mode=mode), usable=st.booleans())(fuzz)()
            except Unsatisfiable:  # nothing of this route can be wrong
                assert mode is schemathesis.GenerationMode.NEGATIVE
    print(json.dumps({"requests": seen.total(), "answers": dict(sorted(seen.items()))}))
    assert seen.total() >= count // 2
    assert any(key.endswith(" 200") for key in seen)


def moving(picture):
    """A GIF of three drawn faces, which is a video as well."""
    frames = [Image.open(io.BytesIO(picture(number))) for number in range(3)]
    frames[0].save(file := io.BytesIO(), "GIF", save_all=True, append_images=frames[1:], duration=200)
    return file.getvalue()

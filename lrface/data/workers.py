"""Cropping in several processes: ordered results, bounded memory, and no processes left over at the end."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple

from lrface.data.crop import Crop, Settings, crop_item
from lrface.data.prefetch import Chunk, Result, prefetched_map
from lrface.data.sources import Item, Source
from lrface.faces.detect import Detector, create_detector


def crop_chunks(
    chunks: Iterator[list[Item]], source: Source, settings: Settings, workers: int, device: str
) -> Generator[list[Crop], None, None]:
    """Crop chunk by chunk, in this process or, with more than one worker, in spawned ones.

    The results do not depend on the number of workers. If the generator is closed early, each worker stops after its current
    image.

    Raises:
        LrfaceError: the detector is not available; raised before any work is done.
        concurrent.futures.process.BrokenProcessPool: a worker died.
    """
    # Made here first: a failure gives one clear error, and weights are downloaded once instead of by each worker.
    detector = make_detector(settings, device)
    if workers == 1:
        for chunk in chunks:
            yield [crop_item(item, source, settings, detector) for item in chunk]
        return
    del detector
    yield from in_processes(_crop, chunks, workers, _start, (source, settings, device))


def in_processes(
    work: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: int,
    start: Callable[..., None], arguments: tuple[Any, ...],
) -> Generator[Result, None, None]:  # fmt: skip
    """Yield ``work(chunk)`` for each chunk, in order, from spawned processes that first call ``start(*arguments)``.

    If the generator is closed early, :func:`stopping` becomes true in the processes, which should then return at once.

    Raises:
        concurrent.futures.process.BrokenProcessPool: a worker died.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _begin, (stop, start, arguments)) as pool:
        try:
            # Twice as many chunks as workers: no worker waits, and memory does not grow with the number of images.
            yield from prefetched_map(pool, work, chunks, 2 * workers)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


class _Worker(NamedTuple):
    source: Source
    settings: Settings
    detector: Detector | None


_worker: _Worker | None = None
_stop: Event | None = None


def _start(source: Source, settings: Settings, device: str) -> None:
    """Initialise a worker with its source and its own detector."""
    global _worker
    _worker = _Worker(source, settings, make_detector(settings, device))


def stopping() -> bool:
    """In a worker: whether its result is no longer needed."""
    return _stop is not None and _stop.is_set()


def _begin(stop: Event, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Prepare a new worker process. It uses one thread, because the processes share the cores."""
    global _stop
    import cv2

    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    start(*arguments)


def _die_with_parent() -> None:
    """End this worker when the parent dies. A killed parent cannot stop its workers, and they would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _crop(chunk: list[Item]) -> list[Crop]:
    assert _worker is not None
    crops = []
    for item in chunk:
        if stopping():
            break
        crops.append(crop_item(item, _worker.source, _worker.settings, _worker.detector))
    return crops


def make_detector(settings: Settings, device: str) -> Detector | None:
    """The detector that the settings name, with one thread; None if they need none. Raises LrfaceError if it is missing."""
    return create_detector(settings.detector, device=device, threads=1) if settings.detects else None

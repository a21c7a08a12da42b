"""Cropping in several processes: results in the order of the work, memory bounded, nobody left behind."""

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
    """Crop chunk after chunk, in this process or, with more than one worker, in spawned ones.

    The results do not depend on the number of workers. Closing the generator early stops them after the image in hand.

    Raises:
        LrfaceError: there is no such detector here, before any work is done.
        concurrent.futures.process.BrokenProcessPool: a worker died.
    """
    # Made here first: a failure is one clear error, and weights are downloaded once instead of by each worker.
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
    """``work(chunk)`` of chunk after chunk, in order, by spawned processes that first call ``start(*arguments)`` once.

    Closing the generator early makes :func:`stopping` true in the processes, which then should return at once.

    Raises:
        concurrent.futures.process.BrokenProcessPool: a worker died.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _begin, (stop, start, arguments)) as pool:
        try:
            # Twice as many chunks as workers: nobody waits, and memory does not grow with the number of images.
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
    """Give a worker its source and a detector of its own."""
    global _worker
    _worker = _Worker(source, settings, make_detector(settings, device))


def stopping() -> bool:
    """In a worker: whether nobody will read the result of what it is doing."""
    return _stop is not None and _stop.is_set()


def _begin(stop: Event, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Make a fresh process a worker: one thread, for the processes share the cores."""
    global _stop
    import cv2

    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    start(*arguments)


def _die_with_parent() -> None:
    """A parent that is killed cannot tell its workers, who would wait for work for ever."""
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
    """The detector that the settings ask for, of one thread, or None. Raises LrfaceError if it cannot be had."""
    return create_detector(settings.detector, device=device, threads=1) if settings.detects else None

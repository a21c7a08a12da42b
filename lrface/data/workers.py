"""Cropping in several processes: results in the order of the work, memory bounded, nobody left behind."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing.synchronize import Event
from typing import NamedTuple

from lrface.data.crop import Crop, Settings, crop_item
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
    detector = _make_detector(settings, device)
    if workers == 1:
        for chunk in chunks:
            yield [crop_item(item, source, settings, detector) for item in chunk]
        return
    del detector
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _start, (source, settings, device, stop)) as pool:
        try:
            # Twice as many chunks as workers: nobody waits, and memory does not grow with the number of images.
            waiting: deque[Future[list[Crop]]] = deque()
            waiting.extend(pool.submit(_crop, chunk) for chunk in islice(chunks, 2 * workers))
            while waiting:
                crops = waiting.popleft().result()
                waiting.extend(pool.submit(_crop, chunk) for chunk in islice(chunks, 1))
                yield crops
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


class _Worker(NamedTuple):
    source: Source
    settings: Settings
    detector: Detector | None
    stop: Event


_worker: _Worker | None = None


def _start(source: Source, settings: Settings, device: str, stop: Event) -> None:
    """Make a fresh process a worker: one thread, for the processes share the cores, and a detector of its own."""
    global _worker
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _worker = _Worker(source, settings, _make_detector(settings, device), stop)


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
        if _worker.stop.is_set():
            break  # nobody will read the result
        crops.append(crop_item(item, _worker.source, _worker.settings, _worker.detector))
    return crops


def _make_detector(settings: Settings, device: str) -> Detector | None:
    return create_detector(settings.detector, device=device, threads=1) if settings.detects else None

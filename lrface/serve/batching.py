"""A face encoder for many threads: the faces of all threads go through the network in shared batches."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lrface.faces.detect import Detector, FrameDetector
from lrface.faces.quality import assess
from lrface.recognition.encoder import FaceEncoder

#: Maximum number of faces in one batch.
BATCH = 64


@dataclass
class _Job:
    crops: list[np.ndarray]
    resolutions: list[float]
    done: "Future[np.ndarray]" = field(default_factory=Future)


class BatchingEncoder(FaceEncoder):
    """A :class:`lrface.recognition.encoder.FaceEncoder` for many threads.

    One thread computes all embeddings. While it works on a batch, the faces of other requests wait in a queue. They
    form the next batch. No request waits for a batch to fill. Only one thread at a time uses the detector, because some
    detectors keep state between calls.

    ``notify`` is called with the size of every batch.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self.notify: Callable[[int], None] = lambda _: None
        self._thread = threading.Thread(target=self._work, name="lrface-embed", daemon=True)
        self._thread.start()

    def embed_crops(
        self, crops: Sequence[np.ndarray], batch_size: int = BATCH, resolutions: Sequence[float] | None = None
    ) -> np.ndarray:
        """Embed crops in a shared batch. See :meth:`lrface.recognition.encoder.FaceEncoder.embed_crops`."""
        if not len(crops):
            return super().embed_crops(crops, batch_size, resolutions)
        if resolutions is None:
            resolutions = [assess(crop).resolution for crop in crops]
        job = _Job(list(crops), list(resolutions))
        self._jobs.put(job)
        return job.done.result()

    def close(self) -> None:
        """End the thread after the work that is queued."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while jobs[-1] is not None and sum(len(job.crops) for job in jobs if job) < BATCH:
                try:
                    jobs.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            todo = [job for job in jobs if job is not None]
            if todo:
                self._embed(todo)
            if len(todo) < len(jobs):
                return

    def _embed(self, jobs: list[_Job]) -> None:
        crops = [crop for job in jobs for crop in job.crops]
        try:
            rows = super().embed_crops(crops, BATCH, [each for job in jobs for each in job.resolutions])
        except BaseException as error:
            for job in jobs:
                job.done.set_exception(error)
            return
        self.notify(len(crops))
        ends = np.cumsum([len(job.crops) for job in jobs])[:-1]
        for job, part in zip(jobs, np.split(rows, ends), strict=True):
            job.done.set_result(part)

    @cached_property
    def _detector(self) -> "_OneAtATime":
        return _OneAtATime(super()._detector)


class Upright(FaceEncoder):
    """The same model and detector for video frames: a frame without a face is not turned and searched again.

    Args:
        encoder: does the work, with its threads and locks.
    """

    def __init__(self, encoder: FaceEncoder) -> None:
        super().__init__(encoder.embedder, encoder.detector, turn=False)
        self._encoder = encoder

    def embed_crops(
        self, crops: Sequence[np.ndarray], batch_size: int = BATCH, resolutions: Sequence[float] | None = None
    ) -> np.ndarray:
        """See :meth:`lrface.recognition.encoder.FaceEncoder.embed_crops`."""
        return self._encoder.embed_crops(crops, batch_size, resolutions)

    @property
    def _detector(self) -> Detector:
        return self._encoder._detector


class _OneAtATime:
    """A detector that only one thread at a time can use."""

    def __init__(self, detector: Detector) -> None:
        self.name, self.sure = detector.name, getattr(detector, "sure", -np.inf)
        self.picks, self._lock = getattr(detector, "picks", False), threading.Lock()
        self.detect = self._locked(detector.detect)
        if isinstance(detector, FrameDetector):
            self.detect_all, self.detect_near = self._locked(detector.detect_all), self._locked(detector.detect_near)

    def _locked(self, find: Callable[..., Any]) -> Callable[..., Any]:
        def one_at_a_time(*arguments: Any) -> Any:
            with self._lock:
                return find(*arguments)

        return one_at_a_time

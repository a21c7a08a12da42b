"""The faces of a :class:`FaceList` as aligned crops, read ahead by a thread or by worker processes."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lrface.data.crop import RefusedError, Settings, cut, locate
from lrface.data.face_list import FaceList
from lrface.data.prefetch import prefetched_map
from lrface.data.sources import Item
from lrface.data.workers import in_processes, make_detector, stopping
from lrface.errors import LrfaceError
from lrface.faces.detect import Detector
from lrface.faces.images import read_image

#: The crop of a face, uint8 RGB ``[h, w, 3]``, or the reason why there is none.
Outcome = np.ndarray | str

_Face = tuple[Path, np.ndarray | None]


def read_faces(
    faces: FaceList,
    settings: Settings,
    finish: Callable[[np.ndarray], np.ndarray],
    chunk: int = 64,
    workers: int = 1,
    device: str = "cpu",
) -> Generator[list[Outcome], None, None]:
    """Read, align and finish all faces in chunks, in the order of the list.

    The next chunks are prepared while the caller works. The result does not depend on the number of workers.

    Args:
        faces: the faces to read. Neighbours in the list that come from one photo share its decoding.
        settings: how faces are found and cut. Only ``size``, ``detector``, ``eyes`` and ``face`` are used. With the
            detector ``none`` an image is used as it is, at any size; with ``landmarks`` those of the list are used.
        finish: function that is applied to each crop, such as a reduction; it must be picklable for worker processes.
        chunk: number of faces in one unit of work.
        workers: 1 uses a thread of this process. More are spawned processes: the calling script then needs the usual
            ``if __name__ == "__main__":``.
        device: of the detector.

    Yields:
        The outcomes of a chunk, exactly one for each face.

    Raises:
        LrfaceError: the settings do not fit the list, the detector is not available, or a worker died.
    """
    if workers < 1:
        raise LrfaceError(f"{workers} workers can do nothing: at least 1 is needed")
    if settings.detector == "landmarks" and faces.landmarks is None:
        raise LrfaceError("this list of faces has no landmarks: choose a detector, or `none` for images that are faces")
    # Made here first: a failure gives one clear error, and weights are downloaded only once.
    detector = make_detector(settings, device)
    if workers > 1:
        del detector
        try:
            yield from in_processes(_read, _chunks(faces, chunk), workers, _start, (settings, finish, device))
        except BrokenProcessPool as error:
            raise LrfaceError("a worker process died, most likely for want of memory: take fewer workers") from error
        return
    with ThreadPoolExecutor(1) as pool:
        reader = _Reader(settings, finish, detector)
        try:
            yield from prefetched_map(pool, reader.read, _chunks(faces, chunk), 2)
        finally:
            pool.shutdown(cancel_futures=True)


def read_face(
    image: np.ndarray, landmarks: np.ndarray | None, settings: Settings, detector: Detector | None = None
) -> np.ndarray:
    """The aligned crop of one face in an image, uint8 RGB ``[size, size, 3]``; the image itself with the detector ``none``.

    Args:
        image: uint8 RGB ``[h, w, 3]``.
        landmarks: ``[5, 2]``, for settings that use them.
        settings: see :func:`read_faces`.
        detector: the detector that the settings name, if they name one.

    Raises:
        RefusedError: the image shows no face, or the landmarks cannot belong to one.
    """
    if settings.detector == "none":
        return image
    if settings.detector == "landmarks" and (landmarks is None or not np.isfinite(landmarks).all()):
        raise RefusedError("no landmarks", "the landmarks of this face are not known")
    points = None if landmarks is None else landmarks.tolist()
    return cut(image, locate(Item("", "", 0, points), image, settings, detector)[0], settings.size)


class _Reader(NamedTuple):
    settings: Settings
    finish: Callable[[np.ndarray], np.ndarray]
    detector: Detector | None

    def read(self, chunk: list[_Face]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        path, image = None, np.empty(0)
        for wanted, landmarks in chunk:
            if stopping():
                break
            try:
                if wanted != path:
                    path, image = None, read_image(wanted)
                    path = wanted
                outcomes.append(self.finish(read_face(image, landmarks, self.settings, self.detector)))
            except LrfaceError as error:
                outcomes.append(str(error))
            except RefusedError as refusal:
                outcomes.append(f"{wanted}: {refusal.reason}")
        return outcomes


_reader: _Reader | None = None


def _start(settings: Settings, finish: Callable[[np.ndarray], np.ndarray], device: str) -> None:
    """Initialise a worker process."""
    global _reader
    _reader = _Reader(settings, finish, make_detector(settings, device))


def _read(chunk: list[_Face]) -> list[Outcome]:
    assert _reader is not None
    return _reader.read(chunk)


def _chunks(faces: FaceList, size: int) -> Iterator[list[_Face]]:
    points = faces.landmarks
    for start in range(0, len(faces), size):
        stop = min(start + size, len(faces))
        yield [(faces.paths[i], None if points is None else points[i]) for i in range(start, stop)]

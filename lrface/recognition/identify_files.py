"""Identifying many photos with one classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrface.data.folders import Passed
from lrface.recognition.classifier import FaceClassifier, Identification
from lrface.recognition.embed_files import list_images
from lrface.recognition.encoder import ImageError


@dataclass(frozen=True)
class Report:
    """The outcome of the photos. ``len(found) + len(refused)`` is their number.

    Attributes:
        found: path and answer of each photo that could be used.
        refused: path and reason of each that could not, and of linked folders.
        notes: about the other contents of the folders.
    """

    found: list[tuple[str, Identification]]
    refused: list[tuple[str, str]]
    notes: tuple[str, ...] = ()


def identify_files(
    classifier: FaceClassifier, sources: Sequence[str | Path], top: int = 5, far: float | None = None,
    threshold: float | None = None, batch_size: int = 64,
) -> Report:  # fmt: skip
    """Identify the main face of each image.

    Args:
        classifier: the known people.
        sources: image files, and folders, which are searched with all their subfolders.
        top, far, threshold: see :meth:`lrface.recognition.classifier.FaceClassifier.identify`.
        batch_size: number of images in memory.

    Raises:
        LrfaceError: a folder does not exist or has no images, or the detector is not available. A single image that cannot
            be used is an entry of the report.
    """
    classifier.choose(far, threshold)  # finds mistakes now and not after a thousand photos
    passed = Passed()
    paths = list_images(sources, passed)
    report = Report([], list(passed.rows), passed.notes())
    waiting: list[tuple[str, np.ndarray, str | None]] = []

    def answer() -> None:
        if waiting:
            paths, crops, notes = zip(*waiting, strict=True)
            report.found.extend(zip(paths, classifier.identify_crops(crops, top, far, threshold, notes), strict=True))
            waiting.clear()

    for path in paths:
        try:
            waiting.append((path, *classifier.encoder.crop(path)))
        except ImageError as error:
            report.refused.append((path, str(error).removeprefix(f"{path}: ")))
        if len(waiting) == batch_size:
            answer()
    answer()
    return report

"""LFW end to end: photos with small faces are detected, aligned, embedded and compared, with each model's own pipeline.

The models of the suite have their own crops (``Preprocessing.crop``). ``detector=`` in ``LABEL=MODEL,...`` names a model's
detector. A detector that finds nothing in the reduced photo also gets it enlarged.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.sets.pairs import Pair, read_pairs
from lrface.reporting.fingerprint import FileDigests, code_digest, digest
from lrface.suite.context import EMBEDDING_CODE, Context
from lrface.suite.located import TITLES, Absent, Located, is_rehearsal
from lrface.suite.options import Options
from lrface.suite.peers import Model
from lrface.suite.task import Task

#: The set of the photos, besides the aligned ``lfw``.
NAME = "lfw_native"

#: The detector for the full photos. Its landmarks are the ground truth.
TRUTH = "mtcnn"

#: The code that determines which faces are found.
FINDING_CODE = (
    "lrface.eval.native", "lrface.faces.detect.search", "lrface.faces.detect.centerface_backend",
    "lrface.faces.detect.mtcnn_backend", "lrface.faces.detect.dlib_backend", "lrface.faces.detect.insightface_backend",
)  # fmt: skip

CODE = ("lrface.suite.end_to_end", "lrface.eval.verification", *FINDING_CODE, *EMBEDDING_CODE)


@cache
def _finding_code() -> str:
    return code_digest(FINDING_CODE)


@dataclass(frozen=True)
class Photos:
    """Photos, and the pairs to compare."""

    root: Path
    pairs: list[Pair]


def locate_photos(options: Options, pairs: tuple[Path, ...], digests: FileDigests) -> Located | Absent:
    """Find the photos of LFW: the folder of ``--lfw``, or ``lfw/images`` in the data root.

    Args:
        options: of the run.
        pairs: lists of pairs; empty if there are none.
        digests: of files.

    Raises:
        LrfaceError: a list or a photo cannot be read.
    """
    named = options.lfw if options.lfw is not None and any(options.lfw.glob("*/*.jpg")) else None
    root = named or options.data / "lfw" / "images"
    if not root.is_dir() or not pairs:
        why = f"looked for photos in {root}, and for pairs.txt: rows of native faces need photos, not crops"
        return Absent(NAME, TITLES[NAME], why)
    names = sorted({name for path in pairs for pair in read_pairs(path) for name in (pair.a, pair.b)})
    contents = digest([digests.of(root, names), [digests.of(path) for path in pairs]])
    lists = " + ".join(path.stem for path in pairs)
    title = TITLES[NAME] if lists == "pairs" else f"{TITLES[NAME]} ({lists})"

    def load() -> Photos:
        return Photos(root, [pair for path in pairs for pair in read_pairs(path)])

    return Located(NAME, title, contents, "found", is_rehearsal(root), load)


def end_to_end_tasks(options: Options, model: Model, found: Located) -> list[Task]:
    """The tasks of one model, one for each side."""
    from lrface.eval.native import reduction
    from lrface.faces.detect import automatic_detector

    detector = automatic_detector() if model.detector == "auto" else model.detector
    return [
        Task(
            "end-to-end", model, found, {"side": side, "detector": detector, "truth": TRUTH},
            {"side": side, "operator": reduction(side), "alignment": detector},
        )
        for side in options.native
    ]  # fmt: skip


def end_to_end(context: Context, task: Task) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run ten folds over pairs of reduced photos. Detections are stored for models with the same detector."""
    from lrface.eval.native import Enlarging, find_native, score_native, true_landmarks
    from lrface.faces.detect import create_detector

    photos: Photos = context.load(task.set)
    side, detector, device = task.options["side"], task.options["detector"], context.options.device
    names = sorted({name for pair in photos.pairs for name in (pair.a, pair.b)})

    def know() -> tuple[np.ndarray, list[str]]:
        known = true_landmarks(photos.root, photos.pairs, create_detector(TRUTH, device))
        return np.stack([known[name] for name in names]), []

    true, _ = context.cached([task.set.fingerprint, TRUTH, _finding_code()], know)
    landmarks = dict(zip(names, np.asarray(true), strict=True))

    def find() -> tuple[np.ndarray, list[str]]:
        finder = Enlarging(create_detector(detector, device))
        return find_native(finder, photos.root, landmarks, side, f"{detector}, {side} px"), []

    found, _ = context.cached([task.set.fingerprint, TRUTH, detector, side, _finding_code()], find)
    embedder = context.single(task.model)
    row, scores = score_native(embedder, detector, photos.root, photos.pairs, landmarks, side, np.asarray(found))
    facts = {"found": row.found, "landmark_error": row.landmark_error if row.found else None, "images": len(names)}
    return row.result.as_dict() | facts, {"similarities": scores, "same": np.array([p.same for p in photos.pairs])}

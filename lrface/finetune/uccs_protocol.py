"""Identification as on UCCS: the backbone stays frozen, and its last layer is replaced by a new one over the 180 subjects.

Any :class:`lrface.models.embedder.Embedder` can be the backbone. Published figures come from one run. Here the figures are mean and
spread over several seeds of the layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrface.data.crop import Settings
from lrface.data.face_list import FaceList
from lrface.data.sets.uccs import Uccs
from lrface.errors import LrfaceError
from lrface.eval.embeddings import embed_list
from lrface.eval.identification import IdentificationResult, Summary, evaluate, summarise
from lrface.faces.degrade import Degradation
from lrface.finetune.softmax_layer import LayerSettings, cosines, fit_layer
from lrface.models.embedder import Embedder

SEEDS = (5, 6, 7)


@dataclass(frozen=True)
class UccsResult:
    """One row of a table.

    Attributes:
        summary: top-1 and top-5, mean and spread over seeds.
        runs: one per seed.
        seeds: of the runs.
        subjects, train, test: number of people, of training images and of test images in the split.
        refused_train: training images that could not be used and were left out.
        refused_test: test images that could not be used and count as wrong.
        split: its origin; see :class:`lrface.data.sets.uccs.Uccs`.
        detector: how faces were aligned.
        operator: name of the additional reduction, or ``none`` for only the model's own.
    """

    summary: Summary
    runs: tuple[IdentificationResult, ...]
    seeds: tuple[int, ...]
    subjects: int
    train: int
    test: int
    refused_train: int
    refused_test: int
    split: str
    detector: str
    operator: str

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        plain = {key: value for key, value in vars(self).items() if key not in ("summary", "runs")}
        runs = [run.as_dict() for run in self.runs]
        return plain | {"seeds": list(self.seeds)} | self.summary.as_dict() | {"by_seed": runs}


def identify_uccs(
    embedder: Embedder, uccs: Uccs, alignment: Settings | None = None, degradation: Degradation | None = None,
    seeds: Sequence[int] = SEEDS, settings: LayerSettings | None = None, workers: int = 1, device: str = "cpu",
    progress: bool = False,
) -> UccsResult:  # fmt: skip
    """Run the protocol.

    Args:
        embedder: the frozen backbone.
        uccs: the split.
        alignment: how faces are cropped; by default with the split's landmarks if it has any, else images as they are.
        degradation: applied to every crop before the model's own preprocessing; None for the crops as they are.
        seeds: of the layer; one run each.
        settings: how the layer is trained.
        workers: processes that decode images.
        device: of the layer, and of a detector.
        progress: show progress bars.

    Raises:
        LrfaceError: a person has no usable training image, or no image of a part can be used.
    """
    alignment = alignment or Settings(detector="none" if uccs.train.landmarks is None else "landmarks")
    parts, refused = [], []
    for name, faces in (("UCCS train", uccs.train), ("UCCS test", uccs.test)):
        without: dict[int, str] = {}
        label = name if progress else None
        parts.append(
            embed_list(
                embedder, faces, alignment, degradation, workers=workers, device=device, refused=without, progress=label
            )
        )
        refused.append(len(without))
    runs = train_and_test(parts[0], uccs.train, parts[1], uccs.test, uccs.subjects, seeds, settings, device)
    return UccsResult(
        summarise(runs), tuple(runs), tuple(seeds), uccs.subjects, len(uccs.train), len(uccs.test), refused[0],
        refused[1], uccs.split, alignment.detector, degradation.name if degradation else "none",
    )  # fmt: skip


def train_and_test(
    train: np.ndarray, train_faces: FaceList, test: np.ndarray, test_faces: FaceList, subjects: int,
    seeds: Sequence[int] = SEEDS, settings: LayerSettings | None = None, device: str = "cpu",
) -> list[IdentificationResult]:  # fmt: skip
    """Run the protocol on embeddings float32 ``[n, dim]``, once per seed.

    A row of NaN is an image that could not be used. In ``train`` it is left out; in ``test`` it counts as wrong.

    Raises:
        LrfaceError: a person has no usable training image, or there are no seeds.
    """
    if not seeds:
        raise LrfaceError("name at least one seed")
    used = np.isfinite(train).all(1)
    labels = train_faces.ids[used]
    missing = np.setdiff1d(np.arange(subjects), labels)
    if len(missing):
        raise LrfaceError(f"{len(missing)} of {subjects} people are left without a training image that can be used")
    # A face of zeros has equal similarities to all people, and ties count as wrong.
    faces = np.where(np.isfinite(test).all(1, keepdims=True), test, np.float32(0))
    results = []
    for seed in seeds:
        weight = fit_layer(train[used], labels, subjects, settings or LayerSettings(), seed, device)
        results.append(evaluate(cosines(faces, weight), test_faces.ids))
    return results

"""Finetuning: a classifier that names one's own people, or a model adapted to one kind of faces.

A classifier is a softmax layer over people on top of a backbone. With a frozen backbone, every image is embedded once and the
rest takes seconds, so there is nothing to resume. An unfrozen backbone is finetuned first (:mod:`lrface.finetune.backbone`,
resumable). Afterwards it is used like a frozen one, and its layer is trained and checked in the same way.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.eval.identification import IdentificationResult, evaluate
from lrface.files import require_path
from lrface.finetune.cross_validation import CrossValidation, cross_validate, held_out_images
from lrface.finetune.labelled_images import KnownFaces, LabelledImages, read_people
from lrface.finetune.softmax_layer import LayerSettings, cosines, fit_layer
from lrface.finetune.unfreeze import LOW_SIDE, SOURCE_SIZE, BackboneSettings, module_of
from lrface.models.embedder import Embedder
from lrface.recognition.classifier_files import save_classifier
from lrface.version import code_version

if TYPE_CHECKING:
    from lrface.finetune.backbone import Finetuned

#: With fewer held-out people there are too few validation pairs for choosing an epoch.
LEAST_PEOPLE = 10


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is made.

    Attributes:
        layer: how the softmax layer is trained.
        share: of each person's images that is held out at a time to calibrate the threshold; above 0, up to 0.5.
        seed: of all random draws.
        backbone: how the backbone is finetuned first; None leaves it frozen.

    Raises:
        LrfaceError: a share outside this range.
    """

    layer: LayerSettings = field(default_factory=LayerSettings)
    share: float = 0.2
    seed: int = 5
    backbone: BackboneSettings | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:
            raise LrfaceError(f"a share of {self.share:g} of the images cannot be held out: choose one up to 0.5")


@dataclass(frozen=True)
class MadeClassifier:
    """A classifier that was made.

    Attributes:
        path: its file.
        faces: the faces from which it was made.
        check: result of the cross-validation.
        before: the same for the backbone before it was finetuned; None for a frozen one.
        test: result on test images, if there are any.
    """

    path: Path
    faces: KnownFaces
    check: CrossValidation
    before: CrossValidation | None
    test: IdentificationResult | None


def make_classifier(
    embedder: Embedder, source: str, people: LabelledImages, out: str | Path, settings: ClassifierSettings | None = None,
    test: LabelledImages | None = None, device: str = "cpu", resume: bool = False, progress: bool = True,
) -> MadeClassifier | None:  # fmt: skip
    """Finetune a classifier over people, and write it as one file, atomically.

    Args:
        embedder: the backbone; see :func:`lrface.finetune.unfreeze.open_backbone`.
        source: the name with which the user gave the backbone.
        people: the people to learn.
        out: the file. Checkpoints and logs of an unfrozen backbone are beside it, in ``OUT.run/``.
        settings: see :class:`ClassifierSettings`.
        test: other images of the same people, to evaluate the classifier.
        device: for training the layer and the backbone.
        resume: continue from the backbone's last checkpoint.
        progress: show progress bars with rate and remaining time.

    Returns:
        None if the training of the backbone was interrupted.

    Raises:
        LrfaceError: fewer than two people, nobody with two images, no usable image, a backbone that cannot be trained, or
            a file that cannot be written. An existing file is then not changed.
    """
    settings, out = settings or ClassifierSettings(), Path(require_path(out))
    if resume and settings.backbone is None:
        raise LrfaceError("there is nothing to resume with a frozen backbone: it takes seconds")
    _claim(out)
    faces = read_people(people, embedder, **_pixels(embedder, settings.backbone), progress=progress)
    held, before, tuned = None, None, None
    embeddings = faces.embeddings
    if settings.backbone is not None:
        held = held_out_images(faces.labels, settings.share, settings.seed)
        before = cross_validate(
            embeddings, faces.labels, settings.layer, settings.seed, settings.share, held, device, progress
        )
        tuned = _train(embedder, faces, settings.backbone, run_folder(out), held=held, device=device, resume=resume)
        if tuned is None:
            return None
        embeddings = flip_sum(tuned.embedder, list(faces.low))
    check = cross_validate(
        embeddings, faces.labels, settings.layer, settings.seed, settings.share, held, device, progress
    )
    weight = fit_layer(embeddings, faces.labels, len(faces.names), settings.layer, settings.seed, device)
    backbone = tuned.embedder if tuned else embedder
    score = score_people(backbone, weight, faces.names, test, progress) if test else None
    card = _card(embedder, source, faces, tuned) | {
        "finetune": {"layer": asdict(settings.layer), "share": settings.share, "seed": settings.seed},
        "unfreeze": settings.backbone.unfreeze if settings.backbone else "none",
        "check": check.as_dict(),
        "check_before": before.as_dict() if before else None,
        "test": score.as_dict() if score else None,
    }
    save_classifier(out, backbone, source, weight, faces.names, check.scale, check.thresholds, card)
    _forget(out, tuned)
    return MadeClassifier(out, faces, check, before, score)


def score_people(
    embedder: Embedder, weight: np.ndarray, names: Sequence[str], people: LabelledImages, progress: bool = True
) -> IdentificationResult:
    """Top-1 and top-5 accuracy of a layer ``[people, dim]`` over ``names`` on images of the same people.

    An image that cannot be used counts as wrong. So does an image of a person who is not in the layer.
    """
    faces = read_people(people, embedder, progress=progress, least=1)
    known = {name: label for label, name in enumerate(names)}
    asked = [known.get(people.names[label]) for label in people.labels]
    similarity = np.zeros((len(asked), len(names)), np.float32)  # equal logits count as wrong
    usable = np.array([label is not None for label in asked])
    similarity[faces.kept] = cosines(faces.embeddings, weight)
    similarity[~usable] = 0
    return evaluate(similarity, np.array([label or 0 for label in asked]))


@dataclass(frozen=True)
class MadeModel:
    """A model that was made.

    Attributes:
        path: its file, for :func:`lrface.models.embedder.open_embedder`.
        embedder: the same model, already open.
        faces: the faces from which it was made.
        held_people: number of people held out to choose the epoch and to calibrate thresholds.
        history: validation results by epoch, beginning with epoch 0, the original model; empty if nobody was held out.
        epoch: the chosen epoch.
    """

    path: Path
    embedder: Embedder
    faces: KnownFaces
    held_people: int
    history: list[dict[str, float]]
    epoch: int


def make_model(
    embedder: Embedder, source: str, people: LabelledImages, out: str | Path, settings: BackboneSettings | None = None,
    share: float = 0.1, teacher: tuple[str, Embedder] | None = None, device: str = "cpu", resume: bool = False,
    progress: bool = True,
) -> MadeModel | None:  # fmt: skip
    """Finetune a model on people, as for TinyFace, and write it as a plain model file. The softmax layer is not kept.

    Args:
        embedder, source, people, out, device, resume, progress: see :func:`make_classifier`.
        settings: see :class:`BackboneSettings`.
        share: of the people who are held out to choose the best epoch and to calibrate the model's thresholds. If these
            are fewer than ``LEAST_PEOPLE``, nobody is held out.
        teacher: name and model for the distillation, instead of the model itself.

    Returns:
        None if the training was interrupted.

    Raises:
        LrfaceError: as :func:`make_classifier`; or the teacher's embeddings have another length.
    """
    from lrface.models.weights import save_model

    settings, out = settings or BackboneSettings(), Path(require_path(out))
    _claim(out)
    faces = read_people(people, embedder, **_pixels(embedder, settings), progress=progress)
    held = _held_people(faces.labels, share, settings.seed)
    targets = read_people(people, teacher[1], progress=progress).views if teacher and settings.distil else None
    tuned = _train(
        embedder, faces, settings, run_folder(out), held=held, targets=targets,
        teacher=teacher[0] if teacher else "the model itself", pairs=_pairs(faces, held),
        strangers_held=bool(held.any()), device=device, resume=resume,
    )  # fmt: skip
    if tuned is None:
        return None
    held_people = len(np.unique(faces.labels[held]))
    card = _card(embedder, source, faces, tuned) | {
        "name": out.stem,
        "preprocessing": tuned.embedder.preprocessing.as_dict(),
        "thresholds": tuned.thresholds,
        "unfreeze": settings.unfreeze,
        "distil": {"weight": settings.distil, "of": teacher[0] if teacher else "the model itself"},
        "held_people": held_people,
        "validation": {"history": tuned.history, "epoch": tuned.epoch},
    }
    save_model(out, tuned.module, card)
    _forget(out, tuned)
    tuned.embedder.card.update(card)
    return MadeModel(out, tuned.embedder, faces, held_people, tuned.history, tuned.epoch)


def run_folder(out: Path) -> Path:
    """The folder for checkpoints and logs of an unfrozen backbone."""
    return out.with_name(f"{out.name}.run")


def _train(*arguments: Any, **options: Any) -> "Finetuned | None":
    # Imported here, because frozen backbones do not need the extra `train`.
    from lrface.finetune.backbone import finetune_backbone

    return finetune_backbone(*arguments, **options)


def _claim(out: Path) -> None:
    """Check at the start that the file can be written, and not only at the end."""
    if out.is_dir():
        raise LrfaceError(f"cannot write {out}: it is a folder; name a file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise LrfaceError(f"cannot write {out}: {error.strerror or error}") from error


def _pixels(embedder: Embedder, backbone: BackboneSettings | None) -> dict[str, Any]:
    if backbone is None:
        return {}
    module_of(embedder)
    missing = [name for name in ("lightning_fabric", "tensorboard") if find_spec(name) is None]
    if missing:
        raise LrfaceError(f"finetuning a network needs {' and '.join(missing)}: pip install 'lrface[train]'")
    low = embedder.preprocessing.input_size <= LOW_SIDE
    return {"pixels": True, "source_size": SOURCE_SIZE if low else 0}


def _card(embedder: Embedder, source: str, faces: KnownFaces, tuned: "Finetuned | None") -> dict[str, Any]:
    kept = ("name", "licence", "data_licence", "teacher", "recipe", "finetuned_from")
    return {
        "code": code_version(),
        "finetuned_from": {
            "model": source,
            "fingerprint": embedder.fingerprint,
            "card": {key: embedder.card[key] for key in kept if key in embedder.card},
        },
        "data": {
            "fingerprint": faces.fingerprint,
            "people": len(faces.names),
            "images": len(faces.labels),
            "left_out": len(faces.refused),
            "people_left_out": list(faces.lost),
        },
        "alignment": faces.alignment,
        "recipe": tuned.recipe if tuned else None,
    }


def _held_people(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """All images of a share of the people who have two or more, bool ``[n]``."""
    counts = np.bincount(labels)
    able = np.flatnonzero(counts >= 2)
    number = round(share * len(counts))
    if number < LEAST_PEOPLE or number > len(able) or len(counts) - number < 2:
        return np.zeros(len(labels), bool)
    return np.isin(labels, np.random.default_rng(seed).permutation(able)[:number])


def _pairs(faces: KnownFaces, held: np.ndarray, per_kind: int = 1500) -> PairSet | None:
    if not held.any():
        return None
    from lrface.train.split import draw_pairs

    a, b, same = draw_pairs(faces.labels[held], per_kind)
    return PairSet(list(faces.low[held]), a, b, same, "held-out people", str(faces.alignment.get("detector")))


def _forget(out: Path, tuned: "Finetuned | None") -> None:
    """Remove the checkpoints once the file is complete; the log stays."""
    if tuned is not None:
        for checkpoint in run_folder(out).glob("*.ckpt"):
            checkpoint.unlink()

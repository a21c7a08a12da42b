"""The options of a run of the suite."""

from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError
from lrface.files import looked_in
from lrface.suite.peers import Model

#: The choices of ``--only``, in the order of the report.
SETS = ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw", "xqlfw", "uccs", "tinyface", "survface", "scface")

#: The parts of a network that can be finetuned; see :class:`lrface.finetune.unfreeze.BackboneSettings`.
PARTS = ("none", "last", "all")

SIDES = (8, 12, 16, 20, 24, 32, 48, 64, 112)


@dataclass(frozen=True)
class Options:
    """The options of one run.

    Attributes:
        models: the models to measure.
        data: the data root, with the sets as ``lrface data where`` describes them.
        out: folder of results.
        rehearsal: data root of sets from ``lrface data rehearse``; each replaces a real one that is absent.
        only: sets to use, of ``SETS``.
        faces: whether the report may show faces of the data.
        seeds: number of seeds for everything that is trained.
        side: the low resolution of the main tables, in pixels.
        sides: of the sweep over resolutions.
        native: sides of faces in photos of LFW, in pixels, for end-to-end rows; none by default.
        swept: labels of the models in the sweep over resolutions; all if None. The others are measured only at ``side``.
        kernel, antialias: of the reduction; see :mod:`lrface.faces.degrade`.
        flip: sum over each face and its mirror image.
        lfw: store, folder or pack of LFW, instead of the one in the data root.
        pairs: lists of pairs for it.
        detector, eyes: how photos of LFW are aligned if there is no store of them.
        alignment: how native low-resolution faces are aligned; see :class:`lrface.data.crop.Settings`.
        finetune: part of a network that is finetuned on TinyFace's training set: ``none`` (only the embedding layer),
            ``last`` or ``all``. There is a row for each, besides the row of the original model.
        distil: weight of the distillation in this finetuning.
        published: folder of the published tables.
        ablations: result folders of ``lrface sweep`` for the report.
        device: ``cpu`` or ``cuda``.
        workers: processes that decode images.

    Raises:
        LrfaceError: an unknown set, no models, a swept model that is not measured, a missing folder, or a number that
            makes no sense.
    """

    models: tuple[Model, ...]
    data: Path
    out: Path
    only: tuple[str, ...] = SETS
    faces: bool = True
    seeds: int = 3
    side: int = 16
    sides: tuple[int, ...] = SIDES
    kernel: str = "bilinear"
    antialias: bool = True
    flip: bool = True
    lfw: Path | None = None
    pairs: tuple[Path, ...] = ()
    detector: str = "mtcnn"
    eyes: tuple[float, float, float, float] | None = None
    alignment: str = "none"
    finetune: tuple[str, ...] = ("last",)
    distil: float = 5.0
    published: Path | None = None
    swept: tuple[str, ...] | None = None
    native: tuple[int, ...] = ()
    rehearsal: Path | None = None
    ablations: tuple[Path, ...] = ()
    device: str = "cpu"
    workers: int = 1

    def __post_init__(self) -> None:
        if not self.models:
            raise LrfaceError("name at least one model: --models LABEL=MODEL")
        for option, folder in (("--data", self.data), ("--rehearsal", self.rehearsal)):
            if folder is not None and not folder.is_dir():
                raise LrfaceError(f"{option} {folder}: no such folder ({looked_in(folder)})")
        labels = [model.label for model in self.models]
        missing = [label for label in self.swept or () if label not in labels]
        if missing:
            raise LrfaceError(f"--sweep {missing[0]}: the models are {', '.join(labels)}")
        unknown = [name for name in self.only if name not in SETS]
        if unknown:
            raise LrfaceError(f"--only {unknown[0]}: choose among {', '.join(SETS)}")
        wrong = [part for part in self.finetune if part not in PARTS]
        if wrong:
            raise LrfaceError(f"--finetune {wrong[0]}: choose among {', '.join(PARTS)}")
        if self.seeds < 1:
            raise LrfaceError(f"--seeds {self.seeds} makes no sense: take one or more")
        for side in (self.side, *self.sides, *self.native):
            if not 1 <= side <= 112:
                raise LrfaceError(f"a side of {side} pixels makes no sense: choose 1 to 112")

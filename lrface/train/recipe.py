"""The recipe: all settings of a training run, as a typed, closed schema.

:mod:`lrface.train.schema` reads and checks it.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from lrface.train.schema import Section, parse, read_yaml


class DataSection(Section):
    """The training faces. Paths are relative to the data root."""

    store: str
    resolution: Literal["low", "high"] = "low"  # low: the store's low-resolution pixels; high: its aligned crops
    low_size: int | None = Field(default=None, ge=8, le=112)  # low-resolution side; null: as the store was prepared
    min_images: int = Field(default=1, ge=1)  # identities with fewer images are left out
    unlabelled: bool = True  # also train on faces without an identity, with the terms that need no labels
    identities: int | None = Field(default=None, ge=2)  # train on this number of identities, drawn at random
    holdout_identities: int = Field(default=0, ge=0)  # excluded from training, for validation pairs
    workers: int = Field(default=2, ge=0)  # worker processes of the data loader in high-resolution training
    # Least pixels of detail of a training face, so that its teacher sees it sharp; see lrface.faces.detail.crop_detail; null: any.
    least_detail: float | None = Field(default=None, ge=16, le=100)

    _unwritten: ClassVar[frozenset[str]] = frozenset({"least_detail"})


class NativeSection(Section):
    """Views of faces that are small in their photo, made with the code of inference; see :mod:`lrface.train.native_views`."""

    share: float = Field(default=0.5, ge=0, le=1)  # fraction of the views; the others follow the keys of augment
    sides: tuple[float, float] = (10, 40)  # side of the ArcFace crop in the photo, in pixels; uniform in the logarithm
    rotate: float = Field(default=15.0, ge=0, le=180)  # rotation of the camera in degrees, uniform in +-
    # Largest standard deviation of the optical blur, in the photo's pixels.
    blur: float = Field(default=0.8, ge=0, le=5)
    noise: float = Field(default=0.02, ge=0, le=0.5)  # largest standard deviation, relative to the full range
    jpeg: float = Field(default=0.5, ge=0, le=1)  # probability of JPEG compression
    quality: tuple[int, int] = (40, 95)  # of JPEG
    landmarks: float = Field(default=1.0, ge=0, le=5)  # factor on the detector's measured errors at this size

    @model_validator(mode="after")
    def _ordered(self) -> "NativeSection":
        if not 4 <= self.sides[0] <= self.sides[1] <= 112:
            raise ValueError("sides of native views are two numbers from 4 to 112, the smaller one first")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality of JPEG is two numbers from 1 to 100, the smaller one first")
        return self


class AugmentSection(Section):
    """Changes of the student's view. The teacher's target is always that of the clean crop with the same flip.

    With any setting besides ``flip``, the low-resolution view is made anew each time from ``source_size`` pixels of the
    aligned crop.
    """

    flip: bool = True
    # Of all following changes; otherwise the stored pixels are used.
    probability: float = Field(default=1.0, ge=0, le=1)
    source_size: int = Field(default=64, ge=16, le=112)
    rotate: float = Field(default=0.0, ge=0, le=45)  # degrees, uniform in +-
    scale: float = Field(default=0.0, ge=0, lt=0.5)  # relative, uniform in +-
    shift: float = Field(default=0.0, ge=0, lt=0.5)  # fraction of the side, uniform in +-, each axis
    sides: tuple[int, int] | None = None  # random intermediate side in pixels before the final one
    kernels: tuple[Literal["bilinear", "bicubic", "area"], ...] = ("bilinear",)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    grey: float = Field(default=0.0, ge=0, le=1)  # probability
    noise: float = Field(default=0.0, ge=0, le=0.5)  # largest standard deviation, relative to the full range
    erase: float = Field(default=0.0, ge=0, le=1)  # probability that a random rectangle is filled with the image's mean
    native: NativeSection | None = None  # settings of native views; null: none

    _unwritten: ClassVar[frozenset[str]] = frozenset({"native"})

    @property
    def only_flips(self) -> bool:
        """Whether the stored low-resolution pixels are used without changes."""
        return self == AugmentSection(flip=self.flip, probability=self.probability, source_size=self.source_size)


class TeacherSection(Section):
    """The teacher: a model file relative to the data root, or ``insightface:PACK``."""

    model: str
    ensemble: tuple[str, ...] = ()  # further teachers of equal weight; see lrface.train.targets
    centred: bool = False  # subtract the mean over the training images; always done for an ensemble
    declared: dict[str, Any] | None = None  # preprocessing of an ONNX file that has no card
    cached: bool = True  # embeddings are read from disk; otherwise computed in every step
    flips: bool = True  # also embed mirrored crops; false: one embedding for both, in half the time
    map: str | None = None  # map to the space of a family: a file of tools/fit_family.py, relative to the data root


class ModelSection(Section):
    """A backbone of :func:`lrface.models.create`."""

    name: str = "resnet18"
    kw: dict[str, Any] = Field(default_factory=dict)
    initial: str | None = None  # initial weights: a shipped model's name, or a file relative to the data root


class ClassificationSection(Section):
    """L_cls of Eq. 13."""

    kind: Literal["arcface", "cosface"] = "arcface"
    weight: float = Field(default=1.0, ge=0)
    scale: float = Field(default=64.0, gt=0)
    margin: float = Field(default=0.5, ge=0)
    split: bool = False  # split the class centres over the processes, for more identities than fit into one

    _unwritten: ClassVar[frozenset[str]] = frozenset({"split"})


class KDSection(Section):
    """L_kd, Eq. 12; ``weight`` is the paper's alpha."""

    weight: float = Field(default=0.5, ge=0)
    temperature: float = Field(default=4.0, gt=0)


class CRRCDSection(Section):
    """L_rcd, Eq. 7-11; ``weight`` is the paper's beta.

    The relation modules have Adam and their own learning rate. With the network's SGD the critic stays at chance level for
    thousands of steps, and such a critic teaches nothing.
    """

    weight: float = Field(default=2.0, ge=0)
    lr: float = Field(default=1e-3, gt=0)  # of the relation modules; follows the schedule of optim.lr
    negatives: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.1, gt=0)
    projected_dim: int = Field(default=128, ge=1)
    sampling: Literal["supervised", "unsupervised"] = "supervised"
    queue: bool = True
    normaliser: Literal["paper", "crd"] = "crd"
    negative_reduction: Literal["sum", "mean"] = "sum"


class RegressionSection(Section):
    """Cosine regression of the teacher's embedding."""

    weight: float = Field(default=1.0, ge=0)


class LossSection(Section):
    """The objective. A term is used only if it is named."""

    classification: ClassificationSection | None = None
    kd: KDSection | None = None
    crrcd: CRRCDSection | None = None
    cosine: RegressionSection | None = None
    #: Other methods by name, each with its ``weight`` and options ({} for the defaults); see lrface.losses.registry.
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)

    _unwritten: ClassVar[frozenset[str]] = frozenset({"methods"})


class OptimSection(Section):
    """SGD and its learning-rate schedule."""

    epochs: int = Field(default=35, ge=1)
    batch_size: int = Field(default=96, ge=2)  # of all processes together
    lr: float = Field(default=0.05, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    nesterov: bool = False
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[int, ...] = (21, 28, 32)  # epochs at which the step schedule multiplies by gamma
    gamma: float = Field(default=0.1, gt=0, le=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)  # limit of the gradient's norm
    average: float = Field(default=0.0, ge=0, lt=1)  # decay of an exponential average of the weights, 0: none


class ValidationSection(Section):
    """Pairs for choosing the best epoch. Never use a set whose figures are reported."""

    pairs_per_kind: int = Field(default=1500, ge=10)  # same and different pairs drawn from the held-out identities
    images: str | None = None  # instead: a store relative to the data root ...
    pairs: tuple[str, ...] = ()  # ... and pairs files over its images, such as LFW View 1
    every: int = Field(default=1, ge=1)  # epochs


class Recipe(Section):
    """One training run."""

    name: str
    description: str = ""
    data: DataSection
    model: ModelSection = ModelSection()
    teacher: TeacherSection | None = None
    loss: LossSection
    augment: AugmentSection = AugmentSection()
    optim: OptimSection = OptimSection()
    whiten: float | None = Field(
        default=None, gt=0
    )  # shrinkage of the trained student's whitening, see lrface.train.whiten; null: none
    validation: ValidationSection = ValidationSection()
    seed: int = 5
    #: Compile the student with torch.compile: faster steps after a minute. It needs a C++ compiler, on CUDA Triton. auto: if
    #: these are there. graphs: with CUDA graphs, for kernels that take longer to launch than to run; on other devices as auto.
    compile: bool | Literal["auto", "graphs"] = False
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed"] = "auto"  # auto: bf16-mixed on CUDA, 32 elsewhere

    @model_validator(mode="after")
    def _agree(self) -> "Recipe":
        terms = [term for term in (self.loss.kd, self.loss.crrcd, self.loss.cosine, self.loss.methods) if term]
        if terms and self.teacher is None:
            raise ValueError(
                "loss.kd, loss.crrcd, loss.cosine and loss.methods need a teacher: add the section `teacher`"
            )
        if not terms and self.loss.classification is None:
            raise ValueError(
                "loss names no term: add loss.classification, loss.kd, loss.crrcd, loss.cosine or loss.methods"
            )
        if self.teacher and (self.teacher.ensemble or self.teacher.centred) and not self.teacher.cached:
            raise ValueError("teacher.ensemble and teacher.centred need teacher.cached: true")
        if self.teacher and self.teacher.map and not self.teacher.cached:
            raise ValueError("teacher.map needs teacher.cached: true")
        if self.teacher and self.teacher.map and self.whiten:
            raise ValueError("whiten turns the embeddings out of the space of teacher.map: use one of them")
        if self.whiten and self.loss.classification is not None:
            raise ValueError("whiten turns the embeddings away from the head of loss.classification: use one of them")
        split = self.loss.classification is not None and self.loss.classification.split
        if split and (self.loss.kd or self.loss.methods or self.optim.clip_norm):
            raise ValueError(
                "loss.classification.split goes without loss.kd, loss.methods and optim.clip_norm, which need all centres"
            )
        if self.data.resolution == "high" and not self.augment.only_flips:
            raise ValueError("augment beyond flips is for data.resolution: low")
        if self.validation.pairs and not self.validation.images:
            raise ValueError("validation.pairs needs validation.images, the store that they speak of")
        return self


def load_recipe(path: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML file.
        overrides: ``section.key=value``, applied on top.

    Raises:
        LrfaceError: the file is missing or not YAML, or a key is unknown, mistyped or missing.
    """
    return parse_recipe(read_yaml(path, "recipe", overrides), str(path))


def parse_recipe(content: Any, where: str) -> Recipe:
    """Check a recipe's content. ``where`` is its name in errors.

    Raises:
        LrfaceError: a key is unknown, mistyped or missing.
    """
    return parse(Recipe, content, where)

"""The recipe: everything that decides a training run, as a typed, closed schema.

See :mod:`lrface.train.schema` for how it is read and checked.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from lrface.train.schema import Section, parse, read_yaml


class DataSection(Section):
    """The faces. Paths are relative to the data root."""

    store: str
    resolution: Literal["low", "high"] = "low"  # low: the store's low-resolution pixels; high: its aligned crops
    low_size: int | None = Field(default=None, ge=8, le=112)  # low-resolution side; null: as the store was prepared
    min_images: int = Field(default=1, ge=1)  # identities with fewer images are left out
    unlabelled: bool = True  # train on faces of nobody in particular, too, with the terms that need no labels
    identities: int | None = Field(default=None, ge=2)  # train on so many, drawn at random: a part of the data
    holdout_identities: int = Field(default=0, ge=0)  # kept out of training, for validation pairs
    workers: int = Field(default=2, ge=0)  # decode processes of high-resolution training


class NativeSection(Section):
    """Views of faces that are small in their photo, through inference's own code; see :mod:`lrface.train.native_views`."""

    share: float = Field(default=0.5, ge=0, le=1)  # of the views; the others are made as the keys of augment say
    sides: tuple[float, float] = (10, 40)  # of the ArcFace crop in the photo, in pixels; uniform in the logarithm
    rotate: float = Field(default=15.0, ge=0, le=180)  # of the camera in degrees, uniform in +-
    blur: float = Field(default=0.8, ge=0, le=5)  # largest standard deviation of the optics, in the photo's pixels
    noise: float = Field(default=0.02, ge=0, le=0.5)  # largest standard deviation, of the full range
    jpeg: float = Field(default=0.5, ge=0, le=1)  # probability
    quality: tuple[int, int] = (40, 95)  # of JPEG
    landmarks: float = Field(default=1.0, ge=0, le=5)  # times the errors that the detector makes at this size

    @model_validator(mode="after")
    def _ordered(self) -> "NativeSection":
        if not 4 <= self.sides[0] <= self.sides[1] <= 112:
            raise ValueError("sides of native views are two numbers from 4 to 112, the smaller one first")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality of JPEG is two numbers from 1 to 100, the smaller one first")
        return self


class AugmentSection(Section):
    """What is done to the student's view; the teacher's target stays that of the clean, equally flipped crop.

    With anything but ``flip`` the low-resolution view is made anew each time from ``source_size`` pixels of the
    aligned crop.
    """

    flip: bool = True
    probability: float = Field(default=1.0, ge=0, le=1)  # of all that follows; otherwise the stored pixels
    source_size: int = Field(default=64, ge=16, le=112)
    rotate: float = Field(default=0.0, ge=0, le=45)  # degrees, uniform in +-
    scale: float = Field(default=0.0, ge=0, lt=0.5)  # relative, uniform in +-
    shift: float = Field(default=0.0, ge=0, lt=0.5)  # of the side, uniform in +-, each axis
    sides: tuple[int, int] | None = None  # random intermediate side in pixels before the final one
    kernels: tuple[Literal["bilinear", "bicubic", "area"], ...] = ("bilinear",)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    grey: float = Field(default=0.0, ge=0, le=1)  # probability
    noise: float = Field(default=0.0, ge=0, le=0.5)  # largest standard deviation, of the full range
    erase: float = Field(default=0.0, ge=0, le=1)  # probability that a random rectangle is painted grey
    native: NativeSection | None = None  # a part of the views as inference sees small faces; null: none

    @property
    def only_flips(self) -> bool:
        """Whether the stored low-resolution pixels serve as they are."""
        return self == AugmentSection(flip=self.flip, probability=self.probability, source_size=self.source_size)

    @model_serializer(mode="wrap")
    def _without_native(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Recipes from before there were native views stay the same recipes."""
        content: dict[str, Any] = handler(self)
        if self.native is None:
            content.pop("native", None)
        return content


class TeacherSection(Section):
    """The teacher: a model file relative to the data root, or ``insightface:PACK``."""

    model: str
    ensemble: tuple[str, ...] = ()  # further teachers of equal weight; see lrface.train.targets
    centred: bool = False  # take off the mean over the training images; always done for an ensemble
    declared: dict[str, Any] | None = None  # preprocessing of an ONNX file that does not carry its own
    cached: bool = True  # embeddings from the disk; otherwise computed in every step
    flips: bool = True  # embed mirrored crops too; false: the crop's embedding stands for both, in half the time
    map: str | None = None  # into the space of a family: a file of tools/fit_family.py, relative to the data root


class ModelSection(Section):
    """A backbone of :func:`lrface.models.create`."""

    name: str = "resnet18"
    kw: dict[str, Any] = Field(default_factory=dict)
    initial: str | None = None  # weights to begin with: a shipped model's name, or a file relative to the data root


class ClassificationSection(Section):
    """L_cls of Eq. 13."""

    kind: Literal["arcface", "cosface"] = "arcface"
    weight: float = Field(default=1.0, ge=0)
    scale: float = Field(default=64.0, gt=0)
    margin: float = Field(default=0.5, ge=0)
    split: bool = False  # the class centres over the processes, each a share: for identities too many for one

    @model_serializer(mode="wrap")
    def _without_split(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Recipes from before there was a choice stay the same recipes, and a run may go on split or whole."""
        content: dict[str, Any] = handler(self)
        if not self.split:
            content.pop("split", None)
        return content


class KDSection(Section):
    """L_kd, Eq. 12; ``weight`` is the paper's alpha."""

    weight: float = Field(default=0.5, ge=0)
    temperature: float = Field(default=4.0, gt=0)


class CRRCDSection(Section):
    """L_rcd, Eq. 7-11; ``weight`` is the paper's beta.

    The relation modules have Adam and a learning rate of their own: under the network's SGD the critic stays at chance
    for thousands of steps, and a critic at chance teaches nothing.
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
    """The objective: each term is left out unless it is named."""

    classification: ClassificationSection | None = None
    kd: KDSection | None = None
    crrcd: CRRCDSection | None = None
    cosine: RegressionSection | None = None
    #: Other methods by name, each with its ``weight`` and options, {} for its defaults: lrface.losses.registry.
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_empty_methods(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Recipes from before there were methods stay the same recipes: to checkpoints, and to keys of results."""
        content: dict[str, Any] = handler(self)
        if not self.methods:
            content.pop("methods", None)
        return content


class OptimSection(Section):
    """SGD and its schedule."""

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
    clip_norm: float | None = Field(default=None, gt=0)  # of the gradient
    average: float = Field(default=0.0, ge=0, lt=1)  # decay of an exponential average of the weights, 0: none


class ValidationSection(Section):
    """Pairs for choosing the best epoch. Never a set that is reported on."""

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
    )  # the trained student: shrinkage, see lrface.train.whiten; null: not
    validation: ValidationSection = ValidationSection()
    seed: int = 5
    #: The student by torch.compile: faster steps after a minute. Needs a C++ compiler, on CUDA Triton; auto: where they are.
    #: graphs: as CUDA graphs, which pay where kernels take longer to launch than to run; as auto on other devices.
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
    """Check a recipe's content; ``where`` is named in errors.

    Raises:
        LrfaceError: a key is unknown, mistyped or missing.
    """
    return parse(Recipe, content, where)

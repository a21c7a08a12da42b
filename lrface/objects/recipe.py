"""The recipe of an object run. It shares the sections of face recipes where both are the same."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lrface.objects.data import Pictures, open_set
from lrface.train.recipe import CRRCDSection, KDSection, ModelSection, OptimSection, RegressionSection
from lrface.train.schema import Section, parse


class ObjectData(Section):
    """The data. ``path`` is relative to the data root."""

    set: Literal["shapes", "cifar100", "svhn", "stl10", "tinyimagenet"]
    path: str | None = None  # by default a folder of the set's name; unused for shapes
    per_class: int | None = Field(default=None, ge=2)  # shapes: number of training pictures of each class
    classes: int | None = Field(default=None, ge=2)  # use only the first classes, for a small budget; by default all
    side: int | None = Field(default=None, ge=8, le=512)  # side of the teacher's pictures; by default that of the set
    # Side of the student's pictures; by default that of the teacher.
    low: int | None = Field(default=None, ge=8, le=512)
    kernel: Literal["bilinear", "bicubic", "area", "nearest"] = "bilinear"
    antialias: bool = True
    holdout: int = Field(default=0, ge=0)  # number of training pictures of each class that are kept out for validation


class ObjectAugment(Section):
    """The augmentation. It is the same for both networks and precedes the reduction to low resolution."""

    flip: bool = True
    crop: int = Field(default=4, ge=0, le=64)  # width of the black border in pixels from which a random window is cut


class ObjectTeacher(Section):
    """The teacher: a file relative to the data root, or ``network``, which is trained first on full-size pictures."""

    file: str | None = None
    network: str | None = None
    # Of the teacher's training; by default those of the recipe.
    epochs: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)
    seed: int = 5  # of the teacher's training: students of all seeds have the same teacher
    cache: bool = False  # compute its outputs once for each picture and its mirror image; needs augment.crop=0

    @model_validator(mode="after")
    def _agree(self) -> "ObjectTeacher":
        if bool(self.file) == bool(self.network):
            raise ValueError("give either teacher.file or teacher.network")
        return self


class ObjectLoss(Section):
    """The objective: cross-entropy and the terms that are given."""

    classification: float = Field(default=1.0, ge=0)  # weight of the cross-entropy
    kd: KDSection | None = None
    crrcd: CRRCDSection | None = None
    cosine: RegressionSection | None = None
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)  # see lrface.losses.registry; {} for the defaults

    @property
    def teaches(self) -> bool:
        """Whether a term needs a teacher."""
        return bool(self.kd or self.crrcd or self.cosine or self.methods)


class BeforeSection(Section):
    """The preliminary stage, for methods that have one."""

    epochs: int = Field(default=30, ge=1)
    lr: float | None = Field(default=None, gt=0)  # by default optim.lr, or the method's own limit if that is lower


class ObjectValidation(Section):
    """Choice of the best epoch, on the training pictures that ``data.holdout`` keeps out."""

    every: int = Field(default=1, ge=1)  # epochs


class ObjectRecipe(Section):
    """The recipe of one run."""

    task: Literal["objects"]
    name: str
    description: str = ""
    data: ObjectData
    model: ModelSection = ModelSection(name="resnet20")
    teacher: ObjectTeacher | None = None
    loss: ObjectLoss = ObjectLoss()
    augment: ObjectAugment = ObjectAugment()
    optim: OptimSection = OptimSection()
    before: BeforeSection = BeforeSection()
    validation: ObjectValidation = ObjectValidation()
    seed: int = 5
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed"] = "auto"
    compile: bool = False  # compile the student by torch.compile: faster steps after a minute; needs a C++ compiler

    @model_validator(mode="after")
    def _agree(self) -> "ObjectRecipe":
        if self.loss.teaches and self.teacher is None:
            raise ValueError(
                "loss.kd, loss.crrcd, loss.cosine and loss.methods need a teacher: add the section `teacher`"
            )
        if self.teacher and self.teacher.cache and self.augment.crop:
            raise ValueError("teacher.cache keeps what the teacher says of whole pictures: set augment.crop to 0")
        if self.model.kw:
            raise ValueError("model.kw is for face networks: an object network has its name alone")
        if self.data.per_class and self.data.set != "shapes":
            raise ValueError("data.per_class is for the generated set, shapes")
        return self


def parse_object_recipe(content: Any, where: str) -> ObjectRecipe:
    """Check the content of a recipe.

    Args:
        content: the parsed YAML.
        where: source of the recipe, for error messages.

    Raises:
        LrfaceError: a key or a value is wrong.
    """
    return parse(ObjectRecipe, content, where)


def is_object_recipe(content: Any) -> bool:
    """Whether a YAML mapping is a recipe for objects, not for faces."""
    return isinstance(content, dict) and content.get("task") == "objects"


def read_part(data: ObjectData, root: Path, split: str) -> Pictures:
    """Read the pictures of a recipe's split at the set's own size. Nothing is held out yet.

    Raises:
        LrfaceError: as :func:`lrface.objects.data.open_set`, or the set has fewer classes than ``data.classes``.
    """
    pictures = open_set(data.set, data_path(data, root), split, data.per_class)
    return pictures if data.classes is None else pictures.first(data.classes)


def data_path(data: ObjectData, root: Path) -> Path | None:
    """Path of the set; None for the generated one."""
    return None if data.set == "shapes" else root / (data.path or data.set)

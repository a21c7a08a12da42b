"""The recipe of an object run: the schema of face recipes where the two agree, and what is of objects alone."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lrface.objects.data import Pictures, open_set
from lrface.train.recipe import CRRCDSection, KDSection, ModelSection, OptimSection, RegressionSection
from lrface.train.schema import Section, parse


class ObjectData(Section):
    """The pictures. ``path`` is relative to the data root."""

    set: Literal["shapes", "cifar100", "svhn", "stl10", "tinyimagenet"]
    path: str | None = None  # by default a folder of the set's name; not for shapes
    per_class: int | None = Field(default=None, ge=2)  # shapes: how many of each class are drawn to train on
    classes: int | None = Field(default=None, ge=2)  # the first so many alone, for a small budget; by default all
    side: int | None = Field(default=None, ge=8, le=512)  # what the teacher sees; by default the set's own pixels
    low: int | None = Field(default=None, ge=8, le=512)  # what the student sees; by default the same as the teacher
    kernel: Literal["bilinear", "bicubic", "area", "nearest"] = "bilinear"
    antialias: bool = True
    holdout: int = Field(default=0, ge=0)  # training pictures of each class kept out, to validate on


class ObjectAugment(Section):
    """What is done to both networks' view alike, before it is made small."""

    flip: bool = True
    crop: int = Field(default=4, ge=0, le=64)  # pixels of black border of which a window is cut


class ObjectTeacher(Section):
    """The teacher: a file relative to the data root; or else ``network``, trained first, on the pictures at full size."""

    file: str | None = None
    network: str | None = None
    epochs: int | None = Field(default=None, ge=1)  # of its training; by default those of the recipe
    cache: bool = False  # ask it once for every picture and its mirror image, and keep that; needs augment.crop=0

    @model_validator(mode="after")
    def _agree(self) -> "ObjectTeacher":
        if bool(self.file) == bool(self.network):
            raise ValueError("give either teacher.file or teacher.network")
        return self


class ObjectLoss(Section):
    """The objective: cross-entropy, and each term that is named."""

    classification: float = Field(default=1.0, ge=0)  # weight of the cross-entropy
    kd: KDSection | None = None
    crrcd: CRRCDSection | None = None
    cosine: RegressionSection | None = None
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)  # see lrface.losses.registry; {} for its defaults

    @property
    def teaches(self) -> bool:
        """Whether a term needs a teacher."""
        return bool(self.kd or self.crrcd or self.cosine or self.methods)


class BeforeSection(Section):
    """The stage before the training, for methods that have one."""

    epochs: int = Field(default=30, ge=1)
    lr: float | None = Field(default=None, gt=0)  # by default optim.lr


class ObjectValidation(Section):
    """Choosing the best epoch, on the training pictures that ``data.holdout`` keeps out."""

    every: int = Field(default=1, ge=1)  # epochs


class ObjectRecipe(Section):
    """One run."""

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
    compile: bool = False  # the student by torch.compile: faster steps after a minute; needs a C++ compiler

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
    """Check a recipe's content; ``where`` is named in errors. Raises LrfaceError for a wrong key or value."""
    return parse(ObjectRecipe, content, where)


def is_object_recipe(content: Any) -> bool:
    """Whether a YAML mapping describes objects and not faces."""
    return isinstance(content, dict) and content.get("task") == "objects"


def read_part(data: ObjectData, root: Path, split: str) -> Pictures:
    """The pictures of a split that a recipe names, at the set's own size; nothing is held out yet.

    Raises:
        LrfaceError: as :func:`lrface.objects.data.open_set`, or the set has fewer classes than ``data.classes``.
    """
    pictures = open_set(data.set, data_path(data, root), split, data.per_class)
    return pictures if data.classes is None else pictures.first(data.classes)


def data_path(data: ObjectData, root: Path) -> Path | None:
    """Where the set lies; None for the generated one."""
    return None if data.set == "shapes" else root / (data.path or data.set)

"""The common input, interface and naming of all distillation methods of this package."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.losses.checks import at_least_float32, check_ids, check_matrix, full_precision

#: The parts that a method may read of both networks: the fields of :class:`Outputs`.
PARTS = ("logits", "embedding", "maps", "preacts", "classifier")


@dataclass(frozen=True)
class Outputs:
    """The outputs of one network for a batch. A part that the network does not give is None.

    Attributes:
        logits: float ``[B, C]``.
        embedding: float ``[B, D]``, the input of the last linear layer (for faces: the embedding).
        maps: feature maps float ``[B, c, h, w]`` after the activation: first the stem's, then one per stage.
        preacts: the same maps before their activation.
        classifier: float ``[C, D]``, the weight of the last linear layer.
    """

    logits: Tensor | None = None
    embedding: Tensor | None = None
    maps: tuple[Tensor, ...] | None = None
    preacts: tuple[Tensor, ...] | None = None
    classifier: Tensor | None = None

    def convert(self, change: Callable[[Tensor], Tensor]) -> "Outputs":
        """Apply ``change`` to every tensor of the batch. The classifier does not belong to the batch and stays."""
        return replace(
            self,
            logits=None if self.logits is None else change(self.logits),
            embedding=None if self.embedding is None else change(self.embedding),
            maps=None if self.maps is None else tuple(change(each) for each in self.maps),
            preacts=None if self.preacts is None else tuple(change(each) for each in self.preacts),
        )

    def detach(self) -> "Outputs":
        """The same outputs without gradient, as a teacher's outputs are used."""
        found = self.convert(Tensor.detach)
        return found if found.classifier is None else replace(found, classifier=found.classifier.detach())


@dataclass(frozen=True)
class Shape:
    """Sizes of a network's outputs; None for a part that it does not give."""

    embedding: int | None = None
    maps: tuple[tuple[int, int, int], ...] | None = None  # channels, height, width

    @classmethod
    def of(cls, outputs: Outputs) -> "Shape":
        """The sizes of the outputs of a batch."""
        maps = outputs.maps
        return cls(
            None if outputs.embedding is None else int(outputs.embedding.shape[1]),
            None if maps is None else tuple((each.shape[1], each.shape[2], each.shape[3]) for each in maps),
        )


@dataclass(frozen=True)
class Setting:
    """The networks and the training set for which a method is built.

    Attributes:
        student, teacher: sizes of their outputs.
        labels: int64 ``[N]``, the labels of all training samples, by index.
    """

    student: Shape
    teacher: Shape
    labels: Tensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1


class Method(nn.Module, ABC):
    """A distillation loss, with all modules that are trained beside the student.

    A subclass sets ``needs`` and ``weight``, takes a :class:`Setting` and its own options, and implements ``loss``. All
    computations are at least in float32. The teacher's outputs have no gradient.
    """

    #: Its usual name in lower case; set by :func:`method`.
    name: ClassVar[str] = ""
    #: The parts of :class:`Outputs` that it reads of both networks; each is one of ``PARTS``.
    needs: ClassVar[tuple[str, ...]] = ()
    #: The weight of the reference code, beside a cross-entropy of weight 1.
    weight: ClassVar[float] = 1.0
    #: Whether its batches contain each image four times, rotated by 0, 90, 180 and 270 degrees, one after the other.
    rotated: ClassVar[bool] = False
    #: Whether it has a preliminary stage before the training (see ``before``).
    staged: bool = False
    #: Highest learning rate of the preliminary stage, if the reference code has one.
    before_lr: ClassVar[float] = float("inf")

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            student: with gradient.
            teacher: of the same samples; detached here.
            labels: integer ``[B]``, classes.
            index: integer ``[B]``, the number of each sample in the training set.

        Raises:
            LrfaceError: a part is missing or has the wrong shape.
        """
        return self._call(self.loss, student, teacher, labels, index)

    def before(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        """The loss of the preliminary stage, for methods that have one (``staged``). Arguments as for ``forward``."""
        return self._call(self.first_loss, student, teacher, labels, index)

    @abstractmethod
    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        """Compute the loss; implemented by subclasses. The input is already checked and cast to the working precision."""

    def first_loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        """Compute the loss of the preliminary stage; implemented by subclasses that have one."""
        raise LrfaceError(f"{self.name} has no stage before the training")

    def remember(self) -> None:
        """Update the memory of the method after a step. Most methods have none."""

    @property
    def note(self) -> str:
        """A line for the log at the start of the training, such as the memory of a bank; empty for most methods."""
        return ""

    def _call(
        self, loss: Callable[..., Tensor], student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor
    ) -> Tensor:
        some = self._check(student, teacher, labels, index)
        with full_precision(some):
            dtype = at_least_float32(some.dtype)
            cast = lambda tensor: tensor.to(dtype)  # noqa: E731
            return loss(student.convert(cast), teacher.convert(cast).detach(), labels.long(), index.long())

    def _check(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        """Raise LrfaceError unless all needed parts are there. Returns one of the student's tensors."""
        rows = len(labels)
        some: Tensor | None = None
        for who, outputs in (("student", student), ("teacher", teacher)):
            for part in self.needs:
                value = getattr(outputs, part)
                if value is None:
                    raise LrfaceError(f"{self.name} needs the {who}'s {part}, which it does not give")
                if part in ("logits", "embedding"):
                    check_matrix(f"the {who}'s {part}", value, rows=4 * rows if self.rotated else rows)
                    some = value if some is None else some
                elif part in ("maps", "preacts"):
                    _check_maps(f"the {who}'s {part}", value, rows)
                    some = value[0] if some is None else some
        if "logits" in self.needs:
            check_matrix("the teacher's logits", teacher.logits, columns=student.logits.shape[1])  # type: ignore[arg-type, union-attr]
        check_ids("labels", labels, rows)
        check_ids("index", index, rows)
        assert some is not None
        return some


def _check_maps(name: str, maps: tuple[Tensor, ...], rows: int) -> None:
    for number, value in enumerate(maps):
        if value.ndim != 4 or len(value) != rows or not value.is_floating_point():
            raise LrfaceError(
                f"{name}[{number}] is {value.dtype} of shape {list(value.shape)}: expected floats of shape "
                f"[{rows}, channels, height, width]"
            )


_METHODS: dict[str, type[Method]] = {}
Kind = TypeVar("Kind", bound=type[Method])


def method(name: str) -> Callable[[Kind], Kind]:
    """Class decorator that registers a method under a name. Raises LrfaceError if the name is in use or a need is unknown."""

    def enter(kind: Kind) -> Kind:
        if _METHODS.get(name, kind).__qualname__ != kind.__qualname__:
            raise LrfaceError(f"two methods are called {name}")
        unknown = [part for part in kind.needs if part not in PARTS]
        if unknown:
            raise LrfaceError(f"method {name} needs {unknown[0]}: choose of {', '.join(PARTS)}")
        kind.name = name
        _METHODS[name] = kind
        return kind

    return enter


def registered() -> dict[str, type[Method]]:
    """The methods of all modules imported so far, by name."""
    return dict(_METHODS)


def part(outputs: Outputs, name: str) -> Any:
    """A part that is known to be there; for the type checker."""
    value = getattr(outputs, name)
    assert value is not None
    return value


def stage_of(shape: Shape, stage: int, who: str, name: str) -> tuple[int, int, int]:
    """Size of the map of a stage (0: the stem). Raises LrfaceError if the network has no such stage."""
    if shape.maps is None:
        raise LrfaceError(f"{name} needs the {who}'s maps, which it does not give")
    if isinstance(stage, bool) or not isinstance(stage, int) or not -len(shape.maps) <= stage < len(shape.maps):
        raise LrfaceError(
            f"{name}: the {who} has no stage {stage!r}: its stages are 0 (the stem) to {len(shape.maps) - 1}"
        )
    return shape.maps[stage]


def common_stages(setting: Setting, name: str) -> int:
    """Number of stages after the stem that both networks have. Raises LrfaceError if there is none."""
    counts = [len(shape.maps or ()) - 1 for shape in (setting.student, setting.teacher)]
    if min(counts) < 1:
        raise LrfaceError(f"{name} needs feature maps of both networks by stage")
    return min(counts)


def embedding_sizes(setting: Setting, name: str) -> tuple[int, int]:
    """Lengths of the student's and the teacher's embeddings. Raises LrfaceError if a network gives none."""
    for who, shape in (("student", setting.student), ("teacher", setting.teacher)):
        if shape.embedding is None:
            raise LrfaceError(f"{name} needs the {who}'s embedding, which it does not give")
    assert setting.student.embedding is not None
    assert setting.teacher.embedding is not None
    return setting.student.embedding, setting.teacher.embedding


def zero_of(tensor: Tensor) -> Tensor:
    """A zero that can be differentiated, for a batch without anything to compare."""
    return (tensor * 0).sum()

"""Families: several models for faces of different detail that share one embedding space and are opened as one.

The family's JSON file lists its members in order of detail. Each has the least pixels of detail for which it is used. The
family's card has the thresholds and the calibration by the detail of both faces::

    {"format": 3, "name": "lrface", "dim": 256,
     "members": [{"model": NAME, "fingerprint": HEX, "detail": 0}, ...],
     "card": {"thresholds": {...}, "quality": {...}, ...},
     "sharp": [{"map": FILE, "detail": 18, "teachers": [NAME, ...], "card": {...}}, ...]}

``sharp`` has the top members, of which users choose one by the teachers' files that they have: a student and the teachers embed the
sharpest faces together, see :mod:`lrface.models.fusion`. A member is opened when its first face arrives.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrface.errors import LrfaceError
from lrface.faces.degrade import resize
from lrface.files import file_digest, read_json
from lrface.models import dlib_resnet, ncnn
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.fusion import Fusion, TeacherNetwork
from lrface.models.preprocessing import Preprocessing
from lrface.models.shipped import find
from lrface.models.teacher_map import TeacherMap

FORMAT = 3

#: Part of a top member's fingerprint: it changes if the same map gives other embeddings.
FUSION = 3

#: Side in pixels of the crops that the teachers get.
SHARP_SIDE = 112


@dataclass(frozen=True)
class _Enlarging(Preprocessing):
    """For the teachers. A smaller crop is enlarged bicubically, as an aligner does it: faces of 20 to 32 pixels gain by it."""

    def fit(self, image: np.ndarray) -> np.ndarray:
        return resize(image, self.input_size, "bicubic" if max(image.shape[:2]) < self.input_size else "bilinear")


@dataclass
class Member:
    """One model of a family.

    Attributes:
        name: name of the model.
        fingerprint: see :class:`lrface.models.embedder.Embedder`.
        detail: the least pixels of detail for which it is used.
        opener: opens the model.
    """

    name: str
    fingerprint: str
    detail: float
    opener: Callable[[], Embedder] = field(repr=False)

    @cached_property
    def embedder(self) -> Embedder:
        """The model, opened at first use.

        Raises:
            LrfaceError: it cannot be opened, or differs from the model with which the family was made.
        """
        embedder = self.opener()
        if embedder.fingerprint != self.fingerprint:
            raise LrfaceError(
                f"the family was made with another {self.name} (its fingerprint begins with {self.fingerprint[:12]}, "
                f"this one's with {embedder.fingerprint[:12]}): install lrface again, or name a single model"
            )
        return embedder


class Family:
    """Models that share one embedding space. It has the part of :class:`lrface.models.embedder.Embedder` for comparing faces.

    Args:
        name: name of the family.
        members: in any order; one must begin at 0 pixels of detail.
        dim: length of the members' embeddings.
        card: ``thresholds`` and ``quality`` of the family, in the form of a model's card.
        fusion: how the last member, the teachers, is fused with the one before it. None if there are no teachers.

    Attributes:
        dim: length of the family's embeddings.
        fingerprint: digest of the members and their ranges of detail; with one member, that of the member.

    Raises:
        LrfaceError: no member begins at 0 pixels.
    """

    def __init__(
        self, name: str, members: Sequence[Member], dim: int, card: Mapping[str, Any], fusion: Fusion | None = None
    ) -> None:
        self.members = tuple(sorted(members, key=lambda member: member.detail))
        if not self.members or self.members[0].detail > 0:
            raise LrfaceError(f"the family {name} has no member for the smallest faces: one must begin at 0 pixels")
        self.name, self.card, self.fusion = name, {**card, "name": name}, fusion
        self.dim = fusion.dim if fusion else dim
        described = " ".join(f"{member.fingerprint} {member.detail:g}" for member in self.members)
        # A single member embeds every face: a gallery made with the family is one made with that model.
        alone = len(self.members) == 1
        self.fingerprint = self.members[0].fingerprint if alone else hashlib.sha256(described.encode()).hexdigest()

    def member(self, resolution: float) -> Embedder:
        """The model for a face with ``resolution`` pixels of detail.

        Raises:
            LrfaceError: it cannot be opened.
        """
        return self._fitting(resolution).embedder

    def member_name(self, resolution: float) -> str:
        """The name of the model that :meth:`member` gives."""
        return self._fitting(resolution).name

    def _fitting(self, resolution: float) -> Member:
        return next(member for member in reversed(self.members) if member.detail <= max(resolution, 0.0))

    def embed(
        self, crops: Sequence[np.ndarray], resolutions: Sequence[float], embed: Callable[..., np.ndarray]
    ) -> NDArray[np.float32]:
        """Embed faces, each with the member for its detail.

        Args:
            crops: uint8 RGB of any size.
            resolutions: pixels of detail of each face.
            embed: function of a member's embedder and crops that returns L2-normalised embeddings float32 ``[k, d]``.

        Returns:
            float32 ``[n, dim]``, L2-normalised.

        Raises:
            LrfaceError: a member cannot be opened.
        """
        chosen = [self._fitting(resolution) for resolution in resolutions]
        result = np.empty((len(crops), self.dim), np.float32)
        for member in {id(each): each for each in chosen}.values():
            rows = [row for row, each in enumerate(chosen) if each is member]
            few = [crops[row] for row in rows]
            found = embed(member.embedder, few)
            if self.fusion is None:
                result[rows] = found
            elif member is self.members[-1]:
                result[rows] = self.fusion.sharp(embed(self.members[-2].embedder, few), found)
            else:
                result[rows] = self.fusion.students(found)
        return result

    def single(self, fingerprint: str) -> Embedder | None:
        """The member with this fingerprint, or None. Used for a gallery that was made with this member alone.

        Raises:
            LrfaceError: it cannot be opened.
        """
        found = next((member for member in self.members if member.fingerprint == fingerprint), None)
        return found.embedder if found else None


def open_family(
    path: str | Path,
    sharp: Sequence[str | Path] = (),
    device: str = "cpu",
    threads: int | None = None,
    runtime: str = "auto",
) -> Family:
    """Open a family.

    Args:
        path: its file, ``*.json``.
        sharp: the teachers of one of the family's top members, in its order, for the sharpest faces: ONNX files, ``.param`` files
            of ncnn, or ``dlib`` for the network that the extra ``sharp`` installs. If empty, the students embed all faces.
        device, threads, runtime: see :func:`lrface.models.embedder.open_embedder`.

    Raises:
        LrfaceError: the file is damaged, or the teachers are not the ones that taught the family.
    """
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise LrfaceError(f"{path} is not a family of models that this version of lrface knows")
    try:
        members = []
        for each in record["members"]:
            opener = partial(open_embedder, str(each["model"]), device, threads, runtime=runtime)
            members.append(Member(str(each["model"]), str(each["fingerprint"]), float(each["detail"]), opener))
        name, dim, card, fusion = str(record["name"]), int(record["dim"]), dict(record["card"]), None
        if sharp:
            top, mapping, teachers = _top(Path(path), record, sharp, device, threads)
            fusion, card = Fusion(mapping), dict(top["card"])
            members.append(_teachers(Path(path), top, teachers, members[-1].name))
        return Family(name, members, dim, card, fusion)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LrfaceError(f"{path} is a damaged family of models: {error}") from error


def _top(
    path: Path, record: dict[str, Any], files: Sequence[str | Path], device: str, threads: int | None
) -> tuple[dict[str, Any], TeacherMap, list[Embedder]]:
    """The top member for these teachers. Their fingerprints are checked at once, so that no other networks are used by mistake."""
    tops = record.get("sharp", [])
    if not tops:
        raise LrfaceError(f"the family {path.stem} has no top rung for teachers: leave --sharp out")
    teachers = [open_embedder(_teacher_file(file), device, threads) for file in files]
    fingerprints = tuple(teacher.fingerprint for teacher in teachers)
    for top in tops:
        mapping = TeacherMap.load(path.with_name(str(top["map"])))
        if mapping.fingerprints == fingerprints:
            return top, mapping, teachers
    known = "; or ".join(", ".join(map(str, top["teachers"])) for top in tops)
    raise LrfaceError(
        f"--sharp {' '.join(map(str, files))}: only networks that taught the space of {path.stem} can embed for it: {known}"
    )


def _teachers(path: Path, top: dict[str, Any], teachers: Sequence[Embedder], student: str) -> Member:
    digest = file_digest(path.with_name(str(top["map"])))
    name = " + ".join([student, *(str(teacher).partition(",")[0] for teacher in top["teachers"])])
    embedder = Embedder(TeacherNetwork(teachers), _Enlarging(SHARP_SIDE), f"{digest} {FUSION}", {"name": name})
    return Member(name, embedder.fingerprint, float(top["detail"]), lambda: embedder)


def family_files(path: str | Path, sharp: Sequence[str | Path] = ()) -> tuple[Path, ...]:
    """All files that a family reads: its own, its map, its members and the teachers.

    Args:
        path, sharp: see :func:`open_family`.

    Raises:
        LrfaceError: a file is missing or damaged.
    """
    record = read_json(path)
    members = [find(str(each["model"])) or Path(str(each["model"])) for each in record["members"]]
    maps = [Path(path).with_name(str(top["map"])) for top in record.get("sharp", [])] if sharp else []
    return (Path(path), *members, *maps, *map(_teacher_file, sharp))


def _teacher_file(name: str | Path) -> Path:
    """The ONNX file of a teacher. ``dlib`` is the network in the package face-recognition-models; ncnn's format is converted."""
    path = Path(name)
    if str(name) == "dlib" and not path.exists():
        return dlib_resnet.cached_file()
    return ncnn.cached_file(path) if path.suffix == ncnn.SUFFIX else path
